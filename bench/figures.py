"""What a benchmark tells: figures, each with its unit and the aim it is held against."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; ``aim`` is what it should stay at or below, None where there is none."""

    name: str
    value: float
    unit: str
    aim: float | None = None

    @property
    def is_missed(self) -> bool:
        return self.aim is not None and self.value > self.aim

    def __str__(self) -> str:
        aim = "" if self.aim is None else f" (aim {self.aim:g}{', MISSED' * self.is_missed})"
        return f"{self.name} {self.value:.3g} {self.unit}".rstrip() + aim

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "value": round(self.value, 4),
            "unit": self.unit,
            "aim": self.aim,
            "missed": self.is_missed,
        }


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that ``share`` (0 to 1) of all are at or below; ``values`` must not be empty."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def tell(name: str, measure: Callable[[], list[Figure]]) -> None:
    """Run a benchmark and print its figures in one line, or as JSON where the command line asks for it."""
    parser = argparse.ArgumentParser(prog=f"python -m bench.{name}")
    parser.add_argument("--json", action="store_true", help="tell the figures as JSON")
    as_json = parser.parse_args().json
    figures = measure()
    if as_json:
        told = {"benchmark": name, "figures": [figure.as_json() for figure in figures]}
        print(json.dumps(told), flush=True)
    else:
        print(f"{name}: {'; '.join(map(str, figures))}", flush=True)
