"""The socket of a competition's page: a plain ASGI application, since a consumer per viewer costs ten times as much."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from channels.db import database_sync_to_async
from django.utils import timezone

from competitions.live.hub import serve_viewer
from competitions.models.access import Scope
from competitions.selectors.chart import ChartView
from competitions.selectors.seasons import find_competition
from competitions.services.access import find_api_key

Message = dict[str, Any]
NOT_FOUND = 4404
KEY_HEADER = b"x-api-key"


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
        slug, scope.get("user"), _key_of(scope)
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


def _key_of(scope: Message) -> str:
    """Return the key that a program sends in the handshake; empty when there is none."""
    sent = dict(scope.get("headers", [])).get(KEY_HEADER, b"")
    return str(sent.decode("latin-1"))


def _is_open_to(slug: str, user: Any, token: str) -> bool:
    if not token:
        return find_competition(slug, user=user) is not None
    key = find_api_key(token, now=timezone.now())
    if key is None:
        # A wrong key is refused even where none is needed, as in the API.
        return False
    own_only = not key.grants(Scope.READ)
    return find_competition(slug, user=key.owner, own_only=own_only) is not None


def _whole(text: str | None) -> int | None:
    """Return the number written in ``text``, None for anything else."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else None
