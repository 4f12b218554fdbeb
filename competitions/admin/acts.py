"""Pages on which acts on seasons are asked about first, and the acts themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from competitions.models import Competition
from competitions.models.roles import CONTROL
from competitions.reauth import ask_again, open_question
from competitions.selectors.operations import Run, run_of
from competitions.services import control
from competitions.services.duplicating import duplicate_season
from competitions.services.errors import ControlError, InvalidWish
from competitions.services.proposing import Proposal, propose, start_as_agreed
from trading.models.books import Venue

CHANGELIST = "admin:competitions_competition_changelist"
MOST_AT_ONCE = 20
REASON_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Act:
    """What can be done to a season: ``word`` is its participle, one of those that the services allow states for."""

    slug: str
    title: str
    button: str
    word: str
    explains: str
    is_danger: bool = False


ACTS: Mapping[str, Act] = {
    act.slug: act
    for act in (
        Act(
            "start",
            "Start",
            "Start under this contract",
            "started",
            "The contract below is frozen and hashed, each participant gets an account with the start capital, and rounds begin. "
            "From then on nobody can change the rules.",
        ),
        Act(
            "schedule",
            "Let the clock start it",
            "Let the clock start it",
            "scheduled",
            "The clock starts it at its first slot. The contract is frozen then, not now: what is saved here until that time counts.",
        ),
        Act(
            "pause",
            "Pause now",
            "Pause now",
            "paused",
            "Turns without an answer are cancelled, and no position grows until the season is resumed.",
        ),
        Act(
            "pause-after-round",
            "Pause after the round",
            "Pause after the round",
            "paused",
            "The running round is played to its end; then the season pauses.",
        ),
        Act(
            "resume",
            "Resume",
            "Resume",
            "resumed",
            "Rounds go on with the next slot. What was missed becomes one gap on record.",
        ),
        Act(
            "stop",
            "Stop for good",
            "Stop for good",
            "stopped",
            "Turns without an answer are cancelled and the season ends here. Positions are not closed: they stay valued at the last "
            "marks. A stopped season cannot be resumed.",
            is_danger=True,
        ),
        Act(
            "duplicate",
            "Duplicate",
            "Make the draft",
            "",
            "Makes a new draft with the same rules, instruments and participants. Nothing of what was played is taken over.",
        ),
    )
}
CONFIRMED = {"start", "schedule"}
# A pause only ever makes things safer.
PROVED_WHERE_LIVE = {"start", "schedule", "resume", "stop"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One season on the page; ``refusal`` says why the act cannot be done to it."""

    row: Competition
    refusal: str = ""
    proposal: Proposal | None = None
    run: Run | None = None
    name: str = ""

    @property
    def can_be_done(self) -> bool:
        return not self.refusal and (self.proposal is None or self.proposal.can_start)


def has_control_permission(request: HttpRequest) -> bool:
    """Tell whether the user may start, pause, resume and stop seasons."""
    return request.user.has_perm(CONTROL)


def page_of(act: str, rows: Iterable[Competition]) -> str:
    """Return the address of the page that asks about ``act`` on the seasons."""
    seasons = "&".join(f"season={row.pk}" for row in rows)
    return f"{reverse('admin:competitions_competition_act', args=[act])}?{seasons}"


def offered(row: Competition) -> list[Act]:
    """Return the acts that the season's state allows."""
    return [act for act in ACTS.values() if not act.word or not control.why_not(row, act.word)]


def act_view(model_admin: Any, request: HttpRequest, act: str) -> HttpResponse:
    """Ask about an act on one season or several (``season`` in the query), and do it when it was confirmed."""
    if act not in ACTS:
        raise Http404
    may = model_admin.has_add_permission if act == "duplicate" else has_control_permission
    if not may(request):
        raise PermissionDenied
    rows = _chosen(request)
    if request.method != "POST":
        return _ask(model_admin, request, ACTS[act], [_asked(act, row) for row in rows])
    if act in PROVED_WHERE_LIVE and any(row.venue == Venue.BINANCE_LIVE for row in rows):
        question = open_question(request)
        if question is not None:
            return ask_again(request, question)
    left = [again for row in rows if (again := _done(model_admin, request, act, row))]
    if left:
        return _ask(model_admin, request, ACTS[act], left, has_changed=True)
    return HttpResponseRedirect(_next_page(request, rows))


def _chosen(request: HttpRequest) -> Sequence[Competition]:
    wanted = (request.POST if request.method == "POST" else request.GET).getlist("season")
    known = Competition.objects.select_related("feed", "book", "duplicated_from")
    try:
        rows = list(known.filter(pk__in=wanted[:MOST_AT_ONCE]).order_by("created_at"))
    except (ValidationError, ValueError):
        rows = []
    if not rows:
        raise Http404("no such season")
    return rows


def _asked(act: str, row: Competition) -> Asked:
    word, now = ACTS[act].word, timezone.now()
    refusal = control.why_not(row, word) if word else ""
    if refusal:
        return Asked(row, refusal)
    if act in CONFIRMED:
        return Asked(row, proposal=propose(row, now=now))
    if act == "duplicate":
        longest = Competition._meta.get_field("name").max_length or 0
        return Asked(row, name=f"{row.name[: longest - 6]} again")
    return Asked(row, run=run_of(row, now=now))


def _ask(
    model_admin: Any,
    request: HttpRequest,
    act: Act,
    asked: Sequence[Asked],
    *,
    has_changed: bool = False,
) -> HttpResponse:
    context = {
        **model_admin.admin_site.each_context(request),
        "title": act.title,
        "opts": model_admin.opts,
        "act": act,
        "asked": asked,
        "has_changed": has_changed,
        "can_be_done": any(item.can_be_done for item in asked),
        "back": _page_after(asked[0].row) if len(asked) == 1 else reverse(CHANGELIST),
    }
    return TemplateResponse(request, "admin/competitions/competition/act.html", context)


def _done(model_admin: Any, request: HttpRequest, act: str, row: Competition) -> Asked | None:
    """Do the act and say so; return what there is to confirm again where it was not done for that."""
    try:
        proposal = _perform(request, act, row)
    except ControlError as error:
        messages.error(request, f"{row.name} was not {ACTS[act].word or 'duplicated'}: {error}.")
    except InvalidWish as error:
        messages.error(request, f"{row.name} was not duplicated: the {error.field} {error}.")
    else:
        if proposal is not None:
            return Asked(row, proposal=proposal)
        tell(model_admin, request, act, row)
    return None


def tell(model_admin: Any, request: HttpRequest, act: str, row: Competition) -> None:
    """Say what was done, and write it into the admin's history of the season."""
    done = {"pause-after-round": "pauses when the running round has closed"}
    said = done.get(act, f"was {ACTS[act].word or 'duplicated'}")
    model_admin.log_change(request, row, f"{ACTS[act].title}: {row.slug} {said}.")
    messages.success(request, f"{row.name} {said}.")


def _perform(request: HttpRequest, act: str, row: Competition) -> Proposal | None:
    actor, now = request.user.get_username(), timezone.now()
    if act in CONFIRMED:
        return start_as_agreed(
            row,
            agreed=request.POST.get(f"agreed-{row.pk}", ""),
            shown=request.POST.get(f"shown-{row.pk}", ""),
            actor=actor,
            now=now,
            at_its_time=act == "schedule",
        )
    if act == "duplicate":
        name = request.POST.get(f"name-{row.pk}", "")
        made = duplicate_season(row, name=name, actor=actor, now=now)
        request.made_season = made  # type: ignore[attr-defined]
        return None
    reason = request.POST.get("reason", "").strip()[:REASON_LENGTH]
    unasked(act)(row, actor=actor, reason=reason, now=now)
    return None


def unasked(act: str) -> Callable[..., Competition]:
    """Return the service of an act that needs no confirmed contract; all take a reason."""

    def pause(row: Competition, *, actor: str, reason: str, now: datetime) -> Competition:
        later = act == "pause-after-round"
        return control.pause_competition(
            row, actor=actor, reason=reason, after_round=later, now=now
        )

    def resume(row: Competition, *, actor: str, reason: str, now: datetime) -> Competition:
        return control.resume_competition(row, actor=actor, now=now)

    known = {"resume": resume, "stop": control.stop_competition}
    return known.get(act, pause)


def _next_page(request: HttpRequest, rows: Sequence[Competition]) -> str:
    if len(rows) > 1:
        return reverse(CHANGELIST)
    return _page_after(getattr(request, "made_season", rows[0]))


def _page_after(row: Competition) -> str:
    return reverse("admin:competitions_competition_change", args=[row.pk])
