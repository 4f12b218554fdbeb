"""The hub: one per web process, between what is committed and the viewers of it.

News arrive as a channel-layer message that carries only the event number, and at the latest with a look
at the database each second. Per competition one task reads the events and renders the pieces of the page,
once for all; every viewer has a mailbox in which the newest version of a piece replaces an older one, and
a task that writes it out. A viewer who cannot take a frame within five seconds is dropped; what it missed
it gets whole when it comes back.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.db import DatabaseError
from django.utils import timezone

from competitions.live import bridge
from competitions.live.render import Rendered, encode_events, event_heads, render_pieces
from competitions.selectors.chart import ChartView

logger = logging.getLogger(__name__)

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

POLL_SECONDS = 1.0
BLOCKED_SECONDS = 5.0
# A page that hears nothing for so long would think the line dead.
QUIET_SECONDS = 10.0
RENEW_SECONDS = 3_600.0
RETRY_SECONDS = 2.0
KEPT_EVENTS = 1_000
EVENTS_A_READ = 500
TOO_SLOW = 4408
# Rendering in bursts: at most this often for one competition.
RENDER_GAP_SECONDS = 0.03


@dataclass(eq=False)
class Viewer:
    """One socket: what waits to be written, newest version of each piece.

    ``sent`` is the last event it knows, -1 for none; ``has`` is what was last put into its mailbox.
    """

    view: ChartView
    as_json: bool
    sent: int
    has: Rendered | None = None
    mailbox: dict[str, str] = field(default_factory=dict)
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, pieces: Mapping[str, str]) -> None:
        """Put pieces into the mailbox, in place of older versions that were not written yet."""
        for name, piece in pieces.items():
            # Taken out first, so that the order of the pieces is kept: the pulse is last.
            self.mailbox.pop(name, None)
            self.mailbox[name] = piece
        self.wake.set()

    def take(self) -> str:
        """Empty the mailbox into one frame."""
        frame = "".join(self.mailbox.values())
        self.mailbox.clear()
        self.wake.clear()
        return frame


@dataclass(eq=False)
class Room:
    """The viewers of one competition, and what was last rendered for them."""

    slug: str
    viewers: set[Viewer] = field(default_factory=set)
    known: int = -1
    rendered: dict[ChartView, Rendered] = field(default_factory=dict)
    events: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=KEPT_EVENTS))
    news: asyncio.Event = field(default_factory=asyncio.Event)
    # Typed events do not wait until the pieces are rendered.
    news_for_listeners: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: tuple[asyncio.Task[None], ...] = ()
    quiet_since: float = 0.0

    @property
    def views(self) -> set[ChartView]:
        """Return the ways in which the chart is looked at."""
        return {viewer.view for viewer in self.viewers if not viewer.as_json}

    @property
    def is_behind(self) -> bool:
        """Tell whether something new, or another view, is to be rendered."""
        made = self.rendered
        return any(view not in made or made[view].seq < self.known for view in self.views)

    def hear(self, seq: int) -> None:
        """Take note that there are events up to ``seq``."""
        if seq > self.known:
            self.known = seq
            self.wake()

    def wake(self) -> None:
        """Let both tasks look at what there is to tell."""
        self.news.set()
        self.news_for_listeners.set()


class Hub:
    """All rooms of one process and the two tasks that bring news to them; lives on one event loop."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to listen; called on the loop that serves sockets."""
        loop = asyncio.get_running_loop()
        if not bridge.is_loop_bound():
            bridge.bind_server_loop(loop)
        for work in (self._listen, self._poll):
            self._tasks.add(loop.create_task(work()))

    def enter(self, slug: str, viewer: Viewer) -> Room:
        """Seat a viewer; the first one of a competition opens its room."""
        room = self.rooms.get(slug)
        if room is None:
            room = self.rooms[slug] = Room(slug)
            loop = asyncio.get_running_loop()
            room.tasks = (
                loop.create_task(_tell_pages(room)),
                loop.create_task(_tell_listeners(room)),
            )
        room.viewers.add(viewer)
        room.wake()
        return room

    def leave(self, room: Room, viewer: Viewer) -> None:
        """Let a viewer go; the last one closes the room."""
        room.viewers.discard(viewer)
        if not room.viewers and self.rooms.get(room.slug) is room:
            del self.rooms[room.slug]
            for task in room.tasks:
                task.cancel()

    async def _listen(self) -> None:
        """Hear the channel layer for as long as the process lives; a lost layer is tried again."""
        while True:
            try:
                await self._hear_layer()
            except asyncio.CancelledError:
                raise
            except Exception:
                # Redis away: the poll goes on, so pages are a second late, not dead.
                logger.exception("channel layer lost, trying again")
                await asyncio.sleep(RETRY_SECONDS)

    async def _hear_layer(self) -> None:
        layer = get_channel_layer()
        channel = await layer.new_channel("hub")
        loop = asyncio.get_running_loop()
        renew_at = 0.0
        while True:
            if loop.time() >= renew_at:
                # Memberships expire after a day in some layers.
                await layer.group_add(bridge.GROUP, channel)
                renew_at = loop.time() + RENEW_SECONDS
            try:
                message = await asyncio.wait_for(layer.receive(channel), renew_at - loop.time())
            except TimeoutError:
                continue
            room = self.rooms.get(message["slug"])
            if room is not None:
                room.hear(message["seq"])

    async def _poll(self) -> None:
        """Look at the database each second: covers lost messages and other processes without a layer."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if not self.rooms:
                continue
            try:
                heads = await _in_thread(event_heads, list(self.rooms))
            except DatabaseError:
                logger.exception("events not read, trying again")
                continue
            for slug, seq in heads.items():
                if slug in self.rooms:
                    self.rooms[slug].hear(seq)


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub_of_loop() -> Hub:
    """Return the hub of the running loop, started with its first viewer."""
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        hub = _hubs[loop] = Hub()
        hub.start()
    return hub


async def _in_thread(work: Callable[..., Any], *args: Any) -> Any:
    """Run database work in a thread of its own, with its own connection."""
    return await database_sync_to_async(work, thread_sensitive=False)(*args)


async def _tell_pages(room: Room) -> None:
    """Render and tell for as long as the room has viewers; what fails is logged and tried again."""
    loop = asyncio.get_running_loop()
    room.quiet_since = loop.time()
    while True:
        try:
            left = room.quiet_since + QUIET_SECONDS - loop.time()
            await asyncio.wait_for(room.news.wait(), max(left, 0.01))
        except TimeoutError:
            room.quiet_since = loop.time()
            _tell_alive(room)
            continue
        room.news.clear()
        if await _tried(room, _render_and_hand_over):
            await asyncio.sleep(RENDER_GAP_SECONDS)
        room.quiet_since = loop.time()


async def _tell_listeners(room: Room) -> None:
    """Read new events and wake those who listen to them, for as long as the room has viewers."""
    while True:
        await room.news_for_listeners.wait()
        room.news_for_listeners.clear()
        if not await _tried(room, _read_events):
            room.news_for_listeners.set()


async def _tried(room: Room, work: Callable[[Room], Awaitable[None]]) -> bool:
    """Do the work; on an error wait a little, so that the next try finds a database or a mended row."""
    try:
        await work(room)
    except Exception:
        # The room must outlive a broken row or a lost database: the next event tries again.
        logger.exception("viewers not told slug=%s", room.slug)
        await asyncio.sleep(RETRY_SECONDS)
        return False
    return True


async def _render_and_hand_over(room: Room) -> None:
    """Render what is new, once for all, and put it into every mailbox."""
    views = room.views
    if views and room.is_behind:
        room.rendered = await _in_thread(_render, room.slug, views, room.rendered)
        room.known = max([room.known, *(made.seq for made in room.rendered.values())])
    for viewer in room.viewers:
        if viewer.as_json:
            continue
        if viewer.view in room.rendered:
            _hand_over(viewer, room.rendered[viewer.view])
        elif room.rendered:
            # Came while we rendered: its turn is next.
            room.news.set()


def _render(
    slug: str, views: Collection[ChartView], before: Mapping[ChartView, Rendered]
) -> dict[ChartView, Rendered]:
    return render_pieces(slug, views, now=timezone.now(), before=before)


def _hand_over(viewer: Viewer, rendered: Rendered) -> None:
    """Put into the mailbox what the viewer does not have yet, the pulse always."""
    has = viewer.has
    if has is rendered:
        return
    if has is not None:
        pieces = {
            name: piece
            for name, piece in rendered.pieces.items()
            if name == "pulse" or has.pieces.get(name) != piece
        }
    elif viewer.sent == rendered.seq:
        # The page it came with is the one we would send.
        pieces = {"pulse": rendered.pieces["pulse"]}
    else:
        pieces = dict(rendered.pieces)
    viewer.put(pieces)
    viewer.has, viewer.sent = rendered, rendered.seq


async def _read_events(room: Room) -> None:
    """Append what is new to the room's events and wake those who listen."""
    listeners = [viewer for viewer in room.viewers if viewer.as_json]
    while listeners:
        last = room.events[-1][0] if room.events else max(viewer.sent for viewer in listeners)
        rows = await _in_thread(encode_events, room.slug, last, EVENTS_A_READ)
        room.events.extend(rows)
        if len(rows) < EVENTS_A_READ:
            break
    for viewer in listeners:
        viewer.wake.set()


def _tell_alive(room: Room) -> None:
    """Tell pages that the line is alive, though nothing happened."""
    for viewer in room.viewers:
        if viewer.has is not None:
            viewer.put({"pulse": viewer.has.pieces["pulse"]})


async def serve_viewer(
    slug: str,
    receive: Receive,
    send: Send,
    *,
    view: ChartView,
    as_json: bool,
    since: int | None,
) -> None:
    """Serve one accepted socket until it closes or cannot keep up.

    ``since`` is the last event that the viewer knows: a page that is up to date gets only what changes,
    a JSON listener all events after it (none but new ones when it is None).
    """
    hub = hub_of_loop()
    known = since if since is not None else -1
    if as_json and since is None:
        heads = await _in_thread(event_heads, [slug])
        known = heads.get(slug, 0)
    viewer = Viewer(view, as_json, known)
    room = hub.enter(slug, viewer)
    writing = asyncio.create_task(_write(room, viewer, send))
    reading = asyncio.create_task(_read(receive))
    try:
        await asyncio.wait({writing, reading}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        hub.leave(room, viewer)
        for task in (writing, reading):
            task.cancel()
        for result in await asyncio.gather(writing, reading, return_exceptions=True):
            # A socket that broke under a write is an ordinary goodbye.
            if isinstance(result, Exception):
                logger.info("viewer lost slug=%s: %r", slug, result)


async def _read(receive: Receive) -> None:
    """Return when the viewer has left; what it sends is not listened to."""
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def _write(room: Room, viewer: Viewer, send: Send) -> None:
    """Write out the mailbox whenever there is something in it; return when the viewer is too slow."""
    while True:
        await viewer.wake.wait()
        try:
            frames = await _event_frames(room, viewer) if viewer.as_json else [viewer.take()]
        except DatabaseError:
            logger.exception("events not read, trying again slug=%s", room.slug)
            await asyncio.sleep(RETRY_SECONDS)
            viewer.wake.set()
            continue
        for frame in frames:
            try:
                await asyncio.wait_for(
                    send({"type": "websocket.send", "text": frame}), BLOCKED_SECONDS
                )
            except TimeoutError:
                logger.info("slow viewer dropped slug=%s", room.slug)
                with suppress(TimeoutError):
                    closing = send({"type": "websocket.close", "code": TOO_SLOW})
                    await asyncio.wait_for(closing, BLOCKED_SECONDS)
                return


async def _event_frames(room: Room, viewer: Viewer) -> list[str]:
    """Return the events that the viewer has not got, from memory where it reaches back far enough."""
    viewer.wake.clear()
    kept = list(room.events)
    if not kept or kept[0][0] > viewer.sent + 1:
        rows = await _in_thread(encode_events, room.slug, viewer.sent, EVENTS_A_READ)
        if len(rows) == EVENTS_A_READ:
            viewer.wake.set()
    else:
        rows = [row for row in kept if row[0] > viewer.sent]
    if rows:
        viewer.sent = rows[-1][0]
    return [text for _, text in rows]
