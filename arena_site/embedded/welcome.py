"""What is told at the start: the address, the login, the market, how to stop."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Welcome:
    """The facts of one start; ``password`` is None unless the account was just made."""

    address: str
    username: str
    password: str | None
    season: str
    season_address: str
    feed_note: str
    is_new_season: bool


def welcome_lines(welcome: Welcome) -> list[tuple[str, str]]:
    """Return label and text of each line."""
    login = f"{welcome.username}, password as set before"
    if welcome.password is not None:
        login = f"{welcome.username}, password {welcome.password} (shown only now)"
    return [
        ("Open", welcome.address),
        ("Season", f"{welcome.season} ({'new' if welcome.is_new_season else 'goes on'})"),
        ("", welcome.season_address),
        ("Market", welcome.feed_note),
        ("Operator", f"{welcome.address}ops/"),
        ("Login", login),
        ("Stop", "Ctrl-C; the season goes on at the next start"),
    ]


def print_welcome(welcome: Welcome) -> None:
    """Print a box on a terminal, plain lines elsewhere."""
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table

    console = Console()
    lines = welcome_lines(welcome)
    if not console.is_terminal:
        for label, text in lines:
            console.print(f"{label:<9} {text}".rstrip(), markup=False, soft_wrap=True)
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in lines:
        table.add_row(label, text)
    console.print(Panel(table, title="The arena is open", expand=False, padding=(1, 2)))
