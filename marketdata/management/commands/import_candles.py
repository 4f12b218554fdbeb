"""Take candle files into the arena."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from marketdata.domain.facts import Timeframe
from marketdata.services import CandleFileError, ImportReport, add_known_instruments, import_candles
from marketdata.services.candle_files import is_candle_file

SHOWN_GAPS = 3
# A file or a pipe has no width: nothing is cut.
PIPED_WIDTH = 200


class Command(BaseCommand):
    help = (
        "Import candles from Parquet, CSV or CSV.gz files with the columns date (or open_time, timestamp), open, high, low, close "
        "and volume. Doing it twice is harmless."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "paths", nargs="+", type=Path, metavar="PATH", help="File or directory."
        )
        parser.add_argument(
            "--source",
            default="binance-usdm",
            help="Name under which they are stored and a replay feed finds them (binance-usdm).",
        )
        parser.add_argument("--symbol", help="For names that do not tell, such as BTCUSDT-1m.csv.")
        parser.add_argument("--timeframe", choices=[str(item) for item in Timeframe])

    def handle(self, *args: Any, **options: Any) -> None:
        files = list(_files(options["paths"]))
        symbol, timeframe = options["symbol"], options["timeframe"]
        if (symbol or timeframe) and len(files) > 1:
            raise CommandError(
                f"--symbol and --timeframe are for one file, found {len(files)} files"
            )
        # Rich ends its lines itself.
        self.stdout.ending = ""
        console = Console(file=cast("IO[str]", self.stdout))
        if not console.is_terminal:
            console.width = PIPED_WIDTH
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
            console.print(_summary(reports))
            _tell_instruments(console, reports)
        if failures:
            raise CommandError(f"{failures} of {len(files)} files not imported")


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            found = sorted(item for item in path.rglob("*") if is_candle_file(item))
            if not found:
                raise CommandError(f"{path} holds no .parquet, .csv or .csv.gz file")
            yield from found
        elif path.is_file():
            yield path
        else:
            raise CommandError(f"{path} is no file and no directory")


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
    table = Table(box=None, pad_edge=False, header_style="")
    for name in ("symbol", "timeframe", "from (UTC)", "to (UTC)"):
        table.add_column(name, no_wrap=True)
    for name in ("rows", "new"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("gaps")
    for report in reports:
        table.add_row(
            report.symbol,
            str(report.timeframe),
            f"{report.first_open:%Y-%m-%d %H:%M}",
            f"{report.last_open + report.timeframe.delta:%Y-%m-%d %H:%M}",
            str(report.rows),
            str(report.new),
            _gaps(report),
        )
    return table


def _gaps(report: ImportReport) -> str:
    if not report.gaps:
        return "none"
    shown = [f"{gap.missing} at {gap.start:%Y-%m-%d %H:%M}" for gap in report.gaps[:SHOWN_GAPS]]
    more = len(report.gaps) - SHOWN_GAPS
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _tell_instruments(console: Console, reports: list[ImportReport]) -> None:
    symbols = list(dict.fromkeys(report.symbol for report in reports))
    unknown = add_known_instruments(symbols)
    for symbol in unknown:
        console.print(
            f"{symbol} has no instrument yet: add it in the admin (Market data, Instruments) to trade it"
        )
