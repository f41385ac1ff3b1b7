"""Who is recognised and who is not: looks, places, times, room, forgetting, scopes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from engine.config.links import LinkConfig
from engine.identity.gallery import Gallery, Outcome, Verdict
from tests.identity.people import SETTINGS, People

CAMERAS = ("yard", "hall")
ANN, BEN, CID = 1, 2, 3


@pytest.fixture
def people() -> People:
    return People()


def gallery_of(links: Sequence[LinkConfig] = (), **settings: object) -> Gallery:
    return Gallery(replace(SETTINGS, **settings), CAMERAS, links)  # type: ignore[arg-type]  # fields of the settings


def stay(
    gallery: Gallery, people: People, camera: str, track_id: int, person: int, when: tuple[float, float]
) -> int:
    """Somebody new or known comes, is looked at, and leaves; returns the gid."""
    gid = come(gallery, people, camera, track_id, person, when[0])
    gallery.advance(camera, when[1])
    gallery.seen(camera, np.array([track_id]), when[1])
    gallery.left(camera, np.array([track_id]))
    return gid


def come(gallery: Gallery, people: People, camera: str, track_id: int, person: int, time_s: float) -> int:
    gallery.advance(camera, time_s)
    verdict = ask(gallery, people, camera, time_s, person)[0]
    gid = gallery.enter(camera, track_id, 0, time_s, verdict.gid)
    for _ in range(3):
        gallery.describe(camera, np.array([track_id]), people.looks(person))
    return gid


def ask(gallery: Gallery, people: People, camera: str, time_s: float, *persons: int) -> list[Verdict]:
    return gallery.recognise(camera, np.zeros(len(persons), np.int32), people.looks(*persons), time_s)


def test_who_comes_back_is_known_and_who_does_not_is_a_stranger(people: People) -> None:
    gallery = gallery_of()
    ann = stay(gallery, people, "yard", 1, ANN, (0, 10))
    back, stranger = ask(gallery, people, "yard", 20, ANN, BEN)
    assert (back.outcome, back.gid) == (Outcome.KNOWN, ann) and back.cosine > 0.8
    assert (stranger.outcome, stranger.gid) == (Outcome.STRANGER, 0)
    assert gallery.known_id(ann, "yard") == 1 and gallery.first_track_id("yard") == 2


def test_who_is_in_the_picture_cannot_come_in_again(people: People) -> None:
    gallery = gallery_of()
    come(gallery, people, "yard", 1, ANN, 0)
    assert ask(gallery, people, "yard", 1, ANN)[0].outcome is Outcome.STRANGER


def test_several_at_once_each_get_their_own(people: People) -> None:
    gallery = gallery_of()
    gids = [stay(gallery, people, "yard", person, person, (0, 10)) for person in range(1, 9)]
    order = [5, 2, 8, 1, 7, 3, 6, 4]
    assert [verdict.gid for verdict in ask(gallery, people, "yard", 20, *order)] == [
        gids[p - 1] for p in order
    ]


def test_one_identity_is_not_given_to_two(people: People) -> None:
    gallery = gallery_of()
    stay(gallery, people, "yard", 1, ANN, (0, 10))
    looks = np.stack([people.look(ANN, 0.3), people.look(ANN, 0.9)])
    verdicts = gallery.recognise("yard", np.zeros(2, np.int32), looks, 20.0)
    assert sum(verdict.gid > 0 for verdict in verdicts) <= 1
    same = people.look(ANN)
    verdicts = gallery.recognise("yard", np.zeros(2, np.int32), np.stack([same, same]), 20.0)
    assert {verdict.outcome for verdict in verdicts} == {Outcome.CLOSE}


def test_people_who_are_too_much_alike_are_left_undecided(people: People) -> None:
    people.look(BEN, of=None)
    people.look(CID, of=BEN)
    gallery = gallery_of()
    ben = come(gallery, people, "yard", 1, BEN, 0)
    cid = gallery.enter("yard", 2, 0, 0.0)
    gallery.describe("yard", np.array([2]), people.looks(CID))
    gallery.left("yard", np.array([1, 2]))
    assert ben != cid
    assert ask(gallery, people, "yard", 5, BEN)[0].outcome is Outcome.CLOSE
    gallery.forget(cid)
    assert ask(gallery, people, "yard", 5, BEN)[0].gid == ben


def test_the_class_must_be_the_same(people: People) -> None:
    gallery = gallery_of()
    stay(gallery, people, "yard", 1, ANN, (0, 10))
    (verdict,) = gallery.recognise("yard", np.array([7], np.int32), people.looks(ANN), 20.0)
    assert verdict.outcome is Outcome.STRANGER and not gallery.may_come("yard", 7, 20.0)


def test_nobody_is_remembered_for_longer_than_the_ttl(people: People) -> None:
    gallery = gallery_of(ttl_s=60.0)
    ann = stay(gallery, people, "yard", 1, ANN, (0, 10))
    assert ask(gallery, people, "yard", 70.0, ANN)[0].gid == ann
    assert ask(gallery, people, "yard", 70.1, ANN)[0].gid == 0
    gallery.advance("hall", 71.0)
    assert len(gallery) == 0 and gallery.counts["forgotten:ttl"] == 1
    assert gallery.looks is not None and len(gallery.looks) == 0


def test_with_times_of_their_own_no_camera_ages_what_another_remembers(people: People) -> None:
    gallery = Gallery(replace(SETTINGS, ttl_s=60.0), CAMERAS, common_time=False)
    stay(gallery, people, "yard", 1, ANN, (0, 10))
    gallery.advance("hall", 1000.0)
    assert len(gallery) == 1
    gallery.advance("yard", 71.0)
    assert len(gallery) == 0


def test_the_one_not_seen_for_longest_makes_room(people: People) -> None:
    gallery = gallery_of(most=3)
    come(gallery, people, "yard", 1, 1, 0)
    gids = [stay(gallery, people, "yard", track, track, (track, track + 1.0)) for track in (2, 3)]
    fresh = stay(gallery, people, "yard", 4, 4, (5, 6))
    assert sorted(gallery.table.row_of) == [1, gids[1], fresh], "who is in the picture stays"
    assert gallery.counts["forgotten:room"] == 1


def test_views_are_bounded_and_old_ones_give_way(people: People) -> None:
    gallery = gallery_of(views=3)
    come(gallery, people, "yard", 1, ANN, 0)
    for _ in range(50):
        gallery.describe("yard", np.array([1]), people.looks(ANN, noise=0.6))
    assert gallery.looks is not None and len(gallery.looks) == 3
    gallery.describe("yard", np.array([1]), np.full((1, people.dims), np.nan, np.float32))
    gallery.describe("yard", np.array([1]), np.zeros((1, people.dims), np.float32))
    assert len(gallery.looks) == 3


def test_one_camera_does_not_know_what_another_has_seen_unless_the_scope_is_global(people: People) -> None:
    for scope, known in (("camera", False), ("global", True)):
        gallery = gallery_of(scope=scope)
        ann = stay(gallery, people, "yard", 1, ANN, (0, 10))
        verdict = ask(gallery, people, "hall", 20, ANN)[0]
        assert (verdict.gid == ann) is known
    gid = gallery.enter("hall", 1, 0, 20.0, verdict.gid)
    assert (gid, gallery.known_id(ann, "yard"), gallery.known_id(ann, "hall")) == (ann, 1, 1)


def test_nobody_is_quicker_than_the_way(people: People) -> None:
    gallery = gallery_of([LinkConfig("yard", "hall", 5.0, 60.0)], scope="global")
    ann = stay(gallery, people, "yard", 1, ANN, (0, 10))
    for time_s, outcome in (
        (12, Outcome.GATED),
        (15, Outcome.KNOWN),
        (70, Outcome.KNOWN),
        (71, Outcome.GATED),
    ):
        assert ask(gallery, people, "hall", time_s, ANN)[0].outcome is outcome, time_s
    assert ask(gallery, people, "yard", 10.5, ANN)[0].gid == ann, "back to where they were there is no way"
    assert not gallery.may_come("hall", 0, 12.0) and gallery.may_come("hall", 0, 15.0)


def test_where_pictures_overlap_one_person_is_before_both(people: People) -> None:
    gallery = gallery_of([LinkConfig("yard", "hall", 0.0, 5.0)], scope="global")
    ann = come(gallery, people, "yard", 1, ANN, 0)
    gallery.seen("yard", np.array([1]), 3.0)
    assert come(gallery, people, "hall", 1, ANN, 3.0) == ann
    gallery.left("yard", np.array([1]))
    gallery.advance("hall", 10_000.0)
    assert len(gallery) == 1, "who is before one camera is not forgotten"
    strict = gallery_of([LinkConfig("yard", "hall", 1.0)], scope="global")
    come(strict, people, "yard", 1, ANN, 0)
    assert ask(strict, people, "hall", 0.0, ANN)[0].outcome is Outcome.GATED


def test_who_is_forgotten_is_a_stranger_and_stays_one_while_there(people: People) -> None:
    gallery = gallery_of()
    ann = stay(gallery, people, "yard", 1, ANN, (0, 10))
    ben = come(gallery, people, "yard", 2, BEN, 11)
    assert gallery.forget(ann) and not gallery.forget(ann)
    assert ask(gallery, people, "yard", 12, ANN)[0].outcome is Outcome.STRANGER
    assert gallery.forget(ben) and gallery.gid_of("yard", 2) == 0 and gallery.is_declined("yard", 2)
    gallery.describe("yard", np.array([2]), people.looks(BEN))
    gallery.seen("yard", np.array([2]), 13.0)
    assert gallery.looks is not None and len(gallery.looks) == 0
    assert not gallery.looks.store.get(np.arange(8)).any(), "the numbers themselves are gone"
    gallery.left("yard", np.array([2]))
    assert not gallery.is_declined("yard", 2)


def test_off_forgets_everybody_at_once(people: People) -> None:
    gallery = gallery_of()
    stay(gallery, people, "yard", 1, ANN, (0, 10))
    come(gallery, people, "hall", 1, BEN, 11)
    assert gallery.set_scope("off") == 2
    assert len(gallery) == 0 and gallery.looks is None and gallery.gid_of("hall", 1) == 0


def test_from_global_to_camera_nobody_is_known_to_two_cameras_any_more(people: People) -> None:
    gallery = gallery_of(scope="global")
    ann = stay(gallery, people, "yard", 7, ANN, (0, 10))
    assert come(gallery, people, "hall", 3, ANN, 20) == ann
    gallery.set_scope("camera")
    assert gallery.gid_of("hall", 3) == ann and gallery.known_id(ann, "yard") == 0
    assert ask(gallery, people, "yard", 21, ANN)[0].outcome is Outcome.STRANGER


def test_who_was_not_looked_at_is_not_remembered(people: People) -> None:
    gallery = gallery_of()
    gallery.enter("yard", 1, 0, 0.0)
    gallery.left("yard", np.array([1]))
    assert len(gallery) == 0


def test_gids_do_not_depend_on_which_camera_was_quicker(people: People) -> None:
    first, second = gallery_of(), gallery_of()
    gids: dict[tuple[str, int], list[int]] = {}
    for gallery, order in ((first, ("yard", "hall")), (second, ("hall", "yard"))):
        for camera in order:
            for track in (1, 2, 3):
                person = track + 10 * CAMERAS.index(camera)
                gids.setdefault((camera, track), []).append(come(gallery, people, camera, track, person, 0))
    assert all(a == b for a, b in gids.values())
    assert sorted(a for a, _ in gids.values()) == [1, 2, 3, 4, 5, 6]


def test_looks_of_another_length_begin_a_new_gallery(people: People) -> None:
    gallery = gallery_of()
    stay(gallery, people, "yard", 1, ANN, (0, 10))
    other = People(dims=32)
    assert gallery.recognise("yard", np.zeros(1, np.int32), other.looks(ANN), 20.0)[0].gid == 0
    assert len(gallery) == 0 and gallery.counts["forgotten:network"] == 1


def test_the_threshold_follows_the_network() -> None:
    """People of a network that finds everybody alike need a higher cosine than those of one that does not."""
    thresholds = []
    for mean in (0.2, 0.6):
        gallery = gallery_of(similarity=0.0)
        chance = np.random.default_rng(0)
        common = np.zeros(128)
        common[0] = 1.0
        ids = np.arange(1, 9)
        looks = chance.standard_normal((8, 128))
        looks /= np.linalg.norm(looks, axis=1, keepdims=True)
        looks = (np.sqrt(mean) * common + np.sqrt(1 - mean) * looks).astype(np.float32)
        looks /= np.linalg.norm(looks, axis=1, keepdims=True)
        for track_id in ids.tolist():
            gallery.enter("yard", track_id, 0, 0.0)
        gallery.describe("yard", ids, looks)
        before = gallery.scale.threshold
        for _ in range(20):
            gallery.learn("yard", ids, looks)
        assert gallery.scale.different_mean == pytest.approx(mean, abs=0.05)
        thresholds.append(gallery.scale.threshold)
        assert before == pytest.approx(0.46 + 0.55 * 0.54, abs=0.01)
    assert thresholds[0] < before < thresholds[1]
    fixed = gallery_of(similarity=0.8)
    assert fixed.scale.threshold == 0.8


def test_an_empty_gallery_answers_and_empty_questions_are_answered(people: People) -> None:
    gallery = gallery_of()
    assert ask(gallery, people, "yard", 0, ANN) == [Verdict(Outcome.STRANGER)]
    assert gallery.recognise("yard", np.zeros(0, np.int32), np.zeros((0, people.dims), np.float32), 0.0) == []
    gallery.seen("yard", np.zeros(0, np.int64), 0.0)
    gallery.left("yard", np.array([99]))


def test_a_camera_more_and_one_less(people: People) -> None:
    gallery = gallery_of(scope="global")
    ann = stay(gallery, people, "yard", 1, ANN, (0, 10))
    ben = come(gallery, people, "hall", 1, BEN, 11)
    gallery.follow(("yard", "roof"), ())
    assert ask(gallery, people, "roof", 20, ANN)[0].gid == ann
    known = ask(gallery, people, "roof", 20, BEN)[0]
    assert (known.outcome, known.gid) == (Outcome.KNOWN, ben), (
        "who was there when it went has left, and is known"
    )
    cid = come(gallery, people, "roof", 1, CID, 21)
    given = {ann, ben, cid}
    gallery.follow(("yard", "roof", "hall"), (LinkConfig("roof", "hall"),))
    assert gallery.first_track_id("hall") == 2 and len(gallery.cameras) == 3, "it has its place again"
    for number, camera in enumerate(("yard", "roof", "hall", "yard"), start=10):
        given.add(come(gallery, people, camera, number, number, 22))
    assert len(given) == 7 and max(given) <= gallery.highest_gid, "no gid twice"


def test_numbers_of_a_run_whose_cameras_have_changed_are_not_given_again() -> None:
    gallery = gallery_of()
    for camera in ("yard", "hall"):
        gallery.enter(camera, 1, 0, 1.0)
    before = gallery.highest_gid
    gallery.follow(("yard", "hall", "roof", "gate"), ())
    assert min(gallery.enter(camera, 5, 0, 2.0) for camera in ("yard", "hall", "roof", "gate")) > before
