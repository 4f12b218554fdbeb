"""What programs set up: a competition with the rules they wish, and who takes part in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.text import slugify

from agents.models import Provider
from agents.services.entering import ensure_agent
from competitions.domain.offer import offer_problems
from competitions.models import Competition, Participant
from competitions.models.competitions import ClockKind, CompetitionStatus, FillRule
from competitions.services.audit import record_act
from competitions.services.errors import ControlError, InvalidWish
from competitions.services.setup import rules_of
from marketdata.domain.facts import Timeframe
from marketdata.models import Feed, Instrument
from marketdata.models.feeds import FeedKind
from marketdata.models.instruments import AssetClass

UNSTARTED = {CompetitionStatus.DRAFT, CompetitionStatus.SCHEDULED}
DEFAULT_TIMEFRAMES = ("1m", "15m")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompetitionWish:
    """A competition as asked for; ``fields`` are columns of Competition, empty names mean the arena's choice.

    Without ``symbols`` every enabled instrument of the ``asset_classes`` is traded. Without ``feed`` it is the one of the
    wall-clock season made last, else Binance's, else the first there is.
    """

    name: str
    slug: str = ""
    feed: str = ""
    symbols: Sequence[str] = ()
    asset_classes: Sequence[str] = (AssetClass.CRYPTO,)
    fields: Mapping[str, Any] = field(default_factory=dict)


@transaction.atomic
def create_competition(wish: CompetitionWish, *, actor: str, now: datetime) -> Competition:
    """Store a draft.

    Raises:
        InvalidWish: Naming the field, what was found and what is wanted.
    """
    feed = _feed(wish.feed)
    clock = ClockKind.DATA if feed.kind == FeedKind.REPLAY else ClockKind.WALL
    if clock == ClockKind.WALL:
        _refuse_past(wish.fields, now=now)
    chosen = {
        "timeframes": list(DEFAULT_TIMEFRAMES),
        "fill_rule": FillRule.ARRIVAL if clock == ClockKind.WALL else FillRule.NEXT_BAR,
        **wish.fields,
    }
    instruments = _instruments(wish.symbols, wish.asset_classes)
    row = Competition(
        name=wish.name, slug=wish.slug or free_slug(wish.name), feed=feed, clock=clock, **chosen
    )
    _refuse_bad_fields(row)
    _refuse_unplayable(row)
    _refuse_misfits(row, [instrument.symbol for instrument in instruments])
    row.save()
    row.instruments.set(instruments)
    try:
        rules_of(row)
    except ValueError as error:
        raise InvalidWish(str(error).split(" ", 1)[0], str(error)) from error
    record_act("created", row.slug, actor=actor, now=now)
    return row


def _feed(slug: str) -> Feed:
    feeds = Feed.objects.order_by("pk")
    if slug:
        found = feeds.filter(slug=slug).first()
        if found is None:
            known = ", ".join(feeds.values_list("slug", flat=True)) or "none, set one up first"
            raise InvalidWish("feed", f"must be one of {known}, was {slug!r}")
        return found
    last = Competition.objects.filter(clock=ClockKind.WALL).select_related("feed")
    season = last.order_by("-created_at").first()
    default = season.feed if season else feeds.filter(kind=FeedKind.BINANCE).first()
    default = default or feeds.first()
    if default is None:
        raise InvalidWish("feed", "a feed is wanted, and none is set up")
    return default


def _refuse_past(fields: Mapping[str, Any], *, now: datetime) -> None:
    for name in ("starts_at", "ends_at"):
        value = fields.get(name)
        if value is not None and value <= now:
            raise InvalidWish(name, f"must be after now ({now:%Y-%m-%d %H:%M} UTC), was {value}")


def _instruments(symbols: Sequence[str], asset_classes: Sequence[str]) -> list[Instrument]:
    enabled = Instrument.objects.enabled().order_by("symbol")
    if not symbols:
        unknown = sorted(set(asset_classes) - set(AssetClass.values))
        if unknown or not asset_classes:
            known, found = ", ".join(AssetClass.values), ", ".join(unknown) or "none"
            raise InvalidWish("asset_classes", f"must be some of {known}, was {found}")
        rows = list(enabled.filter(asset_class__in=asset_classes))
        if not rows:
            raise InvalidWish(
                "asset_classes", f"no instrument of {', '.join(asset_classes)} is enabled"
            )
        return rows
    rows = list(enabled.filter(symbol__in=symbols))
    missing = sorted(set(symbols) - {row.symbol for row in rows})
    if missing:
        known = ", ".join(enabled.values_list("symbol", flat=True)) or "none"
        raise InvalidWish("symbols", f"must be some of {known}, was {', '.join(missing)}")
    return rows


def free_slug(name: str) -> str:
    """Return an address for a season of that name which no season has yet."""
    return _unused(
        slugify(name)[:70].strip("-") or "season",
        Competition.objects.values_list("slug", flat=True),
    )


def _unused(wanted: str, taken: Collection[str]) -> str:
    known = set(taken)
    slug, place = wanted, 1
    while slug in known:
        place += 1
        slug = f"{wanted}-{place}"
    return slug


def _refuse_misfits(row: Competition, symbols: Sequence[str]) -> None:
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    for name, words in offer_problems(values, symbols):
        raise InvalidWish(name, words)


def _refuse_bad_fields(row: Competition) -> None:
    try:
        row.full_clean()
    except ValidationError as error:
        name, messages = next(iter(error.message_dict.items()))
        found = getattr(row, name, None)
        told = " ".join(messages).rstrip(".")
        raise InvalidWish(name, f"{told}, was {found!s}" if found is not None else told) from error


def _refuse_unplayable(row: Competition) -> None:
    known = [item.value for item in Timeframe]
    unknown = [name for name in row.timeframes if name not in known]
    if unknown:
        raise InvalidWish(
            "timeframes", f"must be some of {', '.join(known)}, was {', '.join(unknown)}"
        )
    if row.clock == ClockKind.WALL and row.deadline_seconds > row.interval_seconds:
        raise InvalidWish(
            "deadline_seconds",
            f"must be at most the interval ({row.interval_seconds} s), was {row.deadline_seconds} s",
        )


@transaction.atomic
def register_participant(
    competition: Competition,
    name: str,
    *,
    provider: str,
    model: str,
    parameters: dict[str, Any],
    timeout_seconds: int,
    owner: User | None = None,
    actor: str,
    now: datetime,
) -> Participant:
    """Give an agent the next place in the roster of a season that has not started; the agent is made if it is new.

    Raises:
        ControlError: After the start, or when the roster is full.
        InvalidWish: Naming the field, what was found and what is wanted.
    """
    locked = Competition.objects.select_for_update(of=("self",)).get(pk=competition.pk)
    if locked.status not in UNSTARTED:
        raise ControlError(
            f"participants register before the start, and {locked.slug} is {locked.status}"
        )
    roster = list(locked.participants.order_by("ordinal"))
    if locked.max_participants is not None and len(roster) >= locked.max_participants:
        raise ControlError(
            f"{locked.slug} takes at most {locked.max_participants} participants, and has {len(roster)}"
        )
    try:
        agent = ensure_agent(
            name,
            _provider(provider),
            model,
            parameters=parameters,
            timeout_seconds=timeout_seconds,
        )
    except ValidationError as error:
        field_name, messages = next(iter(error.message_dict.items()))
        raise InvalidWish(field_name, " ".join(messages)) from error
    slug = _unused(slugify(name)[:50].strip("-") or agent.slug, [row.slug for row in roster])
    row = Participant.objects.create(
        competition=locked,
        ordinal=max((row.ordinal for row in roster), default=0) + 1,
        slug=slug,
        name=name,
        agent=agent,
        owner=owner,
    )
    record_act("registered", f"{locked.slug}/{row.slug}", actor=actor, now=now, agent=agent.slug)
    return row


def _provider(slug: str) -> Provider:
    enabled = Provider.objects.enabled().order_by("slug")
    found = enabled.filter(slug=slug).first()
    if found is None:
        known = ", ".join(enabled.values_list("slug", flat=True)) or "none, set one up first"
        raise InvalidWish("provider", f"must be one of {known}, was {slug!r}")
    return found
