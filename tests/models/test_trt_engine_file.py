"""Engine files: names, records, checks. No GPU and no TensorRT needed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import BackendMissing, EngineFileStale
from engine.models.heads.base import Tensor
from engine.models.trt_engine_file import (
    BatchProfile,
    EngineRecord,
    Place,
    Recipe,
    build_command,
    changes,
    check_place,
    engine_folder,
    engine_name,
    find_engine,
    read_engine,
    read_record,
    record_path,
    replace_file,
    timing_cache_path,
    write_engine,
)

SHA = "3a6017a52ceb" + "0" * 52
A10G = Place("NVIDIA A10G", (8, 6), "10.13.3.9")
H100 = Place("NVIDIA H100 80GB HBM3", (9, 0), "10.13.3.9")
RECIPE = Recipe("models/yolov8n.onnx", SHA, "fp16", (BatchProfile(1, 4, 8),), {"optimization_level": "3"})
RECORD = EngineRecord(
    RECIPE, A10G, (Tensor("images", "float32", ("batch", 3, 640, 640)),),
    (Tensor("output0", "float32", ("batch", 84, None)),), (640, 640), {"names": "{0: 'Hündin'}"},
)  # fmt: skip
PLAN = b"ftrt" + bytes(range(256)) * 8


def test_name_says_model_place_precision_and_batches() -> None:
    assert engine_name(RECIPE, A10G) == "yolov8n-3a6017a52ceb-a10g-sm86-trt10.13-fp16-b1-8.engine"


def test_name_holds_nothing_that_a_shell_or_a_folder_would_mind() -> None:
    odd = replace(RECIPE, model_name="/a/../My Modèl (v2).onnx")
    assert engine_name(odd, H100).startswith("my-mod-l-v2-3a6017a52ceb-h100-80gb-hbm3-sm90-trt10.13-fp16")
    assert engine_name(replace(RECIPE, model_name="…"), H100).startswith("unnamed-3a6")


def test_several_profiles_are_one_range_in_the_name() -> None:
    both = replace(RECIPE, profiles=(BatchProfile(1, 1, 1), BatchProfile(2, 8, 16)))
    assert engine_name(both, A10G).endswith("-b1-16.engine")


def test_every_change_gives_another_name_or_a_reason() -> None:
    write = engine_name(RECIPE, A10G)
    assert engine_name(RECIPE, H100) != write
    assert engine_name(RECIPE, replace(A10G, tensorrt="11.4.0.106")) != write
    assert engine_name(replace(RECIPE, model_sha256="f" * 64), A10G) != write
    assert engine_name(replace(RECIPE, precision="int8"), A10G) != write
    assert changes(RECORD, A10G, replace(RECIPE, options={})) == ["options"]
    assert changes(RECORD, replace(A10G, tensorrt="10.13.3.10")) == ["TensorRT version"]


@pytest.mark.parametrize(
    ("place", "recipe", "expected"),
    [
        (A10G, RECIPE, []),
        (A10G, None, []),
        (H100, RECIPE, ["GPU"]),
        (replace(H100, tensorrt="11.4.0"), RECIPE, ["GPU", "TensorRT version"]),
        (A10G, replace(RECIPE, model_sha256="0" * 64), ["model file"]),
        (A10G, replace(RECIPE, precision="fp32", profiles=(BatchProfile(1, 1, 1),)),
         ["precision", "batch profiles"]),
    ],
)  # fmt: skip
def test_changes_name_what_is_another(place: Place, recipe: Recipe | None, expected: list[str]) -> None:
    assert changes(RECORD, place, recipe) == expected


def test_stale_says_both_places_and_the_command_in_one_line() -> None:
    with pytest.raises(EngineFileStale) as raised:
        check_place(Path("x.engine"), RECORD, H100)
    assert str(raised.value) == (
        "x.engine: built for NVIDIA A10G sm86 TensorRT 10.13, here NVIDIA H100 80GB HBM3 sm90 TensorRT 10.13: "
        "rebuild it with python tools/export_trt.py models/yolov8n.onnx --precision fp16 --batch 1:4:8"
    )
    check_place(Path("x.engine"), RECORD, A10G)


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = write_engine(tmp_path / "new", RECORD, PLAN)
    record = read_record(path)
    assert read_engine(path, record) == PLAN
    assert record == replace(RECORD, sha256=record.sha256, size=len(PLAN))
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name, record_path(path).name]


def test_writing_over_an_engine_replaces_it_whole(tmp_path: Path) -> None:
    path = write_engine(tmp_path, RECORD, PLAN)
    assert write_engine(tmp_path, RECORD, b"other") == path
    assert read_engine(path, read_record(path)) == b"other"


def test_a_crash_between_engine_and_record_is_seen(tmp_path: Path) -> None:
    path = write_engine(tmp_path, RECORD, PLAN)
    replace_file(path, PLAN[::-1])
    with pytest.raises(EngineFileStale, match="damaged, or not the file that its record describes"):
        read_engine(path, read_record(path))


def test_a_flipped_bit_is_seen(tmp_path: Path) -> None:
    path = write_engine(tmp_path, RECORD, PLAN)
    path.write_bytes(PLAN[:100] + bytes([PLAN[100] ^ 1]) + PLAN[101:])
    with pytest.raises(EngineFileStale, match=r"rebuild it with python tools/export_trt\.py"):
        read_engine(path, read_record(path))


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    with pytest.raises(OSError):
        replace_file(target, b"a folder cannot be replaced by a file")
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "{}", '{"format": 99}', '{"format": 1}', '{"format": 1, "recipe": 3}', "\x00\xff"],
)
def test_a_record_that_is_none_is_one_line(tmp_path: Path, text: str) -> None:
    engine = tmp_path / "x.engine"
    engine.write_bytes(PLAN)
    record_path(engine).write_text(text)
    with pytest.raises(EngineFileStale) as raised:
        read_record(engine)
    assert "cannot be read" in str(raised.value) and "\n" not in str(raised.value)


def test_a_record_with_one_field_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = write_engine(tmp_path, RECORD, PLAN)
    document = json.loads(record_path(path).read_text())
    for key in document.keys() - {"format", "sha256"}:
        record_path(path).write_text(json.dumps({**document, key: None}))
        with pytest.raises(EngineFileStale):
            read_record(path)


def test_an_engine_without_a_record_is_not_loaded(tmp_path: Path) -> None:
    engine = tmp_path / "downloaded.engine"
    engine.write_bytes(PLAN)
    with pytest.raises(EngineFileStale, match="no record"):
        read_record(engine)


def test_find_takes_the_profile_that_ends_nearest_to_the_batch(tmp_path: Path) -> None:
    paths = {
        most: write_engine(tmp_path, replace(RECORD, recipe=replace(RECIPE, profiles=(profile,))), PLAN)
        for most, profile in (
            (1, BatchProfile(1, 1, 1)),
            (8, BatchProfile(1, 4, 8)),
            (16, BatchProfile(1, 8, 16)),
        )
    }
    model = Path("elsewhere/renamed.onnx")
    for batch, most in ((1, 1), (4, 8), (8, 8), (9, 16), (16, 16), (50, 16)):
        assert find_engine(tmp_path, model, SHA, A10G, batch) == paths[most]


def test_find_says_what_is_there_instead(tmp_path: Path) -> None:
    model = Path("yolov8n.onnx")
    command = r"build it with python tools/export_trt\.py yolov8n\.onnx"
    with pytest.raises(BackendMissing, match=rf"no TensorRT engine for NVIDIA A10G sm86 .* in .*: {command}"):
        find_engine(tmp_path / "absent", model, SHA, A10G, 4)
    path = write_engine(tmp_path, RECORD, PLAN)
    assert find_engine(tmp_path, model, SHA, A10G, 4) == path
    with pytest.raises(EngineFileStale, match=r"built for NVIDIA A10G sm86 .* here NVIDIA H100"):
        find_engine(tmp_path, model, SHA, H100, 4)
    with pytest.raises(EngineFileStale, match=r"built from another version of yolov8n\.onnx"):
        find_engine(tmp_path, model, "b" * 64, A10G, 4)
    with pytest.raises(BackendMissing):
        find_engine(tmp_path, Path("yolov8s.onnx"), "b" * 64, A10G, 4)


def test_an_unreadable_record_does_not_hide_the_good_engine(tmp_path: Path) -> None:
    bad = write_engine(tmp_path, replace(RECORD, place=H100), PLAN)
    record_path(bad).write_text("{")
    good = write_engine(tmp_path, RECORD, PLAN)
    assert find_engine(tmp_path, Path("yolov8n.onnx"), SHA, A10G, 8) == good


@pytest.mark.parametrize("text", ["", "0", "4:2:8", "1:2", "a", "1:4:8:9", "-1", "1:2:99999"])
def test_profiles_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        BatchProfile.parse(text)


def test_profiles_are_read_as_they_are_shown() -> None:
    assert str(BatchProfile.parse("1:4:8")) == "1:4:8"
    assert BatchProfile.parse("8") == BatchProfile(8, 8, 8)


def test_commands_can_be_pasted() -> None:
    assert build_command("my models/a.onnx") == "python tools/export_trt.py 'my models/a.onnx'"


def test_timing_caches_are_apart_by_place(tmp_path: Path) -> None:
    names = {
        timing_cache_path(tmp_path, place).name for place in (A10G, H100, replace(A10G, tensorrt="10.14.1"))
    }
    assert len(names) == 3


def test_engines_lie_beside_the_models_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert engine_folder() == tmp_path / "camring" / "tensorrt"
    assert engine_folder(tmp_path / "own") == tmp_path / "own" / "tensorrt"
