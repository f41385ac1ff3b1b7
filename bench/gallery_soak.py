"""Does the gallery grow? A day of people who come and go before several cameras, with made-up looks and injected time.

A hundred thousand and more people over 24 hours: many come once, some come back within the time they are remembered
for. Looks are drawn as a re-identification network gives them: what two looks of one person and of different people
have in common was measured on PETS09 with OSNet (means and spreads below). Printed: identities and resident memory over
the day, wrong and missed recognitions, and the time of a search among 10³, 10⁴ and 10⁵ looks and, with FAISS, beyond.
Exit status 1 if a straight line through the second half says that as many again would add more than `--limit-mib`.

    python -m bench.gallery_soak [--people 120000] [--hours 24] [--dims 512] [--most 20000] [--json FILE]
"""

from __future__ import annotations

import argparse
import heapq
import os
import sys
import time
from dataclasses import dataclass, field

import numpy as np

from bench.machine import argument_parser, heading, markdown_table, write_json
from bench.soak import Sample, Trend, look
from engine.config.identity import IdentityConfig
from engine.identity.gallery import Gallery
from engine.identity.search import LookSearch
from engine.types import F32

DIFFERENT_MEAN, DIFFERENT_SPREAD = 0.53, 0.10
SAME_MEAN = 0.85
"""Of smoothed looks of PETS09's people by OSNet x0.25: cosine of different people, and of the same person's visits."""
CAMERAS = ("gate", "yard", "hall", "roof")
RETURNS = 0.35
"""Share of people that come back, again and again with this probability."""
STAY_S, AWAY_S = 40.0, 240.0
SEARCHED = (1_000, 10_000, 100_000)


class Faces:
    """Looks of people by number, made anew from the number each time, so that the drawing needs no memory."""

    def __init__(self, dims: int) -> None:
        chance = np.random.default_rng(7)
        self.dims = dims
        self._common = _unit(chance.standard_normal(dims))
        # People differ in a few dozen ways, not in as many as a look has numbers: that is where the spread is from.
        ways = round((1 - DIFFERENT_MEAN) ** 2 / DIFFERENT_SPREAD**2)
        self._ways = np.linalg.qr(chance.standard_normal((dims, ways)))[0].T

    def look(self, person: int, visit: int) -> F32:
        """A smoothed look of a person on a visit."""
        own = np.random.default_rng((1, person)).standard_normal(len(self._ways)) @ self._ways
        noise = np.random.default_rng((2, person, visit)).standard_normal(self.dims)
        mean = np.sqrt(DIFFERENT_MEAN) * self._common + np.sqrt(1 - DIFFERENT_MEAN) * _unit(own)
        spread = np.sqrt(1 / SAME_MEAN - 1)
        return _unit(_unit(mean) + spread * _unit(noise))


def _unit(vector: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> F32:
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


@dataclass
class Day:
    """What has happened. `owner` is who an identity really is, of those that are remembered; `there` who is in a
    picture, with their looks."""

    right: int = 0
    wrong: int = 0
    missed: int = 0
    first: int = 0
    owner: dict[int, int] = field(default_factory=dict)
    there: dict[str, dict[int, F32]] = field(default_factory=lambda: {camera: {} for camera in CAMERAS})
    rows: list[tuple[object, ...]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    @property
    def came(self) -> int:
        """How many have come in so far."""
        return self.right + self.wrong + self.missed + self.first


def simulate(options: argparse.Namespace) -> tuple[Gallery, Day]:
    """The day, as fast as it goes."""
    chance = np.random.default_rng(options.seed)
    faces = Faces(options.dims)
    settings = IdentityConfig(scope="global", ttl_s=options.ttl, most=options.most)
    gallery = Gallery(settings, CAMERAS)
    day, last_s = Day(), options.hours * 3600.0
    coming = [
        (float(at), person, 0) for person, at in enumerate(np.sort(chance.uniform(0, last_s, options.people)))
    ]
    going: list[tuple[float, str, int]] = []
    heapq.heapify(coming)
    next_sample_s, track_id = 0.0, 0
    while coming:
        now_s, person, visit = heapq.heappop(coming)
        while going and going[0][0] <= now_s:
            leave(gallery, day, *heapq.heappop(going))
        camera = CAMERAS[int(chance.integers(len(CAMERAS)))]
        track_id += 1
        come(gallery, day, camera, track_id, (person, visit, now_s), faces)
        left_s = now_s + float(chance.exponential(STAY_S))
        heapq.heappush(going, (left_s, camera, track_id))
        back_s = left_s + 5.0 + float(chance.exponential(AWAY_S))
        if chance.random() < RETURNS and back_s < last_s:
            heapq.heappush(coming, (back_s, person, visit + 1))
        if now_s >= next_sample_s:
            next_sample_s += last_s / options.samples
            sample(gallery, day, now_s)
    return gallery, day


def come(
    gallery: Gallery, day: Day, camera: str, track_id: int, who: tuple[int, int, float], faces: Faces
) -> None:
    """Somebody comes in."""
    person, visit, now_s = who
    look = faces.look(person, visit)[None]
    gallery.advance(camera, now_s)
    (verdict,) = gallery.recognise(camera, np.zeros(1, np.int32), look, now_s)
    gid = gallery.enter(camera, track_id, 0, now_s, verdict.gid)
    gallery.describe(camera, np.array([track_id]), look)
    there = day.there[camera]
    there[track_id] = look[0]
    newest = list(there)[-6:]
    gallery.learn(camera, np.array(newest), np.stack([there[each] for each in newest]))
    if verdict.gid:
        day.right += day.owner[gid] == person
        day.wrong += day.owner[gid] != person
    else:
        day.missed += visit > 0
        day.first += visit == 0
        day.owner[gid] = person
    if len(day.owner) > 2 * len(gallery) + 1000:
        day.owner = {each: whose for each, whose in day.owner.items() if each in gallery.table.row_of}


def leave(gallery: Gallery, day: Day, left_s: float, camera: str, track_id: int) -> None:
    """Somebody goes out, seen until then."""
    del day.there[camera][track_id]
    gallery.seen(camera, np.array([track_id]), left_s)
    gallery.left(camera, np.array([track_id]))


def sample(gallery: Gallery, day: Day, now_s: float) -> None:
    """A look at memory."""
    day.samples.append(look(os.getpid(), day.came))
    looks = len(gallery.looks) if gallery.looks else 0
    rss_mib = round(day.samples[-1].rss_mib, 1)
    day.rows.append((round(now_s / 3600, 1), day.came, len(gallery), looks, rss_mib))


def search_times(
    dims: int, counts: tuple[int, ...], repeats: int, exact_up_to: int
) -> list[tuple[object, ...]]:
    """p50 and p95 of a search for one newcomer among so many looks, milliseconds."""
    faces = Faces(dims)
    rows: list[tuple[object, ...]] = []
    search = LookSearch(dims, exact_up_to)
    chance = np.random.default_rng(3)
    ways = chance.standard_normal((max(counts), 64), np.float32)
    spread = chance.standard_normal((64, dims), np.float32)
    common = faces.look(0, 0)
    for count in counts:
        for index in range(len(search), count):
            own = ways[index] @ spread
            search.add(
                index,
                _unit(
                    np.sqrt(DIFFERENT_MEAN) * common + np.sqrt(1 - DIFFERENT_MEAN) * own / np.linalg.norm(own)
                ),
            )
        wanted = np.ones(count, np.bool_)
        began_s = time.perf_counter()
        search.search(common[None], wanted, 0.75)
        first_ms = 1e3 * (time.perf_counter() - began_s)
        times_ms, found = [], 0
        for _ in range(repeats):
            index = int(chance.integers(count))
            query = search.store.get(np.array([index])) + 0.2 * _unit(chance.standard_normal(dims))
            query /= np.linalg.norm(query)
            began_s = time.perf_counter()
            ((owners, _),) = search.search(query.astype(np.float32), wanted, 0.75)
            times_ms.append(1e3 * (time.perf_counter() - began_s))
            found += index in owners
        p50, p95 = np.percentile(times_ms, [50, 95])
        how = "exact" if search.exact else "FAISS"
        rows.append((count, how, f"{p50:.2f}", f"{p95:.2f}", f"{first_ms:.0f}", f"{found / repeats:.3f}"))
    return rows


def main() -> int:
    """Run, print, say whether it is flat."""
    parser = argument_parser(__doc__)
    parser.add_argument("--people", type=int, default=120_000)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--dims", type=int, default=512)
    parser.add_argument("--ttl", type=float, default=3600.0, help="identity.ttl_s")
    parser.add_argument("--most", type=int, default=4000, help="identity.most; fewer than come in that time")
    parser.add_argument("--samples", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=60, help="searches for each count")
    parser.add_argument("--beyond", type=int, default=200_000, help="looks for FAISS, 0 = not tried")
    parser.add_argument("--limit-mib", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(heading())
    gallery, day = simulate(options)
    steps = max(1, len(day.rows) // 12)
    print(markdown_table(("hour", "came in", "identities", "looks", "resident MiB"), day.rows[::steps]))
    memory = Trend.of([each.frames for each in day.samples], [each.rss_mib for each in day.samples])
    asked = max(1, day.right + day.wrong + day.missed)
    precision = day.right / max(1, day.right + day.wrong)
    print(
        f"\n{day.came} came in: {day.first} new, {day.right} known again, "
        f"{day.wrong} taken for somebody else, {day.missed} not known again; precision {precision:.3f}, "
        f"recall {day.right / asked:.3f}; threshold {gallery.scale.threshold:.3f}; memory {memory.first:.1f} → "
        f"{memory.middle:.1f} → {memory.last:.1f} MiB, as many again would add {memory.added:+.2f}\n"
    )
    exact = tuple(count for count in SEARCHED if count <= options.people)
    rows = search_times(options.dims, exact, options.repeats, 10**9)
    if options.beyond:
        rows += search_times(options.dims, (options.beyond,), options.repeats, options.beyond - 1)
    print(markdown_table(("looks", "how", "p50 ms", "p95 ms", "first ms", "found"), rows))
    said = f"{memory.added:+.2f} MiB in {day.came} visits of {options.people} people"
    write_json(
        options.json, reach={"gallery_soak": said}, growth_mib=memory.added, right=day.right, wrong=day.wrong,
        missed=day.missed, first=day.first, precision=precision, recall=day.right / asked, hours=day.rows, search=rows,
    )  # fmt: skip
    if memory.added > options.limit_mib:
        print(f"\nnot flat: {memory.added:.1f} MiB")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
