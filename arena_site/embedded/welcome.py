"""What is told at the start: the address, the login, the market, how to stop."""

from __future__ import annotations

from arena_site.preparation import Preparation


def welcome_lines(ready: Preparation, address: str) -> list[tuple[str, str]]:
    """Return label and text of each line; ``address`` ends in a slash."""
    login = f"{ready.username}, password as set before"
    if ready.password is not None:
        login = f"{ready.username}, password {ready.password} (shown only now)"
    return [
        ("Open", address),
        ("Season", f"{ready.season} ({'new' if ready.is_new_season else 'goes on'})"),
        ("", f"{address}{ready.season_path}"),
        ("Market", ready.feed_note),
        ("Operator", f"{address}ops/"),
        ("Login", login),
        ("Stop", "Ctrl-C; the season goes on at the next start"),
    ]


def print_welcome(ready: Preparation, address: str) -> None:
    """Print a box on a terminal, plain lines elsewhere."""
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    console = Console()
    lines = welcome_lines(ready, address)
    if not console.is_terminal:
        for label, text in lines:
            console.print(f"{label:<9} {text}", markup=False, highlight=False, soft_wrap=True)
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in lines:
        table.add_row(label, Text(text))
    console.print(Panel(table, title="The arena is open", expand=False, padding=(1, 2)))
