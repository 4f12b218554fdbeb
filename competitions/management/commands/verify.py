"""Recompute a season from its records and compare."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from competitions.management.chosen import find_competition
from competitions.services.verifying import VerifyReport, verify_season
from marketdata.management.base import ArenaCommand, wrong_use


class Command(ArenaCommand):
    help = "Re-run a season from its tape, snapshots and decision texts, and compare fills, postings, equity and digests."
    exit_codes = {0: "everything agrees", 1: "there is a difference: the first ones are named"}
    examples = ("verify demo", "verify demo --json")
    has_json = True
    interrupted = "stopped: nothing was found out, and nothing was changed"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="the competition's address, for example demo")

    def handle(self, *args: Any, **options: Any) -> None:
        competition = find_competition(options["slug"])
        if not competition.has_started:
            raise wrong_use(f"{competition.slug} has not started, there is nothing to verify")
        report = verify_season(competition)
        if options["json"]:
            self.write_json(
                {
                    "ok": not report.problems,
                    "competition": competition.slug,
                    "contract": competition.contract_hash,
                    "digest": report.digest,
                    "rounds": report.rounds,
                    "turns": report.turns,
                    "fills": report.fills,
                    "problems": report.problems,
                }
            )
        else:
            self._tell(competition.slug, competition.contract_hash, report)
        if report.problems:
            raise CommandError(
                f"{competition.slug} does not verify: {len(report.problems)} differences, the first: {report.problems[0]}"
            )

    def _tell(self, slug: str, contract_hash: str, report: VerifyReport) -> None:
        self.stdout.write(
            f"{slug}: {report.rounds} rounds, {report.turns} turns, {report.fills} fills recomputed"
        )
        self.stdout.write(f"contract {contract_hash}")
        self.stdout.write(f"digest   {report.digest}")
        for problem in report.problems:
            self.stderr.write(problem)
        if not report.problems:
            self.stdout.write("everything agrees")
