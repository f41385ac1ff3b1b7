"""Live video for whoever looks: encoded packets handed from one reading thread to viewers on the serving thread.

Keeps the newest group of pictures of everything, so that a viewer can begin at once, and asks the stream worker to
encode while somebody looks. What each viewer gets can be decoded: after a hole it waits for a key frame, and every
packet that it has not got is counted. Knows packets and commands; not HTTP, WebRTC or pools.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from engine.control.commands import CommandFailed, Commands
from engine.types.packet import Packet, PacketFlag, Rendition

Deliver = Callable[[Packet], bool]
"""Takes a packet, on the serving thread, at once; False where it has no room for it."""
VIDEO = {"overlay": Rendition.OVERLAY, "clean": Rendition.CLEAN}
PICTURES = {"overlay": Rendition.OVERLAY_JPEG, "clean": Rendition.CLEAN_JPEG}


@dataclass(frozen=True, slots=True)
class VideoLimits:
    """What live video may cost.

    group_packets, group_bytes  of a group of pictures that is kept; of a longer one, nothing is
    handovers                   packets that wait for the serving thread
    want_ttl_s, want_every_s    how long, and how often, the stream worker is told what is wanted
    keyframe_every_s            key frames are asked for no more often
    snapshot_s                  how long a snapshot may take
    """

    group_packets: int = 300
    group_bytes: int = 16 << 20
    handovers: int = 512
    want_ttl_s: float = 5.0
    want_every_s: float = 2.0
    keyframe_every_s: float = 0.5
    snapshot_s: float = 5.0


class _Group:
    """The newest key frame of a rendition and all that came after it; empty where that is too much or has a hole."""

    def __init__(self, limits: VideoLimits) -> None:
        self._limits = limits
        self._bytes = 0
        self.packets: list[Packet] = []

    def add(self, packet: Packet) -> None:
        if packet.meta.keyframe:
            self.packets, self._bytes = [packet], len(packet.data)
            return
        if not self.packets:
            return
        self._bytes += len(packet.data)
        hole = packet.meta.number != self.packets[-1].meta.number + 1
        if hole or self._bytes > self._limits.group_bytes or len(self.packets) >= self._limits.group_packets:
            self.packets = []
        else:
            self.packets.append(packet)


class Subscription:
    """One viewer of one rendition. Belongs to the serving thread.

    skipped  packets that it has not got, by reason: `slow` (it had no room), `overrun` (they were overwritten or not
             handed over in time), `keyframe` (they could not be decoded after one of these)
    ended    called once when the camera is removed, with the reason
    """

    def __init__(
        self, hub: VideoHub, camera: str, rendition: Rendition, ended: Callable[[str], None], wanted: bool
    ) -> None:
        self.camera = camera
        self.rendition = rendition
        self.wanted = wanted
        self.ended = ended
        self.skipped: Counter[str] = Counter()
        self._hub = hub
        self._deliver: Deliver | None = None
        self._last_number = 0
        self._whole = False
        self._slow = False

    def start(self, deliver: Deliver, *, replay: bool) -> None:
        """Deliver from now on; with `replay` the newest group of pictures first, else from the next key frame on."""
        self._deliver = deliver
        group = self._hub.newest_group(self.camera, self.rendition)
        if replay or len(group) == 1:
            for packet in group:
                self.offer(packet)
        if not self._whole:
            self.ask_for_keyframe()

    def ask_for_keyframe(self) -> None:
        """Have a key frame made soon."""
        self._hub.ask_for_keyframe(self.camera, self.rendition)

    def offer(self, packet: Packet) -> None:
        """Hand one packet on, if it can be decoded."""
        meta = packet.meta
        if self._deliver is None:
            return
        fresh = bool(meta.flags & PacketFlag.DISCONTINUITY)
        if meta.number <= self._last_number and not fresh:
            return  # it came with the newest group
        missing = meta.number - self._last_number - 1 if self._last_number and not fresh else 0
        self._last_number = meta.number
        if missing > 0:
            self.skipped["overrun"] += missing
            self._whole = self._slow = False
        if not self._whole and not meta.keyframe:
            self.skipped["keyframe"] += 1
            if not self._slow:  # one that cannot keep up waits for its turn: key frames cost all the others
                self.ask_for_keyframe()
            return
        self._whole = self._deliver(packet)
        self._slow = not self._whole
        if self._slow:
            self.skipped["slow"] += 1

    def close(self) -> None:
        """Watch no longer. A second call does nothing."""
        self._deliver = None
        self._hub.let_go(self)


class VideoHub:
    """All cameras' packets and all viewers.

    `publish` and `forget` belong to any one thread, the rest to the serving one.
    """

    def __init__(
        self,
        commands: Commands,
        limits: VideoLimits | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits or VideoLimits()
        self._commands = commands
        self._now_s = now_s
        self._lock = threading.Lock()
        self._groups: dict[tuple[str, Rendition], _Group] = {}
        self._watched: Counter[tuple[str, Rendition]] = Counter()
        self._waiting = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._subscriptions: dict[tuple[str, Rendition], list[Subscription]] = {}
        self._wanting: dict[str, asyncio.Task[None]] = {}
        self._encoders: dict[tuple[str, Rendition], dict[str, Any]] = {}
        self._keyframes: dict[tuple[str, Rendition], float] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self.skipped: Counter[str] = Counter()

    def publish(self, camera: str, packet: Packet) -> None:
        """A packet of a camera, in order. Kept, and handed to who watches; never waits."""
        key = camera, packet.meta.rendition
        with self._lock:
            self._groups.setdefault(key, _Group(self.limits)).add(packet)
            loop = self._loop if self._watched[key] and self._waiting < self.limits.handovers else None
            if loop is None:
                return  # a viewer finds a hole, and counts it
            if self._call(loop, self._hand_out, key, packet):
                self._waiting += 1

    def forget(self, camera: str) -> None:
        """The camera is gone: its viewers are told, and nothing is kept of it."""
        with self._lock:
            for key in [key for key in self._groups if key[0] == camera]:
                del self._groups[key]
            if self._loop is not None:
                self._call(self._loop, self._end_all, camera)

    def _call(
        self, loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: object
    ) -> bool:
        try:
            loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop has been closed: nobody watches any more
            self._loop = None
            return False
        return True

    def _hand_out(self, key: tuple[str, Rendition], packet: Packet) -> None:
        with self._lock:
            self._waiting -= 1
        for subscription in tuple(self._subscriptions.get(key, ())):
            subscription.offer(packet)

    def _end_all(self, camera: str) -> None:
        self._end(
            {key for key in self._subscriptions if key[0] == camera}, f"camera {camera!r} has been removed"
        )

    def close(self) -> None:
        """The server stops: every viewer is told."""
        self._end(set(self._subscriptions), "the server stops")

    def _end(self, keys: set[tuple[str, Rendition]], reason: str) -> None:
        for key in keys:
            for subscription in tuple(self._subscriptions.get(key, ())):
                subscription.close()
                subscription.ended(reason)

    def newest_group(self, camera: str, rendition: Rendition) -> list[Packet]:
        """The newest key frame and all after it; empty where nothing is known."""
        with self._lock:
            group = self._groups.get((camera, rendition))
            return list(group.packets) if group else []

    def subscribe(
        self,
        camera: str,
        rendition: Rendition,
        ended: Callable[[str], None] = lambda reason: None,
        *,
        wanted: bool = True,
    ) -> Subscription:
        """A viewer; nothing is delivered before `Subscription.start`. It is encoded for it, unless not `wanted`."""
        subscription = Subscription(self, camera, rendition, ended, wanted)
        key = camera, rendition
        self._subscriptions.setdefault(key, []).append(subscription)
        with self._lock:
            self._loop = asyncio.get_running_loop()
            self._watched[key] += 1
        if wanted and camera not in self._wanting:
            self._wanting[camera] = asyncio.create_task(self._keep_wanting(camera))
        return subscription

    def let_go(self, subscription: Subscription) -> None:
        """A viewer has gone."""
        key = subscription.camera, subscription.rendition
        watching = self._subscriptions.get(key, [])
        if subscription not in watching:
            return
        watching.remove(subscription)
        self.skipped += subscription.skipped
        if not watching:
            del self._subscriptions[key]
        with self._lock:
            self._watched[key] -= 1
        if not self.wanted_of(subscription.camera):
            task = self._wanting.pop(subscription.camera, None)
            if task is not None:
                task.cancel()

    def wanted_of(self, camera: str) -> list[Rendition]:
        """The renditions of a camera that somebody wants encoded."""
        return sorted(
            rendition
            for (name, rendition), watching in self._subscriptions.items()
            if name == camera and any(each.wanted for each in watching)
        )

    async def require(self, camera: str, rendition: Rendition) -> None:
        """Have it encoded now. Raises `CommandFailed`, with the reason, where that cannot be."""
        await self._want(camera, {rendition, *self.wanted_of(camera)})
        encoder = self._encoders.get((camera, rendition), {})
        if not encoder.get("running", False):
            reason = encoder.get("reason") or "the stream worker does not say why"
            raise CommandFailed(
                HTTPStatus.SERVICE_UNAVAILABLE, f"{camera}: no {rendition.name.lower()} video: {reason}"
            )

    async def _keep_wanting(self, camera: str) -> None:
        while self._wanting.get(camera) is asyncio.current_task():
            # A worker that is being restarted does not answer: viewers wait for it.
            await self._try(self._want(camera, set(self.wanted_of(camera))))
            await asyncio.sleep(self.limits.want_every_s)

    async def _want(self, camera: str, renditions: set[Rendition]) -> None:
        names = [each.name.lower() for each in sorted(renditions)]
        answer = await self._commands.ask(
            f"stream:{camera}", "stream-want", renditions=names, ttl_s=self.limits.want_ttl_s
        )
        for name, encoder in answer.get("renditions", {}).items():
            self._encoders[camera, Rendition[name.upper()]] = encoder

    async def _try(self, asking: Any) -> None:
        try:
            await asking
        except CommandFailed:
            self.skipped["unanswered"] += 1

    def ask_for_keyframe(self, camera: str, rendition: Rendition) -> None:
        """Have a key frame made soon; at once, unless one was asked for just before."""
        key, now_s = (camera, rendition), self._now_s()
        if now_s - self._keyframes.get(key, -1e9) < self.limits.keyframe_every_s:
            return
        self._keyframes[key] = now_s
        asking = self._commands.ask(f"stream:{camera}", "stream-keyframe", rendition=rendition.name.lower())
        task = asyncio.create_task(self._try(asking))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def snapshot(self, camera: str, rendition: Rendition, quality: int) -> Packet:
        """A JPEG of now. Raises `CommandFailed`."""
        found: asyncio.Future[Packet] = asyncio.get_running_loop().create_future()
        pictures: dict[int, Packet] = {}
        asked_for: list[int] = []

        def deliver(packet: Packet) -> bool:
            pictures[packet.meta.number] = packet
            if asked_for and packet.meta.number >= asked_for[0] and not found.done():
                found.set_result(packet)
            return True

        subscription = self.subscribe(camera, rendition, wanted=False)
        try:
            subscription.start(deliver, replay=True)
            answer = await self._commands.ask(
                f"stream:{camera}", "stream-snapshot", rendition=rendition.name.lower(), quality=quality
            )
            asked_for.append(int(answer["number"]))
            if asked_for[0] in pictures:
                return pictures[asked_for[0]]
            async with asyncio.timeout(self.limits.snapshot_s):
                return await found
        except TimeoutError:
            raise CommandFailed(
                HTTPStatus.GATEWAY_TIMEOUT, f"{camera}: the picture did not come; try again"
            ) from None
        finally:
            subscription.close()

    def statistics(self) -> dict[str, Any]:
        """Viewers by rendition, encoders as the stream workers tell, packets that viewers have not got by reason."""
        skipped = Counter(self.skipped)
        viewers: Counter[str] = Counter()
        for (_, rendition), watching in tuple(self._subscriptions.items()):
            viewers[rendition.name.lower()] += len(watching)
            for each in tuple(watching):
                skipped += each.skipped
        return {"viewers": dict(viewers), "skipped": dict(skipped)}
