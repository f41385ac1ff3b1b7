"""Saved identities: all of it comes back; what is damaged, foreign, newer or of another network does not."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.identity.archive import MAGIC, VERSION, Archive, ArchiveError, archive_of, decode, encode, restore
from engine.identity.gallery import Gallery
from tests.identity.people import SETTINGS, People

CAMERAS = ("yard", "hall")
WALL_NS = 1_700_000_000_000_000_000


def filled(people: People, count: int = 5, cameras: tuple[str, ...] = CAMERAS) -> Gallery:
    gallery = Gallery(replace(SETTINGS, scope="global"), cameras)
    for person in range(1, count + 1):
        camera = cameras[person % 2]
        gallery.advance(camera, 100.0 + person)
        gallery.enter(camera, 10 * person, 0, 100.0 + person)
        for _ in range(3):
            gallery.describe(camera, np.array([10 * person]), people.looks(person, noise=0.5))
        if person > 1:
            gallery.left(camera, np.array([10 * person]))
    return gallery


def saved(gallery: Gallery) -> bytes:
    return b"".join(encode(archive_of(gallery, "net", WALL_NS, [200, 300])))


def test_everything_comes_back() -> None:
    people = People()
    before = filled(people)
    archive = decode(saved(before))
    assert (archive.network, archive.dims, archive.cameras) == ("net", people.dims, CAMERAS)
    after = Gallery(before.config, CAMERAS)
    assert restore(after, archive, 1000.0, WALL_NS + 7_000_000_000) == 5
    rows, rows_before = after.table.rows(), before.table.rows()
    for name in ("gids", "class_ids", "visits", "places", "known_ids"):
        np.testing.assert_array_equal(
            getattr(after.table, name)[rows], getattr(before.table, name)[rows_before]
        )
    # 105 s was the moment of saving, seven seconds ago.
    np.testing.assert_allclose(after.table.last_s[rows], before.table.last_s[rows_before] + 1000 - 105 - 7)
    assert not after.table.living.any(), "nobody is in a picture yet"
    assert after.first_track_id("yard") == 200 and after.first_track_id("hall") == 300
    verdicts = after.recognise("yard", np.zeros(5, np.int32), people.looks(1, 2, 3, 4, 5), 1000.0)
    assert [verdict.gid for verdict in verdicts] == [2, 1, 4, 3, 6], "hall's are even, yard's odd"
    assert after.enter("yard", 200, 0, 1000.0) not in before.table.row_of


def test_what_is_too_old_meanwhile_is_forgotten_on_the_way() -> None:
    after = Gallery(replace(SETTINGS, ttl_s=60.0), CAMERAS)
    assert restore(after, decode(saved(filled(People()))), 0.0, WALL_NS + 61_000_000_000) == 0


def test_other_cameras_take_over_what_they_share() -> None:
    people = People()
    before = filled(people)
    after = Gallery(replace(SETTINGS, scope="global"), ("gate", "yard"))
    assert restore(after, decode(saved(before)), 0.0, WALL_NS) == 5
    assert after.first_track_id("yard") == 200 and after.first_track_id("gate") == 1
    verdict = after.recognise("gate", np.zeros(1, np.int32), people.looks(3), 0.0)[0]
    assert verdict.gid in before.table.row_of, (
        "whom only a camera that is gone has seen is known all the same"
    )
    fresh = [after.enter(camera, 999, 0, 0.0) for camera in ("gate", "yard")]
    assert not set(fresh) & set(before.table.row_of) and len(set(fresh)) == 2


def test_an_empty_gallery_is_saved_too() -> None:
    archive = decode(saved(Gallery(SETTINGS, CAMERAS)))
    assert archive.dims == 0 and restore(Gallery(SETTINGS, CAMERAS), archive, 0.0, WALL_NS) == 0


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_is_damaged_is_found(data: st.DataObject) -> None:
    content = bytearray(saved(filled(People(), 2)))
    if data.draw(st.booleans()):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    with pytest.raises(ArchiveError) as caught:
        decode(bytes(content))
    assert caught.value.state in ("corrupt", "foreign", "newer") and "\n" not in str(caught.value)


def test_what_is_not_ours_or_newer_is_told_apart() -> None:
    content = saved(filled(People(), 2))
    for other, state in (
        (b"PK\x03\x04" + bytes(100), "foreign"),
        (b"", "foreign"),
        (MAGIC, "corrupt"),
        (MAGIC + (VERSION + 1).to_bytes(4, "little") + content[12:], "newer"),
    ):
        with pytest.raises(ArchiveError) as caught:
            decode(other)
        assert caught.value.state == state


@pytest.mark.parametrize("change", ["look", "time", "owner", "gid", "places", "header", "dims"])
def test_content_that_makes_no_sense_is_refused_even_with_a_right_checksum(change: str) -> None:
    archive = archive_of(filled(People(), 3), "net", WALL_NS, [1, 1])
    arrays = {name: array.copy() for name, array in archive.arrays.items()}
    if change == "look":
        arrays["looks"][0, 0] = np.nan
    elif change == "time":
        arrays["last_s"][0] = np.inf
    elif change == "owner":
        arrays["owners"][0] = 99
    elif change == "gid":
        arrays["gids"][:] = 1
    elif change == "places":
        arrays["places"][0] = 2
    archive = Archive(
        "net", archive.dims + (change == "dims"), CAMERAS, 0.0, WALL_NS,
        (1,) if change == "header" else (1, 1), (1, 1), archive.scale, arrays,
    )  # fmt: skip
    with pytest.raises(ArchiveError, match="makes no sense"):
        decode(b"".join(encode(archive)))


def test_the_file_can_be_read_without_us() -> None:
    """The layout that docs/identity.md gives."""
    content = saved(filled(People(), 2))
    size = int.from_bytes(content[12:16], "little")
    header = json.loads(content[16 : 16 + size])
    assert [name for name, _, _ in header["arrays"]][:2] == ["gids", "class_ids"]
    first = np.frombuffer(content[16 + size : 16 + size + 16], header["arrays"][0][1])
    assert first.tolist() == [1, 2] or sorted(first.tolist()) == first.tolist()
