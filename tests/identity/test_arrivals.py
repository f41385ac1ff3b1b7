"""What is shown of people who come and go: IDs, gids, and for how long somebody is shown without either."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.identity.arrivals import Arrivals
from engine.identity.gallery import Gallery
from engine.types import Tracks, TrackState
from tests.identity.people import SETTINGS, People, Walkers

ANN, BEN, CID = 1, 2, 3
STEP_S = 0.1


class Scene:
    """One camera: people walk in and out, a frame every tenth of a second."""

    def __init__(self, **settings: Any) -> None:
        self.gallery = Gallery(replace(SETTINGS, **settings), ("yard",))
        self.walkers = Walkers(People())
        self.arrivals = Arrivals("yard", self.gallery)
        self.time_s = 0.0

    def see(self, *persons: int, frames: int = 1, noise: float = 0.3) -> Tracks:
        """The newest of so many frames with these people."""
        for _ in range(frames):
            self.time_s += STEP_S
            shown = self.arrivals.advance(self.walkers.see(*persons, noise=noise), self.walkers, self.time_s)
        return shown

    def ids(self, *persons: int, frames: int = 1) -> list[int]:
        ids: list[int] = self.see(*persons, frames=frames).track_ids.tolist()
        return ids


def test_who_comes_back_has_the_old_id_and_the_new_one_is_never_seen() -> None:
    scene = Scene()
    assert scene.ids(ANN, BEN, frames=30) == [1, 2]
    assert scene.ids(BEN, frames=30) == [2]
    shown = [scene.ids(ANN, BEN) for _ in range(10)]
    assert shown[-1] == [1, 2]
    assert {ids[0] for ids in shown} == {0, 1} and shown[2][0] == 1, "known after three looks"
    assert scene.walkers.renamed == {3: 1}
    assert scene.gallery.counts["recognised"] == 1 and scene.gallery.counts["new"] == 2


def test_somebody_new_gets_an_id_at_once_where_nobody_could_be_meant() -> None:
    scene = Scene()
    first = scene.see(ANN, BEN)
    assert first.track_ids.tolist() == [1, 2] and first.gids.tolist() == [1, 2]
    assert scene.ids(ANN, BEN, CID) == [1, 2, 3]


def test_somebody_new_waits_a_moment_where_somebody_could_be_meant() -> None:
    scene = Scene()
    scene.see(ANN, frames=10)
    scene.see(frames=10)
    waiting = scene.see(BEN)
    assert (waiting.track_ids[0], waiting.gids[0], waiting.states[0]) == (0, 0, TrackState.TENTATIVE)
    shown = scene.see(BEN, frames=2)
    assert shown.track_ids.tolist() == [2] and shown.states.tolist() == [TrackState.CONFIRMED]
    assert shown.gids.tolist() == [2]


def test_who_waits_and_is_not_looked_at_is_shown_after_the_time_and_keeps_that_id() -> None:
    scene = Scene(wait_s=0.45)
    scene.see(ANN, frames=10)
    scene.see(frames=10)
    scene.walkers.unseen = {ANN}
    ids = [scene.ids(ANN)[0] for _ in range(8)]
    assert ids == [0, 0, 0, 0, 0, 2, 2, 2]
    scene.walkers.unseen = set()
    late = scene.see(ANN, frames=3)
    assert late.track_ids.tolist() == [2], "an ID that was shown is not changed"
    assert late.gids.tolist() == [1], "but that it is Ann is known"
    scene.see(frames=20)
    assert scene.ids(ANN, frames=5) == [2]


def test_with_no_time_to_wait_the_first_look_decides() -> None:
    scene = Scene(wait_s=0.0)
    scene.see(ANN, frames=10)
    scene.see(frames=10)
    assert scene.ids(ANN) == [1]


def test_a_close_call_waits_and_then_is_somebody_new() -> None:
    scene = Scene()
    people = scene.walkers.people
    people.look(BEN)
    people.look(CID, of=BEN)
    scene.see(BEN, CID, frames=20)
    scene.see(frames=20)
    ids = [scene.ids(BEN)[0] for _ in range(8)]
    assert ids[:5] == [0] * 5 and ids[-1] == 3
    assert scene.gallery.counts["refused:margin"] == 1


def test_somebody_who_waits_and_leaves_was_never_there() -> None:
    scene = Scene()
    scene.see(ANN, frames=10)
    scene.see(frames=5)
    scene.see(BEN)
    assert scene.ids(frames=5) == [] and len(scene.gallery) == 1


def test_who_coasts_while_nobody_knows_them_is_not_shown() -> None:
    scene = Scene()
    scene.see(ANN, frames=10)
    scene.see(frames=5)
    tracks = scene.walkers.see(BEN)
    scene.time_s += STEP_S
    coasting = replace(tracks, states=np.full(1, TrackState.COASTING, np.int32))
    assert len(scene.arrivals.advance(coasting, scene.walkers, scene.time_s)) == 0


def test_off_changes_nothing_and_keeps_nothing() -> None:
    scene = Scene(scope="off")
    assert scene.ids(ANN, frames=10) == [1]
    scene.see(frames=10)
    shown = scene.see(ANN, frames=10)
    assert shown.track_ids.tolist() == [2] and shown.gids.tolist() == [0] and len(scene.gallery) == 0


def test_switched_off_and_on_in_the_middle_everybody_is_learnt_anew() -> None:
    scene = Scene()
    scene.see(ANN, frames=10)
    scene.gallery.set_scope("off")
    assert scene.see(ANN, frames=3).gids.tolist() == [0]
    scene.gallery.set_scope("camera")
    shown = scene.see(ANN, frames=3)
    assert shown.track_ids.tolist() == [1] and shown.gids.tolist() == [2]


def test_somebody_forgotten_while_there_keeps_the_id_and_is_not_learnt_again() -> None:
    scene = Scene()
    scene.see(ANN, frames=10)
    scene.gallery.forget(1)
    shown = scene.see(ANN, frames=30)
    assert shown.track_ids.tolist() == [1] and shown.gids.tolist() == [0] and len(scene.gallery) == 0
    scene.see(frames=10)
    assert scene.ids(ANN, frames=10) == [2]


@pytest.mark.parametrize("seed", range(3))
def test_a_day_of_comings_and_goings(seed: int) -> None:
    """Thirty people, each in and out again and again: nearly everybody is known, hardly anybody for somebody else."""
    scene = Scene()
    chance = np.random.default_rng(seed)
    there: set[int] = set()
    of_track: dict[int, int] = {}
    wrong = returns = known = 0
    met: set[int] = set()
    for _ in range(1500):
        if chance.random() < 0.1:
            there ^= {int(chance.integers(30))}
        for person, track_id in zip(sorted(there), scene.ids(*sorted(there)), strict=True):
            if track_id and of_track.setdefault(track_id, person) != person:
                wrong += 1
        for person in there - met:
            met.add(person)
        returns = sum(scene.gallery.counts[each] for each in ("recognised", "new")) - len(met)
        known = scene.gallery.counts["recognised"]
    assert wrong == 0 and returns > 30 and known > 0.9 * returns


def test_the_same_walk_gives_the_same_ids() -> None:
    answers = []
    for _ in range(2):
        scene = Scene(similarity=0.0)
        answers.append([scene.ids(*range(1, 2 + frame % 7)) for frame in range(300)])
    assert answers[0] == answers[1]
