"""The trail of one decision: snapshot, prompt, answer, parse, risk, order, fill, result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from agents.models import Completion, Decision
from agents.models.answers import CompletionStatus, DecisionStatus
from competitions.models.rounds import Leg, LegVerdict, Round, Turn, TurnOutcome, TurnState
from competitions.selectors.activity import LegView, leg_view, turn_rows
from competitions.selectors.checks import Check, check_of
from competitions.selectors.seasons import Entrant, Season
from competitions.selectors.shown import shown
from competitions.templatetags.arena_format import after, on_grid, second, signed
from marketdata.models import Blob
from trading.models import EquityPoint, Fill, Order
from trading.models.orders import OrderSide

OK, WARN, BAD, WAIT, NONE = "ok", "warn", "bad", "wait", "none"
RAW_LIMIT = 200_000
# What no rule of the risk check is asked about.
_UNJUDGED = {LegVerdict.HELD, LegVerdict.SET, LegVerdict.CANCELLED}


@dataclass(frozen=True, slots=True)
class Step:
    """One station of the way; ``state`` is ok, warn, bad, wait or none (not reached)."""

    name: str
    anchor: str
    state: str
    when: str
    what: str


@dataclass(frozen=True, slots=True)
class RawText:
    """A stored text as it is, cut only for the page; ``size`` in bytes."""

    text: str
    sha256: str
    size: int
    is_cut: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of the model."""

    row: Completion
    request: RawText | None
    text: RawText | None
    reasoning: RawText | None
    body: RawText | None

    @property
    def is_body_text(self) -> bool:
        """Tell that the body is nothing but the answer's text."""
        return (
            self.body is not None and self.text is not None and self.body.sha256 == self.text.sha256
        )


@dataclass(frozen=True, slots=True)
class FillView:
    """One execution; ``slippage`` is the price's distance from the reference, a fraction, against the taker when positive."""

    quantity: Decimal
    price: Decimal
    fee: Decimal
    realised: Decimal
    slippage: Decimal | None
    at: datetime


@dataclass(frozen=True, slots=True)
class LegTrail:
    """One instruction with its checks, order and fills."""

    leg: LegView
    checks: tuple[Check, ...]
    order: Order | None
    fills: tuple[FillView, ...]

    @property
    def is_allowed(self) -> bool:
        return self.leg.verdict not in {LegVerdict.DENIED, LegVerdict.REJECTED}


@dataclass(frozen=True, slots=True)
class Peer:
    """Another participant's turn of the same round."""

    entrant: Entrant
    outcome: str
    is_here: bool


@dataclass(frozen=True, slots=True)
class Trail:
    """Everything on record about one turn."""

    season: Season
    entrant: Entrant
    round: Round
    turn: Turn
    decision: Decision | None
    previous: int | None
    following: int | None
    system: RawText | None
    market: RawText | None
    account: RawText | None
    attempts: tuple[Attempt, ...]
    legs: tuple[LegTrail, ...]
    snapshot: Mapping[str, Any]
    equity_before: Decimal | None
    equity_after: Decimal | None
    peers: tuple[Peer, ...]
    template: str

    @property
    def is_settled(self) -> bool:
        return self.turn.state == TurnState.SETTLED

    @property
    def denied(self) -> int:
        return sum(leg.leg.verdict == LegVerdict.DENIED for leg in self.legs)

    @property
    def earned(self) -> Decimal | None:
        """Return by how much the account's equity changed over the round."""
        if self.equity_before is None or self.equity_after is None:
            return None
        return self.equity_after - self.equity_before

    @property
    def summary(self) -> str:
        return shown(self.decision.summary) if self.decision else ""

    @property
    def reason(self) -> str:
        """Return why there was nothing to trade on, unless the decision's own error says it."""
        reason = shown(self.turn.reason)
        return "" if self.decision and self.decision.error.startswith(self.turn.reason) else reason

    @property
    def ordered(self) -> tuple[LegTrail, ...]:
        """Return the instructions that became an order."""
        return tuple(leg for leg in self.legs if leg.order is not None and leg.is_allowed)


def find_turn(season: Season, number: int, slug: str) -> Turn | None:
    """Return the turn of a participant in a round, None when there is none."""
    return (
        turn_rows()
        .select_related("round__snapshot", "decision__completion", "participant__agent__template")
        .filter(round__competition=season.competition, round__number=number, participant__slug=slug)
        .first()
    )


def trail_of(season: Season, turn: Turn) -> Trail:
    """Return the trail. Queries at most eight times."""
    completions = list(Completion.objects.filter(turn_key=turn.turn_key).order_by("attempt"))
    texts = _texts(completions)
    before, after_close = _equity(turn)
    last = completions[-1] if completions else None
    number = turn.round.number
    return Trail(
        season=season,
        entrant=season.by_id[turn.participant_id],
        round=turn.round,
        turn=turn,
        decision=turn.decision,
        previous=number - 1 if number > 1 else None,
        following=number + 1 if number < season.competition.round_count else None,
        system=texts[last.system_id] if last else None,
        market=texts[last.market_id] if last else None,
        account=texts[last.account_id] if last else None,
        attempts=tuple(_attempt(row, texts) for row in completions),
        legs=tuple(_leg_trail(season, leg) for leg in turn.legs.all()),
        snapshot=turn.round.snapshot.content() if turn.round.snapshot else {},
        equity_before=before,
        equity_after=after_close,
        peers=tuple(_peers(season, turn)),
        template=str(turn.participant.agent.template),
    )


def _texts(completions: Sequence[Completion]) -> dict[str, RawText]:
    wanted: set[str] = set()
    for row in completions:
        keys = (row.system_id, row.market_id, row.account_id, row.request_id)
        wanted |= {key for key in (*keys, row.body_id, row.text_id, row.reasoning_id) if key}
    return {key: raw_text(blob) for key, blob in Blob.objects.in_bulk(list(wanted)).items()}


def raw_text(blob: Blob) -> RawText:
    """Return a stored text for the page; bytes that are no UTF-8 show as replacement characters."""
    text = blob.raw().decode("utf-8", "replace")
    return RawText(text[:RAW_LIMIT], blob.sha256, blob.size, len(text) > RAW_LIMIT)


def _attempt(row: Completion, texts: Mapping[str, RawText]) -> Attempt:
    def found(key: str | None) -> RawText | None:
        return texts.get(key) if key else None

    return Attempt(
        row=row,
        request=found(row.request_id),
        text=found(row.text_id),
        reasoning=found(row.reasoning_id),
        body=found(row.body_id),
    )


def _leg_trail(season: Season, leg: Leg) -> LegTrail:
    order = leg.order
    return LegTrail(
        leg=leg_view(season, leg),
        checks=tuple(check_of(row) for row in order.checks) if order else (),
        order=order,
        fills=tuple(_fill_view(fill) for fill in order.fills.all()) if order else (),
    )


def _fill_view(fill: Fill) -> FillView:
    slippage = None
    if fill.reference_price:
        slippage = fill.price / fill.reference_price - 1
        slippage = slippage if fill.side == OrderSide.BUY else -slippage
    return FillView(fill.quantity, fill.price, fill.fee, fill.realised, slippage, fill.at)


def _equity(turn: Turn) -> tuple[Decimal | None, Decimal | None]:
    """Return the account's equity at the close before the round and at the round's own."""
    number = turn.round.number
    rows = EquityPoint.objects.filter(
        account__participant=turn.participant_id, number__in=[number - 1, number]
    )
    found = dict(rows.values_list("number", "equity"))
    return found.get(number - 1), found.get(number)


def _peers(season: Season, turn: Turn) -> Iterator[Peer]:
    rows = Turn.objects.filter(round=turn.round).order_by("participant__ordinal")
    for participant, outcome in rows.values_list("participant_id", "outcome"):
        yield Peer(season.by_id[participant], outcome, participant == turn.participant_id)


def steps_of(trail: Trail) -> tuple[Step, ...]:
    """Return the eight stations, each with its state, its time and a word."""
    return (
        _snapshot_step(trail),
        _prompt_step(trail),
        _answer_step(trail),
        _parse_step(trail),
        _risk_step(trail),
        _order_step(trail),
        _fill_step(trail),
        _result_step(trail),
    )


def _not_reached(trail: Trail, name: str, anchor: str) -> Step:
    return Step(name, anchor, NONE if trail.is_settled else WAIT, "", "—")


def _snapshot_step(trail: Trail) -> Step:
    snapshot = trail.round.snapshot
    if snapshot is None:
        return _not_reached(trail, "Snapshot", "snapshot")
    count = len(trail.snapshot.get("quotes", {}))
    if not trail.round.has_data:
        return Step("Snapshot", "snapshot", BAD, second(snapshot.captured_at), "no usable data")
    return Step(
        "Snapshot", "snapshot", OK, second(snapshot.captured_at), f"{count} symbols, all usable"
    )


def _prompt_step(trail: Trail) -> Step:
    if not trail.attempts:
        return _not_reached(trail, "Prompt", "prompt")
    first = trail.attempts[0].row
    size = sum(text.size for text in (trail.system, trail.market, trail.account) if text)
    tokens = f"{first.input_tokens:,} tokens" if first.input_tokens else f"{size:,} bytes"
    return Step("Prompt", "prompt", OK, after(first.sent_at, trail.round.opened_at), tokens)


def _answer_step(trail: Trail) -> Step:
    if not trail.attempts:
        return _not_reached(trail, "Answer", "answer")
    last = trail.attempts[-1].row
    when = after(last.answered_at, trail.round.opened_at)
    if last.status != CompletionStatus.OK:
        return Step("Answer", "answer", BAD, when, last.get_status_display().lower())
    tokens = f"{last.output_tokens:,} tokens" if last.output_tokens else "received"
    state = OK if len(trail.attempts) == 1 else WARN
    tries = "" if state == OK else f", try {last.attempt}"
    return Step("Answer", "answer", state, when, tokens + tries)


def _parse_step(trail: Trail) -> Step:
    decision = trail.decision
    if decision is None:
        return _not_reached(trail, "Parse", "parse")
    when = after(decision.decided_at, trail.round.opened_at)
    if decision.status == DecisionStatus.VALID:
        count = len(decision.instructions)
        return Step("Parse", "parse", OK, when, f"valid, {count} instruction{'s'[: count != 1]}")
    if decision.status == DecisionStatus.REPAIRED:
        return Step("Parse", "parse", WARN, when, "repaired")
    return Step("Parse", "parse", BAD, when, decision.get_status_display().lower())


def _risk_step(trail: Trail) -> Step:
    judged = [leg for leg in trail.legs if leg.leg.verdict not in _UNJUDGED]
    if not judged:
        return _not_reached(trail, "Risk", "risk")
    allowed = sum(leg.is_allowed for leg in judged)
    state = OK if allowed == len(judged) else WARN
    return Step("Risk", "risk", state, "", f"{allowed} of {len(judged)} allowed")


def _order_step(trail: Trail) -> Step:
    sent = trail.ordered
    if not sent:
        return _not_reached(trail, "Order", "order")
    orders = [leg.order for leg in sent if leg.order is not None]
    when = after(orders[0].created_at, trail.round.opened_at)
    denied = f", {trail.denied} denied" if trail.denied else ""
    return Step("Order", "order", WARN if denied else OK, when, f"{len(orders)} sent{denied}")


def _fill_step(trail: Trail) -> Step:
    filled = [leg for leg in trail.ordered if leg.fills]
    if not filled:
        return _not_reached(trail, "Fill", "order")
    first = filled[0]
    grid = first.leg.grid
    quantity = on_grid(first.leg.filled_quantity, grid.step if grid else None)
    price = on_grid(first.leg.filled_price, grid.tick if grid else None)
    what = f"{quantity} {first.leg.base} at {price}"
    return Step(
        "Fill", "order", OK, "", what if len(filled) == 1 else f"{what}, {len(filled) - 1} more"
    )


def _result_step(trail: Trail) -> Step:
    if not trail.is_settled:
        return _not_reached(trail, "Result", "result")
    outcome = trail.turn.outcome
    good = {TurnOutcome.TRADED, TurnOutcome.HELD}
    mild = {TurnOutcome.DENIED, TurnOutcome.SKIPPED, TurnOutcome.CANCELLED, TurnOutcome.LATE}
    state = OK if outcome in good else WARN if outcome in mild else BAD
    when = after(trail.turn.settled_at, trail.round.opened_at)
    what = outcome.lower()
    if trail.earned is not None:
        change = signed(trail.earned) if trail.earned else "unchanged"
        what += f", equity {change}"
    return Step("Result", "result", state, when, what)
