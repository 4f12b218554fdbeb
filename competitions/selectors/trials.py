"""A trial as it is told: what was asked, what came back, what the rules said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agents.models import Completion
from competitions.models import Trial
from marketdata.models import Blob


@dataclass(frozen=True, slots=True)
class TrialView:
    """A trial with its texts; those of the prompt and ``answer`` are None while nothing was asked. ``call`` is the last try."""

    row: Trial
    attempts: int
    call: Completion | None
    system: str | None
    market: str | None
    account: str | None
    answer: str | None

    @property
    def as_of(self) -> datetime | None:
        return self.row.snapshot.as_of if self.row.snapshot else None

    @property
    def verdicts(self) -> list[Mapping[str, Any]]:
        return list(self.row.verdicts)


def trial_view(row: Trial) -> TrialView:
    """Return a trial with its texts; its snapshot, decision, competition and participant should be loaded. Queries twice."""
    calls = list(Completion.objects.filter(turn_key=row.trial_key).order_by("attempt"))
    last = calls[-1] if calls else None
    texts: dict[str, str] = {}
    if last is not None:
        wanted = [last.system_id, last.market_id, last.account_id, last.text_id]
        found = Blob.objects.in_bulk([key for key in wanted if key])
        texts = {key: blob.raw().decode("utf-8", "replace") for key, blob in found.items()}
    return TrialView(
        row=row,
        attempts=len(calls),
        call=last,
        system=texts.get(last.system_id) if last else None,
        market=texts.get(last.market_id) if last else None,
        account=texts.get(last.account_id) if last else None,
        answer=texts.get(last.text_id) if last and last.text_id else None,
    )
