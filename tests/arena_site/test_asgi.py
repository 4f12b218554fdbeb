"""Sockets open only for pages of the arena's own hosts."""

from __future__ import annotations

import pytest
from channels.testing import WebsocketCommunicator

pytestmark = pytest.mark.django_db(transaction=True)


async def is_accepted(origin: bytes | None) -> bool:
    from arena_site.asgi import application

    headers = [] if origin is None else [(b"origin", origin)]
    socket = WebsocketCommunicator(application, "/ws/competitions/none/", headers=headers)
    is_open, code = await socket.connect(timeout=5)
    await socket.disconnect()
    # The origin is refused with 1000 before the consumer, which closes unknown seasons with its own code.
    return is_open or code not in (None, 1000)


@pytest.mark.parametrize(
    "origin",
    [
        b"https://evil.example",
        b"http://localhost.evil.example",
        b"http://evil-localhost",
        b"null",
        None,
    ],
)
async def test_foreign_origin_is_refused(settings, origin):
    settings.ALLOWED_HOSTS = ["localhost"]

    assert await is_accepted(origin) is False
