"""Objects described by vectors of several kinds."""

from __future__ import annotations

import numpy as np
import pytest

from engine.segmentation.gallery import SAM2_POINTER, VIEWS, EmbeddingKind, Gallery
from engine.types import F32
from tests.segmentation.scenario import pointer

NAME = SAM2_POINTER.name


def near(vector: F32, other: F32, share: float) -> F32:
    return ((1 - share) * vector + share * other).astype(np.float32)


def test_an_object_is_like_itself_and_unlike_others() -> None:
    gallery = Gallery()
    gallery.add(1, NAME, pointer(1))
    assert gallery.likeness(1, {NAME: 3 * pointer(1)}) == pytest.approx(1 - SAM2_POINTER.threshold)
    unlike = gallery.likeness(1, {NAME: pointer(2)})
    assert unlike is not None
    assert unlike < 0


def test_the_best_of_a_few_views_counts() -> None:
    gallery = Gallery()
    for side in range(VIEWS + 2):
        gallery.add(1, NAME, pointer(side))
    for side in range(VIEWS + 2):
        like = gallery.likeness(1, {NAME: pointer(side)})
        assert like is not None
        assert (like > 0) == (side >= 2), "the oldest views have gone"


def test_the_same_view_is_kept_once() -> None:
    gallery = Gallery()
    gallery.add(1, NAME, pointer(1))
    for step in range(50):
        gallery.add(1, NAME, near(pointer(2), pointer(3), 0.001 * step))
    like = gallery.likeness(1, {NAME: pointer(1)})
    assert like is not None
    assert like > 0


def test_what_is_no_vector_describes_nothing() -> None:
    gallery = Gallery()
    gallery.add(1, NAME, np.zeros(256, np.float32))
    gallery.add(1, NAME, np.full(256, np.nan, np.float32))
    assert len(gallery) == 0
    gallery.add(1, NAME, pointer(1))
    assert gallery.likeness(1, {NAME: np.full(256, np.nan, np.float32)}) is None
    assert gallery.likeness(2, {NAME: pointer(1)}) is None


def test_other_embeddings_weigh_in() -> None:
    gallery = Gallery((SAM2_POINTER, EmbeddingKind("reid", 0.7, weight=3.0)))
    gallery.add(1, NAME, pointer(1))
    gallery.add(1, "reid", pointer(11))
    like = gallery.likeness(1, {NAME: pointer(1), "reid": pointer(12)})
    assert like is not None
    assert like < 0, "the stronger word says it is another"
    assert gallery.views(1).keys() == {NAME, "reid"}
    with pytest.raises(KeyError):
        gallery.add(1, "smell", pointer(1))
    gallery.forget(1)
    gallery.forget(1)
    assert len(gallery) == 0
