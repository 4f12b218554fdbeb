"""Ask one agent as a season's first round would, and show everything: nothing is traded."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone
from rich.table import Table

from agents.models import Agent
from competitions.management.chosen import find_competition
from competitions.models import Competition, Trial
from competitions.models.trials import TrialOutcome
from competitions.selectors.trials import TrialView, trial_view
from competitions.services.trials import request_agent_trial, run_trial
from marketdata.domain.canonical import canonical_time
from marketdata.management.base import SHOWN, ArenaCommand, wrong_use
from marketdata.management.output import table, write_line, write_tables

NO_DECISION, NOT_ASKED = 1, 3
LISTED = 20


class Command(ArenaCommand):
    help = (
        "Ask an agent once with the real prompt and parameters, and show prompt sizes, answer, decision, and what the rules say to it. "
        "Nothing is traded; the call is on record."
    )
    exit_codes = {
        0: "a decision was read",
        1: "the answer was of no use: what it was is told",
        3: "nothing was asked, for example for want of a key",
        130: "stopped by Ctrl+C: a call that was under way may be paid for, and is not read",
    }
    examples = ("try_agent claude", "try_agent claude --competition demo --symbols BTCUSDT --json")
    has_json = True
    interrupted = "stopped: a call that was under way may be paid for, and is not read"

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
            self.write_json(_plain(view))
        else:
            self._show(view)
        _end(view)

    def _show(self, view: TrialView) -> None:
        row, call = view.row, view.call
        write_line(
            self.stdout,
            f"{row.agent.slug} in {row.competition.slug}: {row.get_outcome_display()}",
        )
        if row.reason:
            write_line(self.stdout, row.reason)
        if call is not None:
            sizes = ", ".join(f"{name} {size}" for name, size in _sizes(view).items())
            write_line(self.stdout, f"prompt characters: {sizes}")
            write_line(
                self.stdout,
                f"{_count(view.attempts, 'try', 'tries')}, {call.latency_ms} ms, "
                f"tokens in {_figure(call.input_tokens)}, out {_figure(call.output_tokens)}",
            )
            for line in (view.answer or "(no text)").splitlines():
                write_line(self.stdout, line)
        if row.verdicts:
            write_tables(self.stdout, [_table(view)])
            for item in row.verdicts:
                if item["denial"]:
                    write_line(self.stdout, f"{item['index']}: {item['denial']}")


def _agent(slug: str) -> Agent:
    found = Agent.objects.filter(slug=slug).first()
    if found is None:
        known = ", ".join(Agent.objects.order_by("slug").values_list("slug", flat=True)[:LISTED])
        raise wrong_use(f"there is no agent {slug[:SHOWN]!r}; there is {known or 'none yet'}")
    return found


def _competition(slug: str) -> Competition:
    if slug:
        return find_competition(slug)
    found = Competition.objects.order_by("-created_at").first()
    if found is None:
        raise wrong_use("a competition is wanted; there is none yet")
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


def _table(view: TrialView) -> Table:
    return table(
        "What the rules say; nothing was traded",
        ("", "Action", "Symbol", "Verdict", "Quantity", "Price"),
        [
            (
                item["index"],
                item["instruction"]["action"],
                item["instruction"]["symbol"] or None,
                item["verdict"],
                item["quantity"] or None,
                item["price"] or None,
            )
            for item in view.verdicts
        ],
        right=("Quantity", "Price"),
    )


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
