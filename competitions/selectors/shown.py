"""Strangers' texts, made safe to look at; escaping is the templates' work."""

from __future__ import annotations

import re

# Controls (C0 but tab and newline, C1), marks of direction, zero-width and other invisible signs:
# they could make a text read otherwise than it is.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)


def shown(text: str, *, limit: int | None = None) -> str:
    """Return ``text`` without invisible characters, cut at ``limit`` characters with an ellipsis."""
    cleaned = _INVISIBLE.sub("", text)
    if limit is not None and len(cleaned) > limit:
        return cleaned[: limit - 1].rstrip() + "…"
    return cleaned


def spelled_out(text: str) -> str:
    """Return ``text`` with each invisible character named, as in ⟨U+202E⟩; for texts shown verbatim."""
    return _INVISIBLE.sub(_spell_out, text)


def _spell_out(found: re.Match[str]) -> str:
    character: str = found.group()
    return "" if character == "\r" else f"⟨U+{ord(character):04X}⟩"


def monogram(name: str) -> str:
    """Return two letters for narrow places: the initials of two words, or a word's first two."""
    words: list[str] = re.findall(r"[^\W_]+", shown(name))
    if not words:
        return "?"
    letters = words[0][0] + words[1][0] if len(words) > 1 else words[0][:2]
    return letters.upper()
