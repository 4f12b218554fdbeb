"""Reading decisions out of answers: strict, pure, never raising, never guessing."""

from __future__ import annotations

from collections.abc import Collection

from agents.domain.decisions import ParsedDecision, ParseStatus
from agents.domain.parsing.documents import find_document
from agents.domain.parsing.faults import Fault
from agents.domain.parsing.readers import Reading, read_decision

MAX_TEXT_BYTES = 64 * 1024
MAX_ERROR = 500

__all__ = ["MAX_TEXT_BYTES", "parse_decision"]


def parse_decision(
    text: str, *, symbols: Collection[str], truncated: bool = False, resting_orders: bool = False
) -> ParsedDecision:
    """Return the decision written in ``text``; INVALID with its first fault where there is none.

    Accepted is one JSON object: the whole text, or (REPAIRED) the only one in surrounding prose or in a fenced block, or one with
    trailing commas. ``symbols`` only settle letter case; others stay in for the risk check to deny. An answer that was
    ``truncated`` at the token limit is INVALID whatever it holds. ``resting_orders`` is the season's: without it the fields of orders
    that rest are unknown keys, as they were before there were any.
    """
    try:
        summary, instructions, repairs = _read(text, symbols, truncated, resting_orders)
    except Fault as fault:
        return ParsedDecision(ParseStatus.INVALID, error=str(fault)[:MAX_ERROR])
    status = ParseStatus.REPAIRED if repairs else ParseStatus.VALID
    return ParsedDecision(status, summary, instructions, repairs)


def _read(text: str, symbols: Collection[str], truncated: bool, resting_orders: bool) -> Reading:
    if truncated:
        raise Fault("the answer was cut at the token limit, a whole one is wanted")
    if len(text) > MAX_TEXT_BYTES or len(text.encode("utf-8", "replace")) > MAX_TEXT_BYTES:
        raise Fault(f"the answer has more than {MAX_TEXT_BYTES // 1024} KiB, at most that is read")
    document, repairs = find_document(text)
    summary, instructions, more = read_decision(document, symbols, resting_orders)
    return summary, instructions, (*repairs, *more)
