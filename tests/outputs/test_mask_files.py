"""Masks on disk: what is in the files, what a full disk and a slow one do."""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from engine.errors import OutputError
from engine.outputs import mask_files
from engine.outputs.indexed_png import read_indices
from engine.outputs.jsonl import JsonlOutput
from engine.outputs.mask_files import MOST_WAITING, RETRY_FRAMES, MaskFiles, WithMaskFiles, pixel_numbers
from engine.outputs.masks import full_size
from tests.outputs.results import disc, make_result

ROWS = [(7, 0.9, (10.0, 20.0, 60.0, 150.0)), (300, 0.8, (100.0, 30.0, 180.0, 90.0))]


def result(index: int = 0) -> Any:
    return make_result(index, ROWS, grids=[disc(20, 20), disc(16, 16)])


def texts_in(png: bytes) -> dict[str, str]:
    """Keyword and text of each tEXt chunk, their check sums held against them."""
    found, place = {}, 8
    while place < len(png):
        length = int.from_bytes(png[place : place + 4], "big")
        name, content = png[place + 4 : place + 8], png[place + 8 : place + 8 + length]
        assert zlib.crc32(name + content) == int.from_bytes(
            png[place + 8 + length : place + 12 + length], "big"
        )
        if name == b"tEXt":
            key, _, text = content.partition(b"\0")
            found[key.decode("latin-1")] = text.decode("latin-1")
        place += 12 + length
    return found


def test_png_has_the_pixels_of_each_object_and_says_whose_they_are(tmp_path: Path) -> None:
    files = MaskFiles(tmp_path / "masks" / "cam0", "png", wait=True)
    files.write(result(123))
    files.close()
    path = tmp_path / "masks" / "cam0" / "000123.png"
    pixels, owners = read_indices(path), json.loads(texts_in(path.read_bytes())["camring:objects"])
    assert owners == {"7": 7, "255": 300}
    masks = result().tracks.masks
    for row, number in enumerate((7, 255)):
        assert np.array_equal(pixels == number, full_size(masks, row, 320, 240))
    assert sorted(each.name for each in path.parent.iterdir()) == ["000123.png"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
@pytest.mark.parametrize("form", ["rle", "polygon"])
def test_json_has_the_shape_of_each_object(form: str, tmp_path: Path) -> None:
    files = MaskFiles(tmp_path, form, wait=True)
    files.write(result(5))
    files.write(make_result(6))
    files.close()
    told = json.loads((tmp_path / "000005.json").read_text())
    assert (told["schema"], told["camera"], told["frame"], told["size"]) == (
        "camring.masks/1",
        "cam0",
        5,
        [240, 320],
    )
    assert [each["id"] for each in told["objects"]] == [7, 300]
    if form == "rle":
        rle = told["objects"][0]["mask"]
        decoded = np.asarray(coco.decode({**rle, "counts": rle["counts"].encode()}), np.bool_)
        assert np.array_equal(decoded, full_size(result().tracks.masks, 0, 320, 240))
    else:
        assert told["objects"][0]["polygon"][0][0][0] == told["objects"][0]["polygon"][0][0][-1]
    assert json.loads((tmp_path / "000006.json").read_text())["objects"] == []


def test_numbers_are_ids_where_they_fit_and_never_the_same() -> None:
    assert pixel_numbers([1, 255, 7]) == [1, 255, 7]
    assert pixel_numbers([300, 255, 0, 301]) == [254, 255, 253, 252]
    many = pixel_numbers(list(range(1000, 1300)))
    assert len(set(many)) == 255 and many[-1] == 255


def test_a_new_run_begins_anew_and_a_restarted_worker_goes_on(tmp_path: Path) -> None:
    (tmp_path / "000001.png").write_bytes(b"old")
    (tmp_path / "notes.txt").write_text("somebody else's")
    MaskFiles(tmp_path, "png", wait=False, resume=True).close()
    assert (tmp_path / "000001.png").exists()
    MaskFiles(tmp_path, "png", wait=False).close()
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]


def test_a_slow_disk_holds_nobody_up_and_what_is_lost_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(mask_files, "_replace", lambda path, content: go_on.wait(10))
    files = MaskFiles(tmp_path, "rle", wait=False)
    count = MOST_WAITING + 20
    for index in range(count):
        files.write(result(index))
    assert 19 <= files.dropped["masks_queue_full"] <= 20
    go_on.set()
    files.close()
    assert files.written + files.dropped.total() == count


def test_a_full_disk(small_disk: Callable[[int], Path]) -> None:
    """Nothing is half there; once there is room, masks are written again. Lines are written all the time."""
    disk = small_disk(64 * 1024)
    filler = disk / "filler"
    filler.write_bytes(b"x" * 60 * 1024)
    files = MaskFiles(disk / "masks", "png", wait=False)
    lines = JsonlOutput(disk.parent / "cam0.jsonl")
    output = WithMaskFiles(lines, files)
    for index in range(20):
        output.write(result(index))
    deadline = threading.Event()
    while files.written + files.dropped.total() < 20 and not deadline.wait(0.01):
        pass
    assert files.dropped["masks_failed"] > 10 and "No space left" in files.trouble
    assert not list((disk / "masks").glob("*.part"))
    filler.unlink()
    # The first of them comes when the pause is over.
    last = RETRY_FRAMES + 5
    for index in range(20, last + 1):
        output.write(result(index))
    output.close()
    assert files.trouble == "" and (disk / "masks" / f"{last:06}.png").exists()
    assert files.written + files.dropped.total() == last + 1 and files.written >= 4
    assert len((disk.parent / "cam0.jsonl").read_text().splitlines()) == last + 1


def test_offline_a_failure_is_the_end(tmp_path: Path) -> None:
    files = MaskFiles(tmp_path / "masks", "png", wait=True)
    (tmp_path / "masks" / "000000.png").mkdir()
    files.write(result(0))
    with pytest.raises(OutputError, match=r"000000\.png: cannot be written"):
        files.close()
    files.close()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be prepared for masks"):
        MaskFiles(tmp_path / "file" / "masks", "png", wait=True)
