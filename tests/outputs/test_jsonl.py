"""JSON lines: what is in a line, and that a file only ever holds whole ones."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from pycocotools import mask as coco

from engine.errors import OutputError
from engine.outputs.jsonl import JsonlOutput, frame_record, frame_schema
from engine.types import MaskSource, PtzPose
from tests.conftest import MountDisk
from tests.outputs.results import PERSON, ObjectRow, disc, make_result

REPOSITORY = Path(__file__).resolve().parents[2]


def strict_schema() -> dict[str, Any]:
    """The published schema, which lets readers meet new keys, with that leniency taken out for the writer."""
    schema = frame_schema()
    schema["additionalProperties"] = False
    schema["properties"]["latency_ms"]["additionalProperties"] = False
    schema["$defs"]["object"]["additionalProperties"] = False
    return schema


VALIDATOR = jsonschema.Draft202012Validator(strict_schema())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All lines of a file, each validated; fails if the last one is torn."""
    text = path.read_text()
    assert text == "" or text.endswith("\n")
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        VALIDATOR.validate(line)
    return lines


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out" / "cam0.jsonl"


def test_the_schema_is_a_schema_and_refuses_what_is_not_a_record() -> None:
    jsonschema.Draft202012Validator.check_schema(frame_schema())
    good = json.loads(json.dumps(frame_record(make_result())))
    VALIDATOR.validate(good)
    for key in good:
        assert not VALIDATOR.is_valid({k: v for k, v in good.items() if k != key}), key
    for change in (
        {"schema": "camring.frame/2"}, {"frame": -1}, {"frame": 1.5}, {"time": "now"}, {"skipped": None},
        {"objects": [{**good["objects"][0], "id": 0}]}, {"latency_ms": {"total": 1.0}},
        {"objects": [{**good["objects"][0], "bbox": [1, 2, 3]}]},
        {"objects": [{**good["objects"][0], "confidence": 1.2}]},
    ):  # fmt: skip
        assert not VALIDATOR.is_valid({**good, **change}), change


def test_a_stand_in_is_said_on_every_line(path: Path) -> None:
    why = "embedded model nano_det in use because yolox_nano cannot be fetched"
    output = JsonlOutput(path)
    for index in range(2):
        output.write(replace(make_result(index, [PERSON]), degraded=(why,)))
    output.close()
    assert [line["degraded"] for line in read_lines(path)] == [[why], [why]]
    assert not VALIDATOR.is_valid({**read_lines(path)[0], "degraded": []})
    assert not VALIDATOR.is_valid({**read_lines(path)[0], "degraded": why})


def test_a_line_says_what_was_seen(path: Path) -> None:
    unconfirmed: ObjectRow = (0, 0.33333, (-3.25, 0.04, 12.375, 9.96))
    output = JsonlOutput(path)
    output.write(make_result(41, [PERSON, unconfirmed], skipped=2))
    output.close()
    assert read_lines(path) == [
        {
            "schema": "camring.frame/1",
            "camera": "cam0",
            "frame": 41,
            "time": 1_700_000_000.123457,
            "latency_ms": {"decode": 2.0, "queue": 3.0, "infer": 60.0, "track": 1.0, "total": 70.0},
            "skipped": 2,
            "objects": [
                {
                    "id": 7,
                    "label": "person",
                    "confidence": 0.87,
                    "bbox": [10.0, 20.0, 50.0, 130.0],
                    "state": "confirmed",
                    "velocity": [0.0, 0.0],
                },
                {"id": None, "label": "person", "confidence": 0.333, "bbox": [-3.2, 0.0, 15.6, 9.9]},
            ],
        }
    ]


def test_a_line_says_where_the_camera_looked_only_where_that_is_known(path: Path) -> None:
    result = make_result(1)
    posed = replace(result, meta=replace(result.meta, pose=PtzPose(359.99996, -5.12345, 41.0006)))
    output = JsonlOutput(path)
    output.write(result)
    output.write(posed)
    output.close()
    without, with_pose = read_lines(path)
    assert "pose" not in without
    assert with_pose["pose"] == {"pan": 0.0, "tilt": -5.123, "hfov": 41.001}
    for wrong in ({"pan": 360.0}, {"tilt": 91.0}, {"hfov": 0.0}, {"roll": None, "hfov": None}):
        assert not VALIDATOR.is_valid({**with_pose, "pose": {**with_pose["pose"], **wrong}}), wrong


BLANK = np.zeros((0, 0), np.bool_)


def test_a_line_has_the_outlines_that_the_detector_gave(path: Path) -> None:
    rows: list[ObjectRow] = [PERSON, (8, 0.5, (100.0, 20.0, 140.0, 60.0)), (0, 0.4, (0.0, 0.0, 40.0, 40.0))]
    grids = [disc(40, 20), np.ones((4, 4), np.bool_), BLANK]
    output = JsonlOutput(path)
    output.write(make_result(1, rows, grids=grids))
    output.write(make_result(2, rows))
    output.close()
    with_masks, without = read_lines(path)
    ((outline,),) = with_masks["objects"][0]["polygon"]
    across = [x for x, _ in outline]
    assert len(outline) >= 16 and (min(across), max(across)) == (10.0, 60.0)
    assert sorted(x for x, _ in with_masks["objects"][1]["polygon"][0][0][:-1]) == [
        100.0,
        100.0,
        140.0,
        140.0,
    ]
    assert with_masks["objects"][2]["polygon"] is None and with_masks["objects"][2]["mask_id"] is None
    assert [thing["mask_id"] for thing in with_masks["objects"]] == [7, 8, None]
    assert with_masks["objects"][0]["mask_source"] == "detector"
    assert not any(key in thing for thing in without["objects"] for key in ("polygon", "mask", "mask_id"))


# What COCO's tools return from `decode` does not know numpy 2's `copy` yet.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_line_has_run_lengths_or_nothing_where_that_is_asked_for(path: Path) -> None:
    lines = {}
    for form in ("rle", "none"):
        output = JsonlOutput(path, masks=form)
        output.write(make_result(1, grids=[disc(40, 20)]))
        output.close()
        (lines[form],) = read_lines(path)
    (thing,) = lines["rle"]["objects"]
    assert thing["mask"]["size"] == [240, 320]
    pixels = coco.decode({**thing["mask"], "counts": thing["mask"]["counts"].encode()})
    assert pixels.shape == (240, 320) and pixels.sum() == pytest.approx(np.pi / 4 * 50 * 130, rel=0.01)
    assert "mask" not in lines["none"]["objects"][0]


def test_a_moved_mask_says_how_old_it_is_and_where_it_comes_from(path: Path) -> None:
    result = make_result(1, grids=[disc(40, 20)])
    assert result.tracks.masks is not None
    moved = replace(
        result.tracks.masks,
        ages_ms=np.array([160.04], np.float32),
        confidences=np.array([0.9126], np.float32),
        sources=np.array([MaskSource.MEMORY], np.int32),
    )
    output = JsonlOutput(path)
    output.write(replace(result, tracks=replace(result.tracks, masks=moved)))
    output.close()
    ((thing,),) = (line["objects"] for line in read_lines(path))
    assert (thing["mask_age_ms"], thing["mask_source"], thing["mask_confidence"]) == (160.0, "memory", 0.913)


@pytest.mark.parametrize(
    "change",
    [
        {"polygon": [[1, 2, 3, 4]]}, {"polygon": [[[[1, 2], [3, 4], [1, 2]]]]}, {"polygon": "all"},
        {"polygon": [[[[1, 2], [3, 4], [5, -1], [1, 2]]]]}, {"polygon": [[]]},
        {"mask": {"size": [1, 2], "counts": "1"}},
        {"mask_source": "moved"}, {"mask_age_ms": -1}, {"mask_confidence": 2}, {"mask_id": 0},
    ],
)  # fmt: skip
def test_the_schema_refuses_what_is_no_outline(change: dict[str, object]) -> None:
    good = json.loads(json.dumps(frame_record(make_result(grids=[disc(9, 9)]))))
    VALIDATOR.validate(good)
    good["objects"][0].update(change)
    assert not VALIDATOR.is_valid(good)


@pytest.mark.parametrize("mask", [{"size": [1, 2]}, {"size": [0, 2], "counts": "1"}, [[1, 2]], "all"])
def test_the_schema_refuses_what_are_no_run_lengths(mask: object) -> None:
    good = json.loads(json.dumps(frame_record(make_result(grids=[disc(9, 9)]), "rle")))
    VALIDATOR.validate(good)
    good["objects"][0]["mask"] = mask
    assert not VALIDATOR.is_valid(good)


def test_the_schema_refuses_a_shape_without_its_origin() -> None:
    good = json.loads(json.dumps(frame_record(make_result(grids=[disc(9, 9)]))))
    for key in ("mask_id", "mask_age_ms", "mask_source", "mask_confidence"):
        thing = {name: value for name, value in good["objects"][0].items() if name != key}
        assert not VALIDATOR.is_valid({**good, "objects": [thing]}), key


def test_no_objects_and_no_times_are_a_record_too(path: Path) -> None:
    result = make_result(0, [])
    output = JsonlOutput(path)
    output.write(replace(result, meta=replace(result.meta, trace=replace(result.meta.trace, tracked_ns=0))))
    output.close()
    (line,) = read_lines(path)
    assert line["objects"] == []
    assert line["latency_ms"]["track"] is None


def test_a_camera_name_cannot_break_a_line(path: Path) -> None:
    output = JsonlOutput(path)
    output.write(replace(make_result(), camera='gate\n"1" é'))
    output.close()
    (line,) = read_lines(path)
    assert line["camera"] == 'gate\n"1" é'


def test_each_line_is_one_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = JsonlOutput(path)
    sizes: list[int] = []
    write = os.write

    def recorded(descriptor: int, line: bytes) -> int:
        sizes.append(len(line))
        return write(descriptor, line)

    monkeypatch.setattr(os, "write", recorded)
    for index in range(3):
        output.write(make_result(index))
    output.close()
    assert sizes == [len(line) for line in path.read_bytes().splitlines(keepends=True)]


def test_a_new_run_starts_anew_and_a_resumed_one_goes_on(path: Path) -> None:
    for resume, expected in ((False, [0, 1]), (True, [0, 1, 0, 1]), (False, [0, 1])):
        output = JsonlOutput(path, resume=resume)
        assert output.last_frame == (1 if resume else -1)
        output.write(make_result(0))
        output.write(make_result(1))
        assert output.last_frame == 1
        output.close()
        output.close()
        assert [line["frame"] for line in read_lines(path)] == expected


@pytest.mark.parametrize("torn", [b"", b'{"schema":"camring.frame/1","fra', b"\0" * 200_000])
def test_resume_drops_a_torn_last_line(path: Path, torn: bytes) -> None:
    output = JsonlOutput(path)
    many = [(i + 1, 0.5, (0.0, 0.0, 10.0, 10.0)) for i in range(2000)]
    for index in (3, 4):
        output.write(make_result(index, many))
    output.close()
    with path.open("ab") as file:
        file.write(torn)
    output = JsonlOutput(path, resume=True)
    assert output.last_frame == 4
    output.write(make_result(5))
    output.close()
    assert [line["frame"] for line in read_lines(path)] == [3, 4, 5]


def test_resume_where_nothing_whole_was_written(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b'{"schema":')
    output = JsonlOutput(path, resume=True)
    assert output.last_frame == -1
    output.close()
    assert path.read_bytes() == b""


def test_resume_leaves_a_file_alone_that_is_not_ours(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"dear diary\nand then")
    with pytest.raises(OutputError, match=r"cam0\.jsonl: its last line is no camring\.frame/1 record.*move"):
        JsonlOutput(path, resume=True)
    assert path.read_bytes() == b"dear diary\nand then"


def test_a_file_that_another_run_writes_is_refused_and_left_alone(path: Path) -> None:
    first = JsonlOutput(path)
    first.write(make_result(0))
    with pytest.raises(OutputError, match=r"another run is writing this file.*--out"):
        JsonlOutput(path)
    first.close()
    assert len(read_lines(path)) == 1
    JsonlOutput(path, resume=True).close()


def test_a_place_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/cam0\.jsonl: cannot be opened for writing: \w+"):
        JsonlOutput(tmp_path / "file" / "cam0.jsonl")
    (tmp_path / "cam0.jsonl").mkdir()
    with pytest.raises(OutputError, match=r"cannot be opened for writing: Is a directory"):
        JsonlOutput(tmp_path / "cam0.jsonl")


def write_until_full(output: JsonlOutput) -> tuple[int, OutputError]:
    """Write frames until the disk is full: number of lines written, and the error."""
    rows = [(i + 1, 0.5, (1.0, 2.0, 300.0, 400.0)) for i in range(7)]
    for index in range(100_000):
        try:
            output.write(make_result(index, rows))
        except OutputError as error:
            return index, error
    pytest.fail("the disk never got full")


def assert_full_disk_is_handled(path: Path) -> None:
    output = JsonlOutput(path)
    lines, error = write_until_full(output)
    assert lines > 10
    assert str(error).startswith(f"{path}: disk full after {lines} lines; free space")
    assert len(read_lines(path)) == lines
    with pytest.raises(OutputError, match="disk full"):
        output.write(make_result(lines, [PERSON] * 7))
    assert len(read_lines(path)) == lines
    output.close()


def test_full_disk(small_disk: MountDisk) -> None:
    assert_full_disk_is_handled(small_disk(64 * 1024) / "cam0.jsonl")


def test_writing_goes_on_when_space_is_freed(small_disk: MountDisk) -> None:
    folder = small_disk(64 * 1024)
    (folder / "other").write_bytes(b"x" * 20_000)
    output = JsonlOutput(folder / "cam0.jsonl")
    lines, _ = write_until_full(output)
    (folder / "other").unlink()
    output.write(make_result(lines))
    output.close()
    assert [line["frame"] for line in read_lines(folder / "cam0.jsonl")] == list(range(lines + 1))


@pytest.fixture
def file_size_limit() -> Iterator[int]:
    """No file of this process may grow beyond this: the last write before it is short, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    yield 50_000
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_short_write_is_taken_back(path: Path, file_size_limit: int) -> None:
    assert_full_disk_is_handled(path)
    assert path.stat().st_size < file_size_limit


WRITER = """
import sys
from engine.outputs.jsonl import JsonlOutput
from tests.outputs.results import make_result
output = JsonlOutput(sys.argv[1], resume=True)
rows = [(i + 1, 0.5, (1.0, 2.0, 300.0, 400.0)) for i in range(400)]
index = output.last_frame
while True:
    index += 1
    output.write(make_result(index, rows))
"""


def test_killed_writers_leave_no_gap_and_no_torn_line(path: Path) -> None:
    size = 0
    for _ in range(6):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], cwd=REPOSITORY)
        deadline = time.monotonic() + 30
        while not path.exists() or path.stat().st_size < size + 500_000:
            assert writer.poll() is None and time.monotonic() < deadline
            time.sleep(0.002)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        size = path.stat().st_size
    JsonlOutput(path, resume=True).close()
    frames = [line["frame"] for line in read_lines(path)]
    assert frames == list(range(len(frames)))
    assert len(frames) > 60


def test_the_example_in_the_documentation_is_a_record() -> None:
    text = (REPOSITORY / "docs" / "api_spec.md").read_text()
    example = json.loads(text.split("```json\n")[1].split("```")[0])
    VALIDATOR.validate(example)
    for key in (*frame_schema()["properties"], *frame_schema()["$defs"]["object"]["properties"]):
        assert f"`{key}`" in text or f"`.{key}`" in text, key
