"""From the thread or process that commits an event to the loops that serve open pages."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import InMemoryChannelLayer, get_channel_layer

logger = logging.getLogger(__name__)

GROUP = "arena.events"
SEND_SECONDS = 2.0
# After a push was lost none is tried for so long: a round's events would each wait for a Redis that hangs.
REST_SECONDS = 2.0

_is_silent: ContextVar[bool] = ContextVar("_is_silent", default=False)
_server_loop: asyncio.AbstractEventLoop | None = None
# asyncio itself holds tasks only weakly.
_tasks: set[asyncio.Task[None]] = set()
_rest_until = 0.0


def bind_server_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Remember the loop that serves sockets in this process.

    A message put into the in-memory layer from a foreign thread would wait for the loop's next
    wake-up, up to a second.
    """
    global _server_loop  # one process has one serving loop
    _server_loop = loop


def is_loop_bound() -> bool:
    """Tell whether this process serves sockets on a loop that still runs."""
    return _server_loop is not None and _server_loop.is_running()


@contextmanager
def only_by_database() -> Iterator[None]:
    """Announce nothing inside the block: what must not wait for a broker leaves its events to the hubs' poll."""
    token = _is_silent.set(True)
    try:
        yield
    finally:
        _is_silent.reset(token)


def announce(slug: str, seq: int) -> None:
    """Tell every web process that competition ``slug`` has events up to ``seq``.

    Call it after the commit, from any thread. It never raises and never waits for readers: a lost
    message is made up for by the hub's poll of one second.
    """
    if _is_silent.get() or time.monotonic() < _rest_until:
        return
    message = {"type": "arena.event", "slug": slug, "seq": seq}
    try:
        _send(message)
    except Exception as error:  # noqa: BLE001 - whatever a layer raises
        _rest(error)


def _send(message: dict[str, Any]) -> None:
    loop = _server_loop
    if loop is not None and loop.is_running():
        _send_on(loop, message)
    elif isinstance(get_channel_layer(), InMemoryChannelLayer):
        # No loop, no reader: the message could reach nobody.
        return
    elif _running_loop() is not None:
        _keep(asyncio.ensure_future(_group_send(message)))
    else:
        async_to_sync(_group_send)(message)


def _send_on(loop: asyncio.AbstractEventLoop, message: dict[str, Any]) -> None:
    if _running_loop() is loop:
        _keep(loop.create_task(_group_send(message)))
        return
    sending: Coroutine[Any, Any, None] = _group_send(message)
    future = asyncio.run_coroutine_threadsafe(sending, loop)
    future.add_done_callback(_tell_failure)


async def _group_send(message: dict[str, Any]) -> None:
    await asyncio.wait_for(get_channel_layer().group_send(GROUP, message), SEND_SECONDS)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _keep(task: asyncio.Task[None]) -> None:
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    task.add_done_callback(_tell_failure)


def _tell_failure(done: asyncio.Task[None] | Future[None]) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        _rest(error)


def _rest(error: BaseException) -> None:
    global _rest_until  # one process has one way to the layer
    _rest_until = time.monotonic() + REST_SECONDS
    logger.warning("push not sent, none for %g s: %r", REST_SECONDS, error)
