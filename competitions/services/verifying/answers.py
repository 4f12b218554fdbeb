"""Answers and decisions of a round: read once more out of the stored text; and every text held against its hash."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator

from django.db.models import Q

from agents.models import Completion, Decision
from agents.models.agents import ProviderKind
from agents.models.answers import CompletionStatus, DecisionSource, DecisionStatus
from agents.services.answers import reread
from competitions.domain.contract import Contract
from competitions.models import Participant, Round, Turn
from competitions.services.journal import Row
from competitions.services.verifying.columns import Links, difference, differences
from marketdata.domain.canonical import canonical_time
from marketdata.models import Blob
from trading.domain.rules import BookRules
from trading.models import TapeSegment

COMPLETION_TEXTS = ("system", "market", "account", "request", "body", "text", "reasoning")
# Which answers a decision can have been read from.
ANSWERS: dict[str, set[str]] = {
    DecisionStatus.REFUSED: {CompletionStatus.REFUSED},
    DecisionStatus.TIMEOUT: {CompletionStatus.TIMEOUT},
    DecisionStatus.ERROR: {CompletionStatus.ERROR, CompletionStatus.EMPTY},
    DecisionStatus.INVALID: {CompletionStatus.OK, CompletionStatus.TRUNCATED},
}
READ: set[str] = {CompletionStatus.OK}


def text_problems(round_: Round) -> Iterator[str]:
    """Yield every text the round stands on that does not hash to its name any more."""
    names: set[str | None] = set(
        TapeSegment.objects.filter(
            book_id=round_.competition.opened_book.pk,
            first_position__gte=round_.first_tape_position,
            first_position__lt=round_.last_tape_position,
        ).values_list("body_id", flat=True)
    )
    keys = list(round_.turns.values_list("turn_key", flat=True))
    names.update(
        Decision.objects.filter(Q(turns__round=round_) | Q(turn_key__in=keys)).values_list(
            "text_id", flat=True
        )
    )
    for texts in Completion.objects.filter(turn_key__in=keys).values_list(
        *(f"{column}_id" for column in COMPLETION_TEXTS)
    ):
        names.update(texts)
    if round_.snapshot is not None:
        names.add(round_.snapshot.manifest_id)
    yield from _manifest_problems(round_)
    for name, blob in Blob.objects.in_bulk(sorted(filter(None, names))).items():
        fault = fault_of(blob)
        if fault:
            yield f"round {round_.number}: the text {name[:16]} {fault}"


def _manifest_problems(round_: Round) -> Iterator[str]:
    """Yield that the snapshot's text is not that of a snapshot of its time."""
    if round_.snapshot is None:
        return
    name = f"snapshot {round_.number}"
    try:
        as_of = round_.snapshot.content()["as_of"]
    except (ValueError, LookupError, TypeError, zlib.error) as error:
        yield f"{name}: manifest cannot be read: {error!r}"
        return
    wanted = canonical_time(round_.snapshot.as_of)
    if as_of != wanted:
        yield difference(name, "manifest", f"one of {as_of}", f"one of {wanted}")


def fault_of(blob: Blob) -> str:
    """Return what is wrong with a stored text, empty when it is whole."""
    try:
        raw = blob.raw()
    except zlib.error as error:
        return f"was changed, it cannot be unpacked: {error}"
    if hashlib.sha256(raw).hexdigest() != blob.sha256:
        return "was changed, it does not hash to its name"
    if blob.size != len(raw):
        return f"has another size: size stored {blob.size}, recomputed {len(raw)}"
    return ""


def answer_problems(round_: Round, contract: Contract) -> Iterator[str]:
    """Yield the columns of the round's decisions and completions that are not what the stored answers say."""
    code = round_.competition.opened_book.code
    agents = {
        f"{code}-{round_.number}-{row.ordinal}": row
        for row in Participant.objects.filter(competition=round_.competition)
    }
    kinds = {entry.ordinal: entry.provider_kind for entry in contract.roster}
    turns = Turn.objects.filter(round=round_, decision__isnull=False)
    keys = dict(turns.values_list("decision", "turn_key"))
    decisions = Decision.objects.filter(Q(turn_key__in=list(agents)) | Q(pk__in=list(keys)))
    tries: dict[str, list[Completion]] = {}
    for row in Completion.objects.filter(turn_key__in=list(agents)).order_by("attempt"):
        tries.setdefault(row.turn_key, []).append(row)
    for decision in decisions.select_related("completion").order_by("turn_key"):
        key = keys.get(decision.pk, decision.turn_key)
        name = f"decision {key}"
        if decision.turn_key != key:
            yield difference(name, "turn_key", decision.turn_key, key)
        participant = agents.get(decision.turn_key)
        if participant is None:
            continue
        found = tries.get(decision.turn_key, [])
        kind = kinds.get(participant.ordinal, "")
        yield from _decision_problems(name, decision, participant, kind, found, contract.rules)
        yield from _link_problems(decision)
    for key, found in tries.items():
        yield from _try_problems(key, found, agents[key])


def _decision_problems(
    name: str,
    decision: Decision,
    participant: Participant,
    kind: str,
    tries: list[Completion],
    rules: BookRules,
) -> Iterator[str]:
    source = DecisionSource.BASELINE if kind == ProviderKind.BASELINE else DecisionSource.MODEL
    wanted: Row = {"agent_id": participant.agent_id, "source": source.value}
    if tries:
        last = tries[-1]
        wanted["completion"] = (last.turn_key, last.attempt)
        wanted |= reread(last, symbols=list(rules.symbols), resting_orders=rules.resting_orders)
    links: Links = {
        "completion": lambda row: (
            row.completion and (row.completion.turn_key, row.completion.attempt)
        )
    }
    yield from differences(name, decision, wanted, links)


def _link_problems(decision: Decision) -> Iterator[str]:
    """Yield that the answer behind the decision says that it is of another turn."""
    answer = decision.completion
    if answer is None:
        return
    name = f"completion {decision.turn_key} try {answer.attempt}"
    if answer.turn_key != decision.turn_key:
        yield difference(name, "turn_key", answer.turn_key, decision.turn_key)
    if answer.text_id is not None and answer.text_id != decision.text_id:
        yield difference(name, "text", answer.text_id[:16], decision.text_id[:16])
    if answer.text_id is None and Blob.objects.text(decision.text_id):
        yield difference(name, "text", None, decision.text_id[:16])
    possible = ANSWERS.get(decision.status, READ)
    if answer.status not in possible:
        yield difference(name, "status", answer.status, " or ".join(sorted(possible)))


def _try_problems(key: str, tries: list[Completion], participant: Participant) -> Iterator[str]:
    for place, row in enumerate(tries, start=1):
        name = f"completion {key} try {place}"
        yield from differences(name, row, {"attempt": place, "agent_id": participant.agent_id})
