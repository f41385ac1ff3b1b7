"""What somebody waits for without hurry: stored places. Each errand waits for its turn in the line of one head."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from engine.errors import PtzError, PtzRefused, PtzUnreachable
from ptz.head_health import Health
from ptz.head_orders import Orders
from ptz.head_wish import Wishes
from ptz.types import HeadState, Preset

AWAY = frozenset({HeadState.UNREACHABLE, HeadState.LOCKED, HeadState.TAKEN, HeadState.STARTING})


@dataclass(frozen=True)
class Errand:
    """A request and who waits for it."""

    make: Callable[[], Coroutine[Any, Any, None]]
    done: asyncio.Future[None]


class Errands:
    """The errands of one head."""

    def __init__(self, orders: Orders, wishes: Wishes, health: Health, wake: asyncio.Event) -> None:
        self._orders, self._wishes, self._health, self._wake = orders, wishes, health, wake
        self._waiting: deque[Errand] = deque()

    @property
    def any_waits(self) -> bool:
        """There is something to do."""
        return bool(self._waiting)

    async def presets(self) -> list[Preset]:
        """The stored places."""
        found: list[Preset] = []

        async def listed() -> None:
            found.extend(await self._orders.driver.presets())

        await self._wait_for(listed)
        self._wishes.learn_presets(found)
        return found

    async def store_preset(self, preset: str, name: str) -> str:
        """Store where it points now; returns what the camera calls it."""
        self._refuse_reserved(preset)
        called: list[str] = []

        async def stored() -> None:
            called.append(await self._orders.driver.store_preset(preset, name))

        await self._wait_for(stored)
        self._wishes.presets_known = False
        return called[0]

    async def remove_preset(self, preset: str) -> None:
        """Forget a stored place."""
        self._refuse_reserved(preset)
        await self._wait_for(lambda: self._orders.driver.remove_preset(preset))
        self._wishes.presets_known = False

    async def do_next(self) -> None:
        """Do the one that has waited longest."""
        errand = self._waiting.popleft()
        try:
            done = await self._orders.errand(errand.make())
        except PtzError as error:
            if not errand.done.done():
                errand.done.set_exception(error)
            return
        if not done:
            self._waiting.appendleft(errand)
        elif not errand.done.done():
            errand.done.set_result(None)

    def give_up(self) -> None:
        """Nobody shall wait for a camera that is gone."""
        while self._waiting:
            errand = self._waiting.popleft()
            if not errand.done.done():
                errand.done.set_exception(self._away())

    async def _wait_for(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self._health.state in AWAY:
            raise self._away()
        errand = Errand(make, asyncio.get_running_loop().create_future())
        self._waiting.append(errand)
        self._wake.set()
        await errand.done

    def _away(self) -> PtzUnreachable:
        return PtzUnreachable(
            f"the head cannot be asked now: {self._health.reason or self._health.state.value}"
        )

    def _refuse_reserved(self, preset: str) -> None:
        if self._wishes.reserved(preset):
            raise PtzRefused(f"preset {preset} is reserved: it does something else than to store a place")
