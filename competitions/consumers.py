"""The socket of a competition's page: a plain ASGI application, since a consumer per viewer costs ten times as much."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from channels.db import database_sync_to_async

from competitions.live.hub import serve_viewer
from competitions.selectors.chart import ChartView
from competitions.selectors.seasons import find_competition

Message = dict[str, Any]
NOT_FOUND = 4404


async def competition_socket(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Serve one viewer until it leaves: HTML pieces, or typed events with ``?format=json&since=SEQ``."""
    first = await receive()
    if first["type"] != "websocket.connect":
        return
    slug = scope["url_route"]["kwargs"]["slug"]
    found = await database_sync_to_async(_is_open_to, thread_sensitive=False)(
        slug, scope.get("user")
    )
    if not found:
        # Refused before the handshake, like a page that does not exist.
        await send({"type": "websocket.close", "code": NOT_FOUND})
        return
    query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
    await send({"type": "websocket.accept"})
    await serve_viewer(
        slug,
        receive,
        send,
        view=ChartView.of(query),
        as_json=query.get("format") == "json",
        since=_whole(query.get("since") or query.get("seq")),
    )


def _is_open_to(slug: str, user: Any) -> bool:
    return find_competition(slug, user=user) is not None


def _whole(text: str | None) -> int | None:
    """Return the number written in ``text``, None for anything else."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else None
