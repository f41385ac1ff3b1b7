"""Frames of any source for tools: which ones, and prepared as in a run."""

from __future__ import annotations

import pytest

from engine.errors import ConfigError, SourceError
from engine.models.heads.base import Head, recognise
from tools.frames import prepared, read_frames

SMALL = "test://?width=128&height=64&frames=30&objects=2"
OTHER = "test://?width=64&height=64&frames=30&objects=2"


def test_every_source_gives_its_share() -> None:
    frames = list(read_frames([SMALL, OTHER], 5, every=4, first=2))
    assert [frame.y.shape[1] for frame in frames] == [128, 128, 128, 64, 64]
    assert [frame.meta.index for frame in frames] == [2, 6, 10, 2, 6]


def test_frames_do_not_share_memory() -> None:
    first, second = read_frames([SMALL], 2, every=15)
    assert (first.y != second.y).any()


def test_a_source_that_is_shorter_gives_what_it_has() -> None:
    assert len(list(read_frames([SMALL], 50))) == 30


def test_what_cannot_be_given_is_said() -> None:
    with pytest.raises(SourceError, match="no picture from number 99"):
        list(read_frames([SMALL], 1, first=99))
    with pytest.raises(ConfigError, match="1 pictures from 2 sources"):
        list(read_frames([SMALL, OTHER], 1))
    with pytest.raises(SourceError, match=r"nothing\.mp4"):
        list(read_frames(["nothing.mp4"], 1))


def test_a_password_is_not_shown() -> None:
    with pytest.raises(SourceError) as caught:
        list(read_frames(["nosuch://user:secret@camera/stream"], 1))
    assert "secret" not in str(caught.value)


def test_prepared_as_the_head_wants_it(data_dir: object) -> None:
    from pathlib import Path

    from engine.models.backend import BackendOptions, backend_named

    assert isinstance(data_dir, Path)
    path = data_dir / "weights" / "yolox_nano_416_f32.onnx"
    head: Head = recognise(backend_named("ort-cpu").load(path, BackendOptions()).graph, "here")
    tensor, letterbox = prepared(next(iter(read_frames([SMALL], 1))), head, (416, 416))
    assert tensor.shape == (1, 3, 416, 416)
    # This family puts the picture top left and pads with 114, on a scale to 255.
    assert (letterbox.left, letterbox.top, letterbox.height) == (0, 0, 208)
    assert (tensor[0, :, 208:] == 114).all()
