"""The socket of a competition's page."""

from __future__ import annotations

from typing import Any


async def competition_socket(scope: Any, receive: Any, send: Any) -> None:
    """Serve one viewer of one competition."""
    await receive()
    await send({"type": "websocket.close", "code": 4503})
