"""Re-identification networks: real ones on real crops, and what is said of files and boxes that are none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engine.errors import BackendError, ModelUnsupported
from engine.models import reid
from engine.models.backend import Backend, Call
from engine.models.reid import Crops, Embedder, EmbedderOptions
from engine.types import F32, FrameNv12
from tests.models.samples import frame_of, grey_frame, toy_model

ONE = EmbedderOptions(threads=1, cores=1, batch=1)
PERSON = (1, 3, 256, 128)
NAMES = ("osnet_x0_25_msmt17_dynbatch", "person_reid_retail_0248")


def whole(frame: FrameNv12) -> Crops:
    height, width = frame.y.shape
    return Crops(frame, np.array([[0, 0, width, height]], np.float32))


def answering(path: Path, row: Sequence[float], **metadata: str) -> Path:
    """A network that gives every crop this row."""
    return toy_model(path, {"out": np.array([row], np.float32)}, ("batch", 3, 256, 128), metadata)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "dims", "told_by"), [(NAMES[0], 512, "assumed"), (NAMES[1], 256, "registry")]
)
def test_people_are_told_apart(data_dir: Path, name: str, dims: int, told_by: str) -> None:
    embedder = Embedder.load(data_dir / "weights" / f"{name}.onnx", ONE)
    assert embedder.dims == dims and embedder.degraded == ()
    assert any(choice.what == "network" and told_by in choice.reason for choice in embedder.choices)
    people = sorted((data_dir / "reid" / "pets09_a").iterdir())[:4]
    pictures = [cv2.imread(str(path)) for person in people for path in sorted(person.glob("*.jpg"))[:3]]
    found = embedder.embed([whole(frame_of(np.asarray(bgr, np.uint8))) for bgr in pictures])
    vectors = np.concatenate(found).astype(np.float32)
    assert all(one.dtype == np.float16 and one.shape == (1, dims) for one in found)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=2e-3)
    cosine = vectors @ vectors.T
    same = np.kron(np.eye(4), np.ones((3, 3))).astype(bool)
    other = cosine[~same].mean()
    same &= ~np.eye(12, dtype=bool)
    assert cosine[same].mean() > other + 0.15
    np.fill_diagonal(cosine, -1)
    assert np.mean(same[np.arange(12), cosine.argmax(axis=1)]) >= 0.75
    embedder.close()


@pytest.mark.data
@pytest.mark.parametrize("name", NAMES)
def test_vectors_do_not_depend_on_what_else_is_looked_at(data_dir: Path, name: str) -> None:
    """Runs are repeated byte for byte, whatever came together and in whichever layout."""
    rng = np.random.default_rng(5)
    frames = [frame_of(rng.integers(0, 256, (240, 320, 3), dtype=np.uint8)) for _ in range(2)]
    boxes = np.array([[10, 20, 60, 160], [100, 4, 171, 200], [250, 100, 400, 300]], np.float32)
    path = data_dir / "weights" / f"{name}.onnx"
    alone = Embedder.load(path, ONE)
    together = Embedder.load(path, EmbedderOptions(threads=1, cores=2, batch=4))
    single = [alone.embed([Crops(frame, box[None])])[0] for frame in frames for box in boxes]
    both = together.embed([Crops(frame, boxes) for frame in frames])
    assert np.array_equal(np.concatenate(single), np.concatenate(both))
    assert together.expected_s(10) > 0 and together.expected_s(0) == 0


def test_boxes_without_pixels_give_zeros_and_are_counted(tmp_path: Path) -> None:
    embedder = Embedder.load(answering(tmp_path / "m.onnx", range(1, 513)), ONE)
    frame = grey_frame(64, 48)
    boxes = np.array(
        [
            [-20, -20, 30, 30], [70, 0, 90, 20], [0, 50, 20, 90], [10, 10, 11, 40], [30, 30, 10, 10],
            [np.nan, 0, 20, 20], [0, 0, np.inf, 20], [-1e9, -1e9, 1e9, 1e9], [62, 46, 64, 48],
        ],
        np.float32,
    )  # fmt: skip
    rows, none = embedder.embed([Crops(frame, boxes), Crops(frame, np.zeros((0, 4), np.float32))])
    usable = np.linalg.norm(rows.astype(np.float32), axis=1) > 0.9
    assert usable.tolist() == [True, False, False, False, False, False, False, True, True]
    assert not rows[~usable].any() and none.shape == (0, 512)
    assert (embedder.unusable, embedder.discarded) == (6, 0)
    assert embedder.embed([]) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_answers_that_are_no_numbers_give_zeros_and_are_counted(tmp_path: Path, bad: float) -> None:
    embedder = Embedder.load(answering(tmp_path / "m.onnx", [1.0] * 511 + [bad]), ONE)
    frame = grey_frame(64, 48)
    rows = embedder.embed([whole(frame), whole(frame)])
    assert not np.concatenate(rows).any()
    assert (embedder.unusable, embedder.discarded) == (0, 2)


def test_an_answer_of_zeros_is_no_vector(tmp_path: Path) -> None:
    embedder = Embedder.load(answering(tmp_path / "m.onnx", [0.0] * 512), ONE)
    assert not embedder.embed([whole(grey_frame(64, 48))])[0].any()
    assert embedder.discarded == 1


def test_long_answers_do_not_overflow(tmp_path: Path) -> None:
    embedder = Embedder.load(answering(tmp_path / "m.onnx", [3e30, *[0.0] * 510, 4e30]), ONE)
    found = embedder.embed([whole(grey_frame(64, 48))])[0][0]
    np.testing.assert_allclose(found[[0, -1]].astype(float), (0.6, 0.8), atol=1e-3)


def mean_colour(path: Path, pixels: str, *, channels_last: bool) -> Path:
    """A network whose first three numbers are the means of its input's channels, and the others nothing."""
    shape = [1, 256, 128, 3] if channels_last else [1, 3, 256, 128]
    nodes = [
        helper.make_node(
            "ReduceMean", ["images"], ["mean"], axes=[1, 2] if channels_last else [2, 3], keepdims=0
        ),
        helper.make_node("MatMul", ["mean", "spread"], ["out"]),
    ]
    spread = numpy_helper.from_array(np.eye(3, 512, dtype=np.float32), "spread")
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, size)
        for name, size in (("images", shape), ("out", [1, 512]))
    ]
    graph = helper.make_graph(nodes, "colour", infos[:1], infos[1:], [spread])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, {"reid_pixels": pixels})
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("pixels", "wanted"),
    [
        ("rgb-255", (200, 100, 50)),
        ("rgb-1", (200, 100, 50)),
        ("bgr-255", (50, 100, 200)),
        (
            "rgb-imagenet",
            ((200 / 255 - 0.485) / 0.229, (100 / 255 - 0.456) / 0.224, (50 / 255 - 0.406) / 0.225),
        ),
    ],
)
@pytest.mark.parametrize("channels_last", [False, True])
def test_pixels_are_what_the_network_wants(
    tmp_path: Path, pixels: str, wanted: tuple[float, float, float], channels_last: bool
) -> None:
    embedder = Embedder.load(mean_colour(tmp_path / "m.onnx", pixels, channels_last=channels_last), ONE)
    bgr = np.zeros((60, 80, 3), np.uint8)
    bgr[20:40, 30:50] = (50, 100, 200)
    found = embedder.embed([Crops(frame_of(bgr), np.array([[30, 20, 50, 40]], np.float32))])[0][0]
    np.testing.assert_allclose(found[:3], np.array(wanted) / np.linalg.norm(wanted), atol=0.02)
    assert not found[3:].any()


class Fragile(Backend, name="fragile"):
    """Runs a toy once, for the warm-up, and fails from then on."""

    runs = 0

    def new_call(self) -> Call:
        return Call(np.zeros((1, *PERSON[1:]), np.float32))

    @classmethod
    def load(cls, path: Path, options: object) -> Backend:
        made = cls()
        from engine.models.ort import OrtCpu

        inner = OrtCpu(path, options)  # type: ignore[arg-type]  # what `load` was given
        made.graph, made.batch, made.fixed_batch, made.description = inner.graph, 1, False, "fragile"
        made.inner = inner  # type: ignore[attr-defined]  # for this test
        return made

    def run(self, call: Call, count: int, lane: int) -> list[F32]:
        self.runs += 1
        if self.runs > 1:
            raise BackendError("fragile: device lost")
        return self.inner.run(call, count, lane)  # type: ignore[attr-defined, no-any-return]  # set by `load`

    def close(self) -> None:
        self.closed = True


def test_crops_run_on_the_next_backend_where_one_fails(tmp_path: Path) -> None:
    options = EmbedderOptions(backends=("fragile", "ort-cpu"), threads=1, cores=1, batch=1)
    embedder = Embedder.load(answering(tmp_path / "m.onnx", range(1, 513)), options)
    assert not embedder.degraded and embedder.choices[0].chosen == "fragile"
    rows = embedder.embed([whole(grey_frame(64, 48))])
    assert rows[0].any() and "device lost" in embedder.degraded[0]
    assert (
        embedder.choices[0].chosen == "ort-cpu" and "ort-cpu" not in embedder.degraded[0].split("instead")[1]
    )


def test_a_backend_that_is_not_there_is_passed_over(tmp_path: Path) -> None:
    path = answering(tmp_path / "m.onnx", range(1, 513))
    embedder = Embedder.load(path, EmbedderOptions(("tensorrt", "ort-cuda", "ort-cpu"), 1, 1))
    assert "instead of tensorrt" in embedder.degraded[0] and embedder.choices[0].chosen == "ort-cpu"
    with pytest.raises(BackendError):
        Embedder.load(path, EmbedderOptions(("ort-cuda",), 1, 1))


@pytest.mark.data
def test_a_detector_is_no_reidentification_network(data_dir: Path) -> None:
    with pytest.raises(
        ModelUnsupported, match=r"^.*yolox_nano_416_f32.onnx: a detector \(YOLOX.*under infer.model$"
    ):
        Embedder.load(data_dir / "weights" / "yolox_nano_416_f32.onnx", ONE)


def test_only_this_runtime_is_known_to_embedders() -> None:
    """The module imports no runtime: backends are asked for by name."""
    assert "onnxruntime" not in vars(reid)
