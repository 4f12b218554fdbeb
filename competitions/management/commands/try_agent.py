"""Ask one agent as a season's first round would, and show everything: nothing is traded."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agents.models import Agent
from competitions.models import Competition, Trial
from competitions.models.trials import TrialOutcome
from competitions.selectors.trials import TrialView, trial_view
from competitions.services.trials import request_agent_trial, run_trial
from marketdata.domain.canonical import canonical_time

NO_DECISION, NOT_ASKED = 1, 2
LISTED = 20


class Command(BaseCommand):
    help = (
        "Ask an agent once with the real prompt and parameters, and show prompt sizes, answer, decision, and what the rules say to it. "
        "Nothing is traded; the call is on record. Exit codes: 0 a decision was read, 1 the answer was of no use, 2 nothing was asked."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("agent", help="the agent's slug, for example claude-sonnet")
        parser.add_argument(
            "--competition",
            metavar="SLUG",
            default="",
            help="whose market and rules to ask about (default: the one made last)",
        )
        parser.add_argument(
            "--symbols",
            metavar="A,B",
            default="",
            help="show only these of its symbols, separated by commas",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        trial = request_agent_trial(
            _agent(options["agent"]),
            _competition(options["competition"]),
            symbols=[
                name.strip().upper() for name in options["symbols"].split(",") if name.strip()
            ],
            actor="try_agent",
            now=timezone.now(),
        )
        run_trial(trial.pk)
        view = trial_view(_loaded(trial))
        if options["json"]:
            self.stdout.write(json.dumps(_plain(view), indent=1, ensure_ascii=False))
        else:
            console = Console(
                file=cast("IO[str]", self.stdout), force_terminal=self.stdout.isatty()
            )
            _show(view, console)
        _end(view)


def _agent(slug: str) -> Agent:
    found = Agent.objects.filter(slug=slug).first()
    if found is None:
        known = ", ".join(Agent.objects.order_by("slug").values_list("slug", flat=True)[:LISTED])
        raise CommandError(
            f"there is no agent {slug!r}; there is {known or 'none yet'}", returncode=NOT_ASKED
        )
    return found


def _competition(slug: str) -> Competition:
    rows = Competition.objects.order_by("-created_at")
    found = rows.filter(slug=slug).first() if slug else rows.first()
    if found is None:
        known = ", ".join(rows.values_list("slug", flat=True)[:LISTED])
        wanted = f"there is no competition {slug!r}" if slug else "a competition is wanted"
        raise CommandError(f"{wanted}; there is {known or 'none yet'}", returncode=NOT_ASKED)
    return found


def _loaded(trial: Trial) -> Trial:
    return Trial.objects.select_related("snapshot", "decision", "competition", "agent").get(
        pk=trial.pk
    )


def _plain(view: TrialView) -> dict[str, Any]:
    row, call, decision = view.row, view.call, view.row.decision
    return {
        "agent": row.agent.slug,
        "competition": row.competition.slug,
        "key": row.trial_key,
        "outcome": row.outcome,
        "reason": row.reason,
        "as_of": canonical_time(view.as_of) if view.as_of else None,
        "prompt_characters": _sizes(view),
        "attempts": view.attempts,
        "latency_ms": call.latency_ms if call else None,
        "input_tokens": call.input_tokens if call else None,
        "output_tokens": call.output_tokens if call else None,
        "answer": view.answer,
        "status": decision.status if decision else None,
        "summary": decision.summary if decision else "",
        "repairs": decision.repairs if decision else [],
        "instructions": view.verdicts,
    }


def _sizes(view: TrialView) -> dict[str, int | None]:
    parts = {"system": view.system, "market": view.market, "account": view.account}
    return {name: None if text is None else len(text) for name, text in parts.items()}


def _show(view: TrialView, console: Console) -> None:
    row, call = view.row, view.call
    console.print(Text(f"{row.agent.slug} in {row.competition.slug}: {row.get_outcome_display()}"))
    if row.reason:
        console.print(Text(row.reason))
    if call is not None:
        sizes = ", ".join(f"{name} {size}" for name, size in _sizes(view).items())
        console.print(Text(f"prompt characters: {sizes}"))
        console.print(
            Text(
                f"{_count(view.attempts, 'try', 'tries')}, {call.latency_ms} ms, "
                f"tokens in {_figure(call.input_tokens)}, out {_figure(call.output_tokens)}"
            )
        )
        # As it came: a model's text is never markup.
        console.print(Text(view.answer or "(no text)"))
    if row.verdicts:
        console.print(_table(view))
        for item in row.verdicts:
            if item["denial"]:
                console.print(Text(f"{item['index']}: {item['denial']}"), soft_wrap=True)


def _table(view: TrialView) -> Table:
    table = Table(title="What the rules say; nothing was traded")
    for heading in ("", "Action", "Symbol", "Verdict", "Quantity", "Price"):
        table.add_column(heading)
    for item in view.verdicts:
        wish = item["instruction"]
        cells = (
            str(item["index"]),
            str(wish["action"]),
            str(wish["symbol"]) or "—",
            str(item["verdict"]),
            item["quantity"] or "—",
            item["price"] or "—",
        )
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _count(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _figure(value: int | None) -> str:
    return "—" if value is None else str(value)


def _end(view: TrialView) -> None:
    row = view.row
    if row.outcome == TrialOutcome.READ:
        return
    code = NO_DECISION if view.call is not None else NOT_ASKED
    raise CommandError(
        f"{row.agent.slug}: {row.get_outcome_display().lower()}: {row.reason or 'no decision'}",
        returncode=code,
    )
