"""Checkpoints: the official form is recognised and used, everything else is one clear line."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is missing: pip install -e '.[export]'")
pytest.importorskip("sam2", reason="sam2 is missing: make test installs it (requirements-sam2.lock)")

from engine.errors import ConfigError, ModelCorrupt  # noqa: E402 - after the check
from tools.export_onnx import main  # noqa: E402
from tools.sam2 import checkpoint  # noqa: E402
from tools.sam2.families import Source, build, official_model  # noqa: E402

Capture = pytest.CaptureFixture[str]
Weights = dict[str, Any]


@pytest.fixture(scope="module")
def weights() -> Weights:
    """As an official checkpoint of SAM 2.1 tiny holds them."""
    model = official_model(Source("sam2.1", "tiny", None, 3, "random:3"), 128)
    return dict(model.state_dict())


@pytest.fixture
def file(tmp_path: Path, weights: Weights) -> Path:
    path = tmp_path / "sam2.1_hiera_tiny.pt"
    torch.save({"model": weights}, path)
    return path


def test_an_official_checkpoint_is_recognised_and_used(file: Path, weights: Weights) -> None:
    source = checkpoint.read(file)
    assert (source.family, source.variant) == ("sam2.1", "tiny") and source.label.startswith("sha256:")
    parts = build(source, 64)
    for name, tensor in parts.official.state_dict().items():
        assert torch.equal(tensor, weights[name]), name
    assert parts.licence == "Apache-2.0" and parts.memory_tokens == 16
    assert checkpoint.read(file, "tiny").variant == "tiny"
    with pytest.raises(ConfigError, match=r"--variant large: .* holds sam2\.1 tiny, by its shapes"):
        checkpoint.read(file, "large")


@pytest.mark.parametrize(
    ("width", "blocks", "variant"),
    [(96, 12, "tiny"), (96, 16, "small"), (112, 24, "base+"), (144, 48, "large")],
)
@pytest.mark.parametrize("family", ["sam2", "sam2.1"])
def test_shapes_tell_the_variant(width: int, blocks: int, variant: str, family: str) -> None:
    table = {f"image_encoder.trunk.blocks.{index}.norm1.weight": torch.zeros(1) for index in range(blocks)}
    table["image_encoder.trunk.patch_embed.proj.weight"] = torch.zeros(width, 3, 7, 7)
    table["sam_mask_decoder.iou_token.weight"] = torch.zeros(1, 256)
    if family == "sam2.1":
        table["no_obj_embed_spatial"] = torch.zeros(1, 64)
    assert checkpoint.recognise(table, Path("x.pt")) == (family, variant)


def test_edgetam_is_told_by_its_perceiver() -> None:
    assert checkpoint.recognise({"spatial_perceiver.latents": torch.zeros(1)}, Path("x.pt")) == (
        "edgetam", "edgetam",
    )  # fmt: skip


def test_weights_that_do_not_fit_the_model(weights: Weights) -> None:
    model = official_model(Source("sam2.1", "tiny", None, 3, "random:3"), 64)

    def put(changed: Weights) -> None:
        checkpoint.put_into(model, Source("sam2.1", "tiny", changed, 0, "sha256:0"))

    put(weights)
    name = "no_mem_embed"
    with pytest.raises(ModelCorrupt, match="lacks no_mem_embed"):
        put({key: value for key, value in weights.items() if key != name})
    with pytest.raises(ModelCorrupt, match="has no place for: of_another"):
        put(weights | {"of_another": torch.zeros(1)})
    with pytest.raises(
        ModelCorrupt, match=r"no_mem_embed has shape \(1, 1, 255\), the model wants \(1, 1, 256\)"
    ):
        put(weights | {name: weights[name][..., :255]})
    with pytest.raises(ModelCorrupt, match="not finite"):
        put(weights | {name: weights[name] * float("nan")})


class Foreign:
    """A class that only this file knows; loading it would run its code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("code of the checkpoint was run",)


def web_page(path: Path, weights: Weights) -> None:
    path.write_text("<!DOCTYPE html><html><title>404</title></html>")


def cut_short(path: Path, weights: Weights) -> None:
    torch.save({"model": weights}, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def foreign_class(path: Path, weights: Weights) -> None:
    torch.save({"model": {"weight": Foreign()}}, path)


def plain_pickle(path: Path, weights: Weights) -> None:
    path.write_bytes(pickle.dumps(Foreign()))


def empty(path: Path, weights: Weights) -> None:
    path.touch()


def text(path: Path, weights: Weights) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 155906050\n")


def a_list(path: Path, weights: Weights) -> None:
    torch.save([torch.zeros(1)], path)


def numbers(path: Path, weights: Weights) -> None:
    torch.save({"model": {"a": torch.zeros(1), "epoch": 3}}, path)


def another_model(path: Path, weights: Weights) -> None:
    torch.save({"model": {"conv.weight": torch.zeros(1)}}, path)


def lacks_some(path: Path, weights: Weights) -> None:
    torch.save({"model": {name: weights[name] for name in list(weights)[:-40]}}, path)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (web_page, "a web page, no checkpoint"),
        (cut_short, "damaged or cut short"),
        (foreign_class, "code or classes beside weights"),
        (plain_pickle, "code or classes beside weights"),
        (empty, "damaged or cut short"),
        (text, "no torch checkpoint: it begins with b'version"),
        (a_list, "holds no table of weights but list"),
        (numbers, "holds more than tensors: epoch"),
        (another_model, "neither SAM 2, SAM 2.1 nor EdgeTAM by its 1 tensors (conv.weight"),
        (lacks_some, "lacks "),
    ],
)
def test_what_is_not_what_it_says(
    tmp_path: Path, weights: Weights, capfd: Capture, spoil: Callable[[Path, Weights], None], says: str
) -> None:
    path = tmp_path / "sam2.1_hiera_tiny.pt"
    spoil(path, weights)
    assert main(["sam2", str(path), "--size", "224", "--out", str(tmp_path / "out")]) == 1
    out, err = capfd.readouterr()
    assert err.count("\n") == 1 and err.startswith("export_onnx sam2: ") and says in err
    assert "code of the checkpoint" not in out and [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "name a checkpoint, or --random VARIANT"),
        (["nowhere.pt"], "no such file"),
        (["nowhere.pt", "--random", "tiny"], "name a checkpoint, or --random VARIANT"),
        (["--random", "tiny", "--size", "250"], "multiples of 32 up to 4096; nearest: 256"),
        (["--random", "tiny", "--size", "-32"], "nearest: 32"),
        (["--random", "tiny", "--size", "8192"], "nearest: 4096"),
        (["--random", "edgetam", "--size", "448"], "edgetam takes multiples of 256"),
        (["--random", "tiny", "--int8", "dynamic", "--precision", "fp16"], "leave out --precision fp16"),
        (["--random", "tiny", "--calibrate", "clip.mp4"], "goes with --int8 static"),
        (["--random", "tiny", "--opset", "24"], "from 17 to 20"),
        (["--random", "tiny", "--calibrate-count", "0"], "counts from 1"),
    ],
)
def test_flags_that_do_not_fit(arguments: list[str], says: str, tmp_path: Path, capsys: Capture) -> None:
    assert main(["sam2", *arguments, "--out", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and says in err and list(tmp_path.iterdir()) == []


def test_a_missing_package_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "sam2.build_sam", None)
    assert main(["sam2", "--random", "tiny", "--size", "224", "--out", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "requirements-sam2.lock" in err
