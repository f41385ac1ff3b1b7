"""The command line of the trainings: what it says of wrong input, and one small run from pictures to a file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is missing: pip install -e '.[export]'")

from tests.tools.nano import drawn  # noqa: E402
from tests.tools.nano.drawn import drawn_clip  # noqa: E402
from tools.nano import dataset, sets  # noqa: E402
from tools.train_nano import build_parser, main  # noqa: E402


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    described = {line.split()[0] for line in said.splitlines() if line.startswith("    ")}
    assert {"render", "detector", "segmenter", "evaluate", "all"} <= described


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["detector", "--data", "nowhere"], 2, "nowhere/stills: no rendered pictures here; make them with"),
        (["detector", "--steps", "0"], 2, "--steps, --batch, --check and --threads are at least 1"),
        (["detector", "--out", "file.pt"], 1, "the result is a .onnx file"),
        (["detector", "--export-only"], 1, "there is no checkpoint here; train first"),
        (["segmenter", "--data", "nowhere"], 2, "nowhere/train: no rendered pictures here; make them with"),
        (["segmenter", "--processes", "0"], 2, "--threads and --processes are at least 1"),
        (["render", "--share", "0"], 2, "--share above 0"),
        (["render", "--data", "a_file"], 1, "a_file/val: cannot be written"),
        (["evaluate", "--model", "nowhere.onnx"], 2, "nowhere.onnx: there is no such file; train it first"),
        (["evaluate", "--footage", "nowhere"], 2, "nowhere: no folder mot in it"),
        (["evaluate", "--json", "a_file/figures.json"], 1, "a_file: cannot be written"),
        (["evaluate", "--frames", "0"], 2, "--frames is at least 1"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else None,
)
def test_what_is_wrong_is_one_line(
    arguments: list[str], status: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a_file").write_text("")
    assert main(arguments) == status
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("train_nano: ") and said in error


def test_a_gpu_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert main(["detector", "--work", str(tmp_path), "--device", "cuda"]) == 2
    assert "--device cuda: torch sees no GPU here" in capsys.readouterr().err


def test_without_torch_one_line_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["detector", "--work", str(tmp_path)]) == 2
    assert "pip install 'camring[export]'" in capsys.readouterr().err


def test_a_damaged_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nano_det.pt").write_bytes(b"PK\x03\x04 cut off")
    assert main(["detector", "--work", str(tmp_path), "--resume"]) == 1
    error = capsys.readouterr().err
    assert "nano_det.pt: no checkpoint, or a damaged one" in error and error.count("\n") == 1


def test_from_pictures_to_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Bars instead of people: what the renderer draws is another test's, and takes its time.
    monkeypatch.setattr(dataset, "clip", lambda seed, frames, width, height: drawn_clip(seed, 3, frames))
    monkeypatch.setattr(sets, "SIZE_WH", (drawn.WIDTH, drawn.HEIGHT))
    small = tuple(sets.RenderedSet(each.name, each.first_seed, 3, min(each.frames, 6)) for each in sets.SETS)
    data, work = tmp_path / "data", tmp_path / "work"
    sets.render_sets(data, 1.0, 1, small)
    common = ["detector", "--data", str(data), "--work", str(work), "--batch", "2", "--crowded-steps", "1"]
    assert main([*common, "--steps", "2", "--check", "1"]) == 0
    said = capsys.readouterr().out
    assert "step 3/3: score" in said and "held-out pictures: AP50" in said and "nano_det.onnx: 1.7" in said
    assert (work / "nano_det.onnx").is_file()
    # Trained to its end already: nothing is left to do but the export.
    assert main([*common, "--steps", "2", "--resume"]) == 0
    assert "steps 3 to 3" in capsys.readouterr().out
    assert main([*common, "--steps", "3", "--resume"]) == 1
    assert "other settings (steps)" in capsys.readouterr().err
    segmenter = ["segmenter", "--data", str(data), "--work", str(work), "--processes", "2", "--float32"]
    assert main([*segmenter, "--people-steps", "1", "--picture-steps", "1", "--clip-steps", "1"]) == 0
    assert (work / "nano_sam.pt").is_file()
    # Those that have nothing left to do write what there is.
    assert (
        main([*segmenter, "--people-steps", "1", "--picture-steps", "1", "--clip-steps", "1", "--resume"])
        == 0
    )


def test_no_seed_is_in_two_sets() -> None:
    seeds = [range(each.first_seed, each.first_seed + each.clips) for each in sets.SETS]
    assert sum(map(len, seeds)) == len(set().union(*seeds))


def test_all_takes_what_the_parts_take() -> None:
    args = build_parser().parse_args(["all", "--data", "a", "--work", "b", "--processes", "1", "--resume"])
    assert (args.data, args.work, args.processes, args.resume) == (Path("a"), Path("b"), 1, True)
