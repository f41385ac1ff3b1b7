"""The gallery: identities of all cameras of a run, remembered for a while after they left.

Decides whether somebody who comes is somebody who left. Knows looks, times and ways between cameras; not when to ask,
which is `engine.identity.arrivals`. Times are seconds of one time line for all cameras (docs/identity.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.config.identity import IdentityConfig
from engine.config.links import LinkConfig
from engine.identity.assignment import pairs_with_margin
from engine.identity.calibration import Scale
from engine.identity.gates import Gates
from engine.identity.search import EXACT_UP_TO, LookSearch
from engine.identity.table import F64, IdentityTable
from engine.types import F32, I32, I64, Bools

SHARE = 0.55
"""How far from the mean of different people towards 1 the threshold lies; measured (docs/identity.md)."""
SAME_VIEW = 0.9
"""A look more similar than this to one that is kept takes its place."""
_COMPARED = 16
"""Most identities that one newcomer is compared with in an assignment."""
_EXPIRE_EVERY_S = 1.0


class Outcome(StrEnum):
    """What the looks of somebody who has come say.

    KNOWN     it is this identity
    STRANGER  nobody who left looks like that
    CLOSE     two identities, or two newcomers, are too much alike to tell
    GATED     it looks like somebody who cannot be here now
    """

    KNOWN = "known"
    STRANGER = "stranger"
    CLOSE = "close"
    GATED = "gated"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer about one newcomer: `gid` 0 unless KNOWN; the best cosine, -1 where there was nobody to compare."""

    outcome: Outcome
    gid: int = 0
    cosine: float = -1.0


class Gallery:
    """Who was here before. One for all cameras of a run.

    counts   recognised, new, refused by gate and by margin, forgotten by reason; the worker's totals over the run
    search_ns  how long each search took, for who drains it
    """

    def __init__(
        self,
        config: IdentityConfig,
        cameras: Sequence[str],
        links: Sequence[LinkConfig] = (),
        timer: Callable[[], int] = lambda: 0,
        exact_up_to: int = EXACT_UP_TO,
        common_time: bool = True,
    ) -> None:
        """common_time  False where each camera has a time of its own, as files have that are read at their own pace"""
        self.config = config
        self.scope = config.scope
        self.cameras = tuple(cameras)
        self.scale = Scale(config.similarity, SHARE)
        self.table = IdentityTable(len(cameras), config.views)
        self.counts: Counter[str] = Counter()
        self.search_ns: list[int] = []
        self._common_time = common_time
        self._clocks_s = np.full(len(cameras) + 1, -np.inf)
        self.looks: LookSearch | None = None
        self._exact_up_to = exact_up_to
        self._place = {name: index for index, name in enumerate(cameras)}
        self._gates = Gates(cameras, links)
        self._timer = timer
        self._here: list[dict[int, int]] = [{} for _ in cameras]
        self._declined: set[tuple[int, int]] = set()
        self._numbers = [0 for _ in cameras]
        self._highest_ids = [0 for _ in cameras]
        self._expired_s = np.full(len(cameras), -np.inf)

    def follow(self, cameras: Sequence[str], links: Sequence[LinkConfig]) -> None:
        """These are the cameras from now on. One that is gone keeps its place, in case it comes back: whoever was
        before it has left, and is remembered for as long as anybody.
        """
        for name in cameras:
            if name not in self._place:
                self._add_camera(name)
        for name, place in self._place.items():
            if name not in cameras:
                self.left(name, np.array(list(self._here[place]), np.int64))
                self._declined = {each for each in self._declined if each[0] != place}
        self._gates = Gates(self.cameras, links)

    def _add_camera(self, name: str) -> None:
        highest = self.highest_gid
        self._place[name] = len(self.cameras)
        self.cameras = (*self.cameras, name)
        self.table.add_camera()
        # The last one is of cameras that are gone.
        self._clocks_s = np.insert(self._clocks_s, -1, -np.inf)
        self._expired_s = np.append(self._expired_s, -np.inf)
        self._here.append({})
        self._highest_ids.append(0)
        self._numbers = [0 for _ in self.cameras]
        self.skip_numbers(self._numbers, highest)

    @property
    def highest_gid(self) -> int:
        """No gid above this one was given so far."""
        return max(self._numbers, default=0) * len(self.cameras)

    def __len__(self) -> int:
        """Identities that are known, those in a picture with them."""
        return len(self.table)

    @property
    def dims(self) -> int:
        """Length of a look, 0 while none is known."""
        return self.looks.store.dims if self.looks else 0

    @property
    def degraded(self) -> str:
        """What runs worse than it should, in one line."""
        return self.looks.degraded if self.looks else ""

    def gid_of(self, camera: str, track_id: int) -> int:
        """The identity that a track is, 0 where that is not known."""
        return self._here[self._place[camera]].get(track_id, 0)

    def gids_of(self, camera: str, track_ids: I64) -> I64:
        """The same for many."""
        here = self._here[self._place[camera]]
        return np.array([here.get(each, 0) for each in track_ids.tolist()], np.int64)

    def known_id(self, gid: int, camera: str) -> int:
        """The track ID that an identity had before this camera, 0 where it has not been there."""
        return int(self.table.known_ids[self.table.row_of[gid], self._place[camera]])

    def is_declined(self, camera: str, track_id: int) -> bool:
        """Whether a living track is of somebody who was forgotten meanwhile: nothing is kept of it."""
        return (self._place[camera], track_id) in self._declined

    def first_track_id(self, camera: str) -> int:
        """A number above every ID that somebody remembered has had before this camera."""
        return self._highest_ids[self._place[camera]] + 1

    @property
    def now_s(self) -> float:
        """The newest time of all cameras, -inf before there is any."""
        return float(self._clocks_s.max())

    def advance(self, camera: str, time_s: float) -> None:
        """Time goes on before a camera; who has been away for too long is forgotten."""
        clocks_s, place = self._clocks_s, self._place[camera]
        clocks_s[place] = max(clocks_s[place], time_s)
        clocks_s[-1] = clocks_s.max()  # of cameras that are gone
        if clocks_s[place] < self._expired_s[place] + _EXPIRE_EVERY_S:
            return
        self._expired_s[place] = clocks_s[place]
        table = self.table
        now_s = clocks_s.max() if self._common_time else clocks_s[table.places]
        old = (table.gids > 0) & (table.living == 0) & (now_s - table.last_s > self.config.ttl_s)
        for row in np.nonzero(old)[0].tolist():
            self._remove(row, "ttl")

    def may_come(self, camera: str, class_id: int, time_s: float) -> bool:
        """Whether anybody of this class who is remembered could come before this camera now."""
        place = self._place[camera]
        absent = self._absent(place, class_id, time_s)
        return bool(absent.any() and (absent & self._passable(place, time_s)).any())

    def recognise(self, camera: str, class_ids: I32, looks: F32, time_s: float) -> list[Verdict]:
        """Who newcomers with these looks (n, d) are, all at once: no identity is given to two of them.

        Nothing is remembered of it; `enter` is what follows.
        """
        self._fit(looks.shape[1])
        place = self._place[camera]
        began_ns = self._timer()
        threshold, margin = self.scale.threshold, self.config.margin
        floor = threshold - margin
        passable = self._passable(place, time_s)
        found: list[tuple[NDArray[np.intp], F32]] = [(np.empty(0, np.intp), np.empty(0, np.float32))] * len(
            looks
        )
        for class_id in np.unique(class_ids).tolist():
            chosen = np.nonzero(class_ids == class_id)[0]
            absent = self._absent(place, class_id, time_s)
            if absent.any() and self.looks is not None:
                for index, hits in zip(chosen, self.looks.search(looks[chosen], absent, floor), strict=True):
                    found[index] = hits
        verdicts = self._verdicts(found, passable, threshold)
        self.search_ns.append(self._timer() - began_ns)
        return verdicts

    def _verdicts(
        self, found: list[tuple[NDArray[np.intp], F32]], passable: Bools, threshold: float
    ) -> list[Verdict]:
        floor = threshold - self.config.margin
        possible = [self._best(rows[passable[rows]], cosines[passable[rows]]) for rows, cosines in found]
        columns = sorted({row for rows, _ in possible for row in rows.tolist()})
        column_of = {row: column for column, row in enumerate(columns)}
        values = np.zeros((len(found), len(columns)))
        for index, (rows, cosines) in enumerate(possible):
            for row, cosine in zip(rows.tolist(), cosines.tolist(), strict=True):
                values[index, column_of[row]] = cosine - floor
        pairs = pairs_with_margin(values)
        verdicts = []
        for index, (_, cosines) in enumerate(found):
            best = float(cosines.max(initial=-1.0))
            best_here = float(possible[index][1].max(initial=-1.0))
            if index in pairs:
                column, certainty = pairs[index]
                cosine = values[index, column] + floor
                if cosine >= threshold and certainty >= self.config.margin - 1e-6:
                    gid = int(self.table.gids[columns[column]])
                    verdicts.append(Verdict(Outcome.KNOWN, gid, float(cosine)))
                    continue
            if best_here >= threshold:
                verdicts.append(Verdict(Outcome.CLOSE, 0, best_here))
            elif best >= threshold:
                verdicts.append(Verdict(Outcome.GATED, 0, best))
            else:
                verdicts.append(Verdict(Outcome.STRANGER, 0, best))
        return verdicts

    def _best(self, rows: NDArray[np.intp], cosines: F32) -> tuple[NDArray[np.intp], F32]:
        if len(rows) <= _COMPARED:
            return rows, cosines
        order = np.lexsort((self.table.gids[rows], -cosines))[:_COMPARED]
        return rows[order], cosines[order]

    def enter(self, camera: str, track_id: int, class_id: int, time_s: float, gid: int = 0) -> int:
        """A track is this identity, or somebody new with gid 0; returns the gid. Its looks follow by `describe`.

        Raises `KeyError` for an identity that is not known.
        """
        place = self._place[camera]
        table = self.table
        if gid:
            row = table.row_of[gid]
        else:
            self._make_room()
            gid = self._next_gid(place)
            row = table.add(gid)
            table.class_ids[row] = class_id
            table.first_s[row] = time_s
        self.counts["recognised" if table.visits[row] else "new"] += 1
        table.visits[row] += 1
        table.living[row] += 1
        table.places[row], table.entered_s[row] = place, time_s
        table.last_s[row] = max(table.last_s[row], time_s) if table.visits[row] > 1 else time_s
        table.known_ids[row, place] = track_id
        self._highest_ids[place] = max(self._highest_ids[place], track_id)
        self._here[place][track_id] = gid
        return gid

    def seen(self, camera: str, track_ids: I64, time_s: float) -> None:
        """These tracks are in the picture now."""
        place, table = self._place[camera], self.table
        here = self._here[place]
        gids = (here[each] for each in track_ids.tolist() if each in here)
        rows = np.array([table.row_of[gid] for gid in gids], np.intp)
        table.last_s[rows] = np.maximum(table.last_s[rows], time_s)
        table.places[rows] = place

    def describe(self, camera: str, track_ids: I64, looks: F32) -> None:
        """What tracks look like: float32 (n, d). Rows of zeros say nothing; nor do tracks without identity."""
        self._fit(looks.shape[1])
        for index, track_id in enumerate(track_ids.tolist()):
            gid = self.gid_of(camera, track_id)
            length = float(np.linalg.norm(looks[index]))
            if gid and np.isfinite(length) and length > 0.5:
                self._add_look(self.table.row_of[gid], looks[index] / length)

    def learn(self, camera: str, track_ids: I64, looks: F32) -> None:
        """Looks of tracks that are in one picture, so of different people: what the threshold is made from."""
        present = np.linalg.norm(looks, axis=1) > 0.5
        rows = [self.table.row_of[gid] for gid in self.gids_of(camera, track_ids[present]).tolist() if gid]
        if len(rows) == int(present.sum()):
            self.scale.learn(looks[present], self.table.class_ids[rows])

    def left(self, camera: str, track_ids: I64) -> None:
        """These tracks have ended. Who was not looked at cannot be remembered."""
        place = self._place[camera]
        for track_id in track_ids.tolist():
            self._declined.discard((place, track_id))
            gid = self._here[place].pop(track_id, 0)
            if gid:
                row = self.table.row_of[gid]
                self.table.living[row] -= 1
                if not self.table.living[row] and not len(self.table.looks_of(row)):
                    self._remove(row, "")

    def forget(self, gid: int) -> bool:
        """Forget an identity at once; False where there is none. Its track goes on, and nothing is kept of that."""
        row = self.table.row_of.get(gid)
        if row is None:
            return False
        self._remove(row, "command")
        return True

    def forget_all(self) -> int:
        """Forget everybody; returns how many that were."""
        rows = self.table.rows().tolist()
        for row in rows:
            self._remove(row, "command")
        self.looks = None
        return len(rows)

    def set_scope(self, scope: str) -> int:
        """Change what may be remembered; returns how many identities were forgotten for it.

        `off` forgets everybody. From `global` to `camera` everybody is known to the camera that saw them last, and is
        somebody new to the others.
        """
        before, self.scope = self.scope, scope
        if scope == "off":
            forgotten = self.forget_all()
            self._declined.clear()
            return forgotten
        if before == "global" and scope == "camera":
            self._part()
        return 0

    def clear(self) -> None:
        """Begin again without anybody: looks of another network are coming."""
        for row in self.table.rows().tolist():
            self._remove(row, "network")
        self._declined.clear()
        self.looks = None
        self.scale = Scale(self.config.similarity, SHARE)

    def restore(self, cameras: Sequence[str], arrays: Mapping[str, NDArray[Any]], shift_s: float) -> None:
        """Take in identities that were saved, columns and looks as in `engine.identity.archive`.

        cameras  those of the run before; what only one that is gone has seen is known to nobody, but to be forgotten
        shift_s  from its times to those of now
        """
        table, places = self.table, [self._place.get(name, -1) for name in cameras]
        rows = np.array([table.add(int(gid)) for gid in arrays["gids"].tolist()], np.intp)
        for name in ("class_ids", "visits"):
            getattr(table, name)[rows] = arrays[name]
        for name in ("first_s", "last_s"):
            getattr(table, name)[rows] = arrays[name] + shift_s
        place_of = np.array([*places, -1], np.int32)
        table.places[rows] = place_of[arrays["places"]]
        for column, place in enumerate(places):
            if place >= 0:
                table.known_ids[rows, place] = arrays["known_ids"][:, column]
                self._highest_ids[place] = max(
                    self._highest_ids[place], int(arrays["known_ids"][:, column].max(initial=0))
                )
        if arrays["looks"].shape[1]:
            self._fit(arrays["looks"].shape[1])
        for owner, look in zip(arrays["owners"].tolist(), arrays["looks"], strict=True):
            self._add_restored_look(int(rows[owner]), look.astype(np.float32))
        if self.scope == "camera":
            self._part()

    def advance_all(self, time_s: float) -> None:
        """`advance` of every camera."""
        for camera in self.cameras:
            self.advance(camera, time_s)

    def numbers(self) -> list[int]:
        """How many gids each camera has given."""
        return list(self._numbers)

    def skip_numbers(self, numbers: Sequence[int], above_gid: int = 0) -> None:
        """Give no gid that these cameras have given, and none up to `above_gid`."""
        least = -(-above_gid // max(1, len(self.cameras)))
        self._numbers = [max(own, other, least) for own, other in zip(self._numbers, numbers, strict=True)]

    def skip_track_ids(self, camera: str, highest: int) -> None:
        """IDs up to this one were given before this camera."""
        place = self._place[camera]
        self._highest_ids[place] = max(self._highest_ids[place], highest)

    def _next_gid(self, place: int) -> int:
        # Each camera has numbers of its own, so that they do not depend on which camera was quicker.
        gid = self._numbers[place] * len(self.cameras) + place + 1
        self._numbers[place] += 1
        return gid

    def _absent(self, place: int, class_id: int, time_s: float) -> Bools:
        """Who is remembered, of this class and not in this picture."""
        table = self.table
        absent: Bools = (table.gids > 0) & (table.class_ids == class_id)
        if self.scope == "camera":
            absent &= table.places == place
        absent &= (table.living > 0) | (time_s - table.last_s <= self.config.ttl_s)
        for gid in self._here[place].values():
            absent[table.row_of[gid]] = False
        return absent

    def _passable(self, place: int, time_s: float) -> Bools:
        elapsed_s: F64 = np.maximum(time_s - self.table.last_s, 0.0)
        return self._gates.open(self.table.places, place, elapsed_s)

    def _fit(self, dims: int) -> None:
        if self.looks is None or self.looks.store.dims != dims:
            if self.looks is not None:
                self.clear()
            self.looks = LookSearch(dims, self._exact_up_to)

    def _add_look(self, row: int, look: F32) -> None:
        assert self.looks is not None
        table = self.table
        kept = table.looks_of(row)
        place = len(kept)
        if place:
            likeness = self.looks.store.get(kept) @ look
            nearest = int(np.argmax(likeness))
            if likeness[nearest] > SAME_VIEW or place == self.config.views:
                place = nearest
                self.looks.remove(int(kept[nearest]))
        table.looks[row, place] = self.looks.add(row, look.astype(np.float32))

    def _add_restored_look(self, row: int, look: F32) -> None:
        assert self.looks is not None
        free = np.nonzero(self.table.looks[row] < 0)[0]
        if len(free):
            self.table.looks[row, free[0]] = self.looks.add(row, look / np.linalg.norm(look))

    def _make_room(self) -> None:
        table = self.table
        while len(table) >= self.config.most:
            taken = table.rows()
            # Those in a picture last; of those seen at the same moment the smaller number goes.
            order = np.lexsort((table.gids[taken], table.last_s[taken], table.living[taken] > 0))
            self._remove(int(taken[order[0]]), "room")

    def _remove(self, row: int, reason: str) -> None:
        table = self.table
        gid = int(table.gids[row])
        if table.living[row]:
            for place, here in enumerate(self._here):
                for track_id in [each for each, of in here.items() if of == gid]:
                    del here[track_id]
                    self._declined.add((place, track_id))
        if self.looks is not None:
            for look in table.looks_of(row).tolist():
                self.looks.remove(look)
        table.remove(row)
        if reason:
            self.counts[f"forgotten:{reason}"] += 1

    def _part(self) -> None:
        table = self.table
        for row in table.rows().tolist():
            elsewhere = np.arange(len(self.cameras)) != table.places[row]
            table.known_ids[row, elsewhere] = 0
        for place, here in enumerate(self._here):
            for track_id, gid in list(here.items()):
                if table.places[table.row_of[gid]] != place:
                    del here[track_id]
                    table.living[table.row_of[gid]] -= 1
