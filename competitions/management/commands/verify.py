"""Recompute a season from its records and compare."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from competitions.models import Competition
from competitions.services.verifying import verify_season


class Command(BaseCommand):
    help = "Re-run a season from its tape, snapshots and decision texts, and compare fills, postings, equity and digests. Exit code 1 on a difference."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug")

    def handle(self, *args: Any, **options: Any) -> None:
        competition = Competition.objects.filter(slug=options["slug"]).first()
        if competition is None:
            raise CommandError(f"there is no competition {options['slug']!r}")
        if not competition.has_started:
            raise CommandError(f"{competition.slug} has not started, there is nothing to verify")
        report = verify_season(competition)
        self.stdout.write(
            f"{competition.slug}: {report.rounds} rounds, {report.turns} turns, {report.fills} fills recomputed"
        )
        self.stdout.write(f"contract {competition.contract_hash}")
        self.stdout.write(f"digest   {report.digest}")
        for problem in report.problems:
            self.stderr.write(problem)
        if report.problems:
            raise CommandError(
                f"{competition.slug} does not verify: {len(report.problems)} differences, the first: {report.problems[0]}"
            )
        self.stdout.write("everything agrees")
