"""Finding the one JSON object of an answer, and reading it without losing or inventing anything."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agents.domain.parsing.faults import Fault, fault, show

MAX_DEPTH = 8
MAX_DIGITS = 30
MAX_EXPONENT = 12

NUMBER = re.compile(r"-?(?P<digits>[0-9]+(?:\.[0-9]+)?)(?:[eE](?P<exponent>[+-]?[0-9]+))?")

# Every pattern here is linear in the text: no quantifier holds another one over the same characters.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]|"', re.DOTALL)
_COMMA = re.compile(r'"(?:[^"\\]|\\.)*"|(,)(?=[ \t\r\n]*[}\]])', re.DOTALL)
_FENCE = re.compile(r"^[ \t]*```[^\n`]*$", re.MULTILINE)
_THINKING_END = "</think>"


@dataclass(frozen=True, slots=True)
class RawNumber:
    """A JSON number as it was written; its digits are judged where its place is known."""

    text: str

    def __str__(self) -> str:
        return self.text


class Repeated(dict[str, Any]):
    """A JSON object in which ``key`` was written more than once."""

    key: str = ""


def find_document(text: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the answer's one JSON object and what was mended to read it.

    Raises:
        Fault: If there is no object, more than one, or it is not sound.
    """
    stripped = text.lstrip("\ufeff").strip()
    if not stripped:
        raise Fault("the answer is empty, one JSON object is wanted")
    body, repairs = _body(stripped)
    document, mended = _load(body)
    if not isinstance(document, dict):
        raise fault("", document, "one JSON object")
    _check_values(document, "")
    return document, (*repairs, *mended)


def _body(text: str) -> tuple[str, tuple[str, ...]]:
    if text.startswith("<think>") and _THINKING_END in text:
        body, repairs = _body(text.split(_THINKING_END, 1)[1].strip())
        return body, ("thinking before the answer left out", *repairs)
    if text[:1] in "{[":
        start, end = _only_group(text)
        if start == 0 and end == len(text):
            return text, ()
    if fences := list(_FENCE.finditer(text)):
        return _fenced(text, fences)
    start, end = _only_group(text)
    return text[start:end], ("text around the JSON object left out",)


def _fenced(text: str, fences: list[re.Match[str]]) -> tuple[str, tuple[str, ...]]:
    if len(fences) != 2:
        raise Fault(f"found {len(fences)} lines of ``` in the answer, one fenced block is wanted")
    opening, closing = fences
    outside = text[: opening.start()] + text[closing.end() :]
    repairs = ["fence taken off"]
    if outside.strip():
        repairs.append("text around the fenced block left out")
    if "{" in outside:
        raise Fault("found a fenced block and another object beside it, only one is wanted")
    body = text[opening.end() : closing.start()].strip()
    if _only_group(body) != (0, len(body)):
        raise Fault(
            "found text beside the JSON object in the fenced block, only the object is wanted"
        )
    return body, tuple(repairs)


def _only_group(text: str) -> tuple[int, int]:
    """Return the bounds of the only bracketed group that starts with a brace; a list at the very start counts as one."""
    groups = list(_groups(text))
    if not groups:
        raise Fault(f"found no JSON object in the answer, which begins {show(text[:40])}")
    if len(groups) > 1:
        raise Fault(f"found {len(groups)} objects in the answer, only one is wanted")
    return groups[0]


def _groups(text: str) -> Iterator[tuple[int, int]]:
    start = 0 if text.startswith("[") else text.find("{")
    while start >= 0:
        end = _group_end(text, start)
        yield start, end
        start = text.find("{", end)


def _group_end(text: str, start: int) -> int:
    depth = 0
    for token in _TOKEN.finditer(text, start):
        sign = token.group()
        if sign in ("{", "["):
            depth += 1
            if depth > MAX_DEPTH:
                raise Fault(f"the JSON is nested deeper than {MAX_DEPTH} levels")
        elif sign in ("}", "]"):
            depth -= 1
        elif sign == '"':
            break
        if depth == 0:
            return token.end()
    raise Fault("the JSON object is not closed: the answer ends inside it")


def _load(text: str) -> tuple[Any, tuple[str, ...]]:
    try:
        return _decode(text), ()
    except json.JSONDecodeError as error:
        mended = _COMMA.sub(lambda match: "" if match.group(1) else match.group(), text)
        if mended == text:
            raise _broken(error) from None
    try:
        return _decode(mended), ("trailing commas taken out",)
    except json.JSONDecodeError as error:
        raise _broken(error) from None


def _broken(error: json.JSONDecodeError) -> Fault:
    around = error.doc[max(0, error.pos - 15) : error.pos + 15]
    return Fault(
        f"not JSON at line {error.lineno} column {error.colno}: {error.msg}, near {show(around)}"
    )


def _decode(text: str) -> Any:
    return json.loads(
        text,
        parse_float=RawNumber,
        parse_int=RawNumber,
        parse_constant=RawNumber,
        object_pairs_hook=_object,
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    repeated = Repeated(plain)
    seen: set[str] = set()
    repeated.key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return repeated


def _check_values(value: Any, path: str) -> None:
    """Refuse what no part of an answer may hold, whether it is read later or not."""
    if isinstance(value, Repeated):
        raise Fault(f"{path or 'the answer'}: key {show(value.key)} is written twice")
    if isinstance(value, dict):
        for key, item in value.items():
            _check_values(item, f"{path}.{_key(key)}" if path else _key(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_values(item, f"{path}[{index}]")
    elif isinstance(value, RawNumber):
        check_number(value.text, path)


def _key(key: str) -> str:
    return key if key.isidentifier() and key.isascii() and len(key) <= 40 else show(key)


def check_number(text: str, path: str) -> None:
    """Refuse a number that is not finite, or too long to be meant.

    Raises:
        Fault: If it is no plain decimal, has more than 30 digits or an exponent beyond +-12.
    """
    match = NUMBER.fullmatch(text)
    if match is None:
        raise fault(path, text, "a finite decimal number")
    if len(match["digits"]) > MAX_DIGITS + 1 or len(match["digits"].replace(".", "")) > MAX_DIGITS:
        raise fault(path, text, f"a number of at most {MAX_DIGITS} digits")
    exponent = match["exponent"] or "0"
    if len(exponent) > 6 or abs(int(exponent)) > MAX_EXPONENT:
        raise fault(path, text, f"an exponent within +-{MAX_EXPONENT}")
