"""Take candle files into the arena."""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from django.core.management.base import CommandError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from marketdata.domain.facts import Timeframe
from marketdata.management.base import SHOWN, ArenaCommand, wrong_use
from marketdata.management.output import console_on, table, write_tables
from marketdata.services import CandleFileError, ImportReport, add_known_instruments, import_candles
from marketdata.services.candle_files import is_candle_file

SHOWN_GAPS = 3
_SYMBOL = re.compile(r"[A-Z0-9.:_]{1,32}")
_SOURCE = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _symbol(text: str) -> str:
    if not _SYMBOL.fullmatch(text):
        raise ArgumentTypeError(
            f"a symbol such as BTCUSDT is wanted (capitals, digits, . : _, 32 at most), was {text[:SHOWN]!r}"
        )
    return text


def _source(text: str) -> str:
    if not _SOURCE.fullmatch(text):
        raise ArgumentTypeError(
            f"a name of letters, digits, - and _ (64 at most) is wanted, was {text[:SHOWN]!r}"
        )
    return text


class Command(ArenaCommand):
    help = (
        "Import candles from Parquet, CSV or CSV.gz files with the columns date (or open_time, timestamp), open, high, low, close "
        "and volume. Doing it twice is harmless."
    )
    exit_codes = {
        0: "every file was imported (rows that were there already count as imported)",
        1: "some file was not imported: it is named with the reason, the others are in",
        130: "stopped by Ctrl+C: a file is taken whole or not at all; run it again",
    }
    examples = (
        "import_candles data/",
        "import_candles BTCUSDT-1m.csv --symbol BTCUSDT --timeframe 1m",
    )
    interrupted = "stopped: files that were done are in; run the same line again for the rest"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "paths", nargs="+", type=Path, metavar="PATH", help="File or directory."
        )
        parser.add_argument(
            "--source",
            type=_source,
            default="binance-usdm",
            help="Name under which they are stored and a replay feed finds them (binance-usdm).",
        )
        parser.add_argument(
            "--symbol", type=_symbol, help="For file names that do not tell it, such as prices.csv."
        )
        parser.add_argument("--timeframe", choices=[str(item) for item in Timeframe])

    def handle(self, *args: Any, **options: Any) -> None:
        files = list(_files(options["paths"]))
        symbol, timeframe = options["symbol"], options["timeframe"]
        if (symbol or timeframe) and len(files) > 1:
            raise wrong_use(f"--symbol and --timeframe are for one file, found {len(files)} files")
        is_terminal = self.stdout.isatty()
        console = console_on(cast("IO[str]", self.stdout), is_terminal=is_terminal)
        reports: list[ImportReport] = []
        failures = 0
        with _bar(console) as bar:
            for path in files:
                try:
                    reports.append(
                        _import(bar, path, options["source"], symbol=symbol, timeframe=timeframe)
                    )
                except CandleFileError as error:
                    failures += 1
                    self.stderr.write(self.style.ERROR(str(error)))
        if reports:
            write_tables(self.stdout, [_summary(reports)], no_color=options["no_color"])
            self._tell_instruments(reports)
        if failures:
            raise CommandError(f"{failures} of {len(files)} files not imported")

    def _tell_instruments(self, reports: list[ImportReport]) -> None:
        symbols = list(dict.fromkeys(report.symbol for report in reports))
        for symbol in add_known_instruments(symbols):
            self.stdout.write(
                f"{symbol} has no instrument yet: add it in the admin (Market data, Instruments) to trade it"
            )


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            found = sorted(item for item in path.rglob("*") if is_candle_file(item))
            if not found:
                raise wrong_use(f"{path} holds no .parquet, .csv or .csv.gz file")
            yield from found
        elif path.is_file():
            yield path
        else:
            raise wrong_use(f"{path} is no file and no directory")


def _bar(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


def _import(
    bar: Progress, path: Path, source: str, *, symbol: str | None, timeframe: str | None
) -> ImportReport:
    task = bar.add_task(path.name, total=None)
    try:
        return import_candles(
            path,
            source=source,
            symbol=symbol,
            timeframe=timeframe,
            on_progress=lambda done, rows: bar.update(task, completed=done, total=rows),
        )
    finally:
        bar.remove_task(task)


def _summary(reports: list[ImportReport]) -> Table:
    headings = ("symbol", "timeframe", "from (UTC)", "to (UTC)", "rows", "new", "gaps")
    rows = [
        (
            report.symbol,
            report.timeframe,
            f"{report.first_open:%Y-%m-%d %H:%M}",
            f"{report.last_open + report.timeframe.delta:%Y-%m-%d %H:%M}",
            report.rows,
            report.new,
            _gaps(report),
        )
        for report in reports
    ]
    return table("Candles", headings, rows, right=("rows", "new"))


def _gaps(report: ImportReport) -> str:
    if not report.gaps:
        return "none"
    shown = [f"{gap.missing} at {gap.start:%Y-%m-%d %H:%M}" for gap in report.gaps[:SHOWN_GAPS]]
    more = len(report.gaps) - SHOWN_GAPS
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
