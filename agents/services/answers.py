"""Storing what was asked and answered, and what was read out of it; each once, however often it is told."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from agents.domain.decisions import ParsedDecision, ParseStatus, instruction_json
from agents.domain.parsing import parse_decision
from agents.domain.prompts import Messages
from agents.models import Agent, Completion, Decision
from agents.models.answers import CompletionStatus, DecisionSource, DecisionStatus
from agents.providers.base import CallRequest, RawCompletion
from marketdata.models import Blob

_UNSTORABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_OF_COMPLETION = {
    CompletionStatus.REFUSED: DecisionStatus.REFUSED,
    CompletionStatus.TIMEOUT: DecisionStatus.TIMEOUT,
    CompletionStatus.ERROR: DecisionStatus.ERROR,
    CompletionStatus.EMPTY: DecisionStatus.ERROR,
}


def record_completion(
    turn_key: str,
    attempt: int,
    agent: Agent,
    messages: Messages,
    request: CallRequest,
    raw: RawCompletion,
    *,
    sent_at: datetime,
    answered_at: datetime,
) -> Completion:
    """Store one try with its texts; a known (turn_key, attempt) returns the row already there, unchanged."""
    told = Completion(
        turn_key=turn_key,
        attempt=attempt,
        agent=agent,
        provider=agent.provider.slug,
        sent_at=sent_at,
        answered_at=answered_at,
        cost=_cost(agent),
        **_texts(messages, request, raw),
        **_figures(request, raw),
    )
    Completion.objects.bulk_create([told], ignore_conflicts=True)
    # Another worker may have been first.
    kept = Completion.objects.get(turn_key=turn_key, attempt=attempt)
    return told if kept.pk == told.pk else kept


def record_decision(
    turn_key: str,
    agent: Agent,
    completion: Completion,
    *,
    symbols: Collection[str],
    now: datetime,
    resting_orders: bool = False,
) -> Decision:
    """Read the stored answer and store the decision; a known turn_key returns the one already there.

    ``resting_orders`` is the season's (see :func:`parse_decision`).
    """
    if completion.text_id is None:
        put_texts([""])
    source = DecisionSource.BASELINE if agent.provider.is_baseline else DecisionSource.MODEL
    made = Decision(
        turn_key=turn_key,
        agent=agent,
        completion=completion,
        source=source,
        decided_at=now,
        **reread(completion, symbols=symbols, resting_orders=resting_orders),
    )
    Decision.objects.bulk_create([made], ignore_conflicts=True)
    # The first one counts, also where this program would read the answer in another way by now.
    kept = Decision.objects.get(turn_key=turn_key)
    return made if kept.pk == made.pk else kept


def reread(
    completion: Completion, *, symbols: Collection[str], resting_orders: bool = False
) -> dict[str, Any]:
    """Return the columns of the decision that a stored answer says, as :func:`record_decision` reads them; writes nothing."""
    text = Blob.objects.text(completion.text_id) if completion.text_id else ""
    parsed = _parse(completion, text, symbols, resting_orders=resting_orders)
    return {
        "status": _decision_status(completion, parsed).value,
        "text_id": completion.text_id or hashlib.sha256(b"").hexdigest(),
        "summary": parsed.summary,
        "instructions": [instruction_json(wish) for wish in parsed.instructions],
        "repairs": list(parsed.repairs),
        "error": one_line(parsed.error, 500),
    }


def _parse(
    completion: Completion, text: str, symbols: Collection[str], *, resting_orders: bool
) -> ParsedDecision:
    status = CompletionStatus(completion.status)
    if status in _OF_COMPLETION:
        error = completion.error or CompletionStatus(status).label
        return ParsedDecision(ParseStatus.INVALID, error=error)
    truncated = status is CompletionStatus.TRUNCATED
    return parse_decision(text, symbols=symbols, truncated=truncated, resting_orders=resting_orders)


def _decision_status(completion: Completion, parsed: ParsedDecision) -> DecisionStatus:
    status = CompletionStatus(completion.status)
    return _OF_COMPLETION.get(status) or DecisionStatus(parsed.status.value)


def _texts(messages: Messages, request: CallRequest, raw: RawCompletion) -> dict[str, Any]:
    """Store the texts and return the foreign keys to them; None for an answer's text that there is none of."""
    asked = [messages.system, messages.market, messages.account, request.record()]
    answered: dict[str, str | bytes] = {
        "body_id": raw.body,
        "text_id": raw.text,
        "reasoning_id": raw.reasoning,
    }
    filled = {name: body for name, body in answered.items() if body}
    hashes = put_texts([*asked, *filled.values()])
    names = ("system_id", "market_id", "account_id", "request_id", *filled)
    return dict(zip(names, hashes, strict=True))


def _figures(request: CallRequest, raw: RawCompletion) -> dict[str, Any]:
    return {
        "model": request.model[:120],
        "returned_model": one_line(raw.returned_model, 120),
        "status": raw.status,
        "http_status": raw.http_status,
        "finish_reason": one_line(raw.finish_reason, 40),
        "provider_request_id": one_line(raw.request_id, 120),
        "error": one_line(raw.error, 500),
        "input_tokens": raw.input_tokens,
        "output_tokens": raw.output_tokens,
        "cached_tokens": raw.cached_tokens,
        "reasoning_tokens": raw.reasoning_tokens,
        "latency_ms": raw.latency_ms,
    }


def _cost(agent: Agent) -> Decimal | None:
    # Prices of models come with their own issue; until then their cost is unknown, which is not 0.
    return Decimal(0) if agent.provider.is_baseline else None


def one_line(text: str, cap: int) -> str:
    """Return ``text`` as a column keeps it: no control characters or lone surrogates, cut to ``cap``."""
    return _UNSTORABLE.sub(" ", text)[:cap]


def put_texts(bodies: Sequence[str | bytes]) -> list[str]:
    """Store all ``bodies`` that are new with two queries, and return their hashes.

    The market text of a round is the same for everybody: it is packed once, not once an agent.
    """
    raws = [
        body.encode("utf-8", "backslashreplace") if isinstance(body, str) else body
        for body in bodies
    ]
    hashes = [hashlib.sha256(raw).hexdigest() for raw in raws]
    known = set(Blob.objects.filter(pk__in=hashes).values_list("pk", flat=True))
    fresh = {sha: raw for sha, raw in zip(hashes, raws, strict=True) if sha not in known}
    Blob.objects.bulk_create(
        [
            Blob(sha256=sha, size=len(raw), packed=zlib.compress(raw, 6))
            for sha, raw in fresh.items()
        ],
        ignore_conflicts=True,
    )
    return hashes
