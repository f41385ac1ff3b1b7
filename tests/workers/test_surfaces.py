"""Pictures in GPU memory by camera and number: how many are kept, who may forget them, and any number of threads.

Arrays stand for the GPU's: the map never looks into them.
"""

from __future__ import annotations

import threading
import weakref

import numpy as np

from engine.types import Surface
from engine.workers.surfaces import Surfaces


def surface(value: int = 0) -> Surface:
    return Surface(np.full((4, 4), value, np.uint8), np.zeros((2, 2, 2), np.uint8))


def test_what_was_put_is_taken_once_with_everything_older() -> None:
    surfaces = Surfaces()
    third = surface(3)
    for seq, item in ((1, surface(1)), (2, surface(2)), (3, third), (4, surface(4))):
        surfaces.put("a", seq, item, 9)
    surfaces.put("b", 1, surface(), 9)
    assert surfaces.take("a", 3) is third
    assert surfaces.take("a", 3) is None and surfaces.take("a", 1) is None
    assert len(surfaces) == 2, "the newer one of this camera, and the other camera's"
    assert (surfaces.found, surfaces.missed) == (1, 2)


def test_a_camera_without_any_is_not_counted() -> None:
    surfaces = Surfaces()
    assert surfaces.take("a", 1) is None
    assert (surfaces.found, surfaces.missed) == (0, 0)


def test_the_oldest_go_where_there_are_too_many() -> None:
    surfaces = Surfaces()
    for seq in range(1, 8):
        surfaces.put("a", seq, surface(seq), 2)
        assert len(surfaces) == min(seq, 2)
    assert surfaces.take("a", 5) is None and surfaces.take("a", 6) is not None


def test_memory_goes_with_the_last_reference_wherever_that_is() -> None:
    surfaces = Surfaces()
    held, let_go = surface(1), surface(2)
    planes = weakref.ref(held.y), weakref.ref(let_go.y)
    surfaces.put("a", 1, held, 2)
    surfaces.put("a", 2, let_go, 2)
    in_call = surfaces.take("a", 1)
    del held, let_go
    surfaces.forget("a")
    assert len(surfaces) == 0
    assert planes[1]() is None, "nobody can ask for it any more"
    assert planes[0]() is not None, "a call still reads it"
    del in_call
    assert planes[0]() is None
    surfaces.forget("a")


def test_two_threads_a_camera_never_get_anothers_picture() -> None:
    surfaces, rounds, wrong = Surfaces(), 3000, []

    def decode(camera: str, value: int) -> None:
        for seq in range(1, rounds):
            surfaces.put(camera, seq, Surface((value, seq), None), 3)

    def read(camera: str, value: int) -> None:
        for seq in range(1, rounds):
            found = surfaces.take(camera, seq)
            if found is not None and found.y != (value, seq):
                wrong.append((camera, seq, found.y))

    threads = [
        threading.Thread(target=work, args=(camera, value))
        for value, camera in enumerate("abc")
        for work in (decode, read)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and len(surfaces) <= 9
