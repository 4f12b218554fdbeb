"""Pages by cursor: a page says where the next one begins, so that rows added meanwhile shift nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ninja import Schema
from pydantic import Field

from competitions.api.wire import ApiError

MAX_LIMIT = 200
Row = TypeVar("Row")


class PageIn(Schema):
    """Which page is wanted."""

    cursor: str = Field(
        "", max_length=64, description="As the page before said; empty for the first."
    )
    limit: int = Field(50, ge=1, le=MAX_LIMIT, description="Rows of one page.")

    @property
    def position(self) -> int | None:
        """Return where the page begins, None for the first page; raise ApiError for what no page said."""
        if not self.cursor:
            return None
        if not (self.cursor.isascii() and self.cursor.isdecimal()) or len(self.cursor) > 18:
            raise bad_cursor(self.cursor)
        return int(self.cursor)


def bad_cursor(cursor: str) -> ApiError:
    """Return the refusal of a cursor that no page said."""
    return ApiError(
        422, "BAD_CURSOR", f"cursor must be the next_cursor of a page, was {cursor[:40]!r}"
    )


def cut(rows: Sequence[Row], limit: int) -> tuple[list[Row], bool]:
    """Return at most ``limit`` rows, and whether there are more; ``rows`` were fetched one beyond the limit."""
    return list(rows[:limit]), len(rows) > limit
