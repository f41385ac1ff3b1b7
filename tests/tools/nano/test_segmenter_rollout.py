"""The loop that nano-sam is trained in gives the numbers of the graphs that are exported of it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

for package in ("torch", "sam2"):
    if find_spec(package) is None:
        pytest.skip(f"{package} is missing: make test installs it (docs/export.md)", allow_module_level=True)

import torch  # noqa: E402  # what follows needs torch

from tools.nano.segmenter_rollout import (  # noqa: E402  # likewise
    Features,
    History,
    Points,
    attend,
    decode,
    encode,
    first_features,
    pointer_of,
    remember,
)
from tools.nano.segmenter_speed import quickened  # noqa: E402  # likewise
from tools.sam2.families import Parts, Source, build  # noqa: E402  # likewise
from tools.sam2.nano import nano_model  # noqa: E402  # likewise

ROWS, TOKENS, WIDTH, MEMORY_WIDTH = 2, 256, 128, 64


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def parts() -> Parts:
    return build(Source("sam2.1", "nano", None, 0, "random:0"), 256)


@pytest.fixture(scope="module")
def model(parts: Parts) -> Any:
    """The official model with the same weights, as it is trained."""
    made = nano_model()
    made.load_state_dict(parts.official.state_dict())
    return quickened(made).eval()


@pytest.fixture(scope="module")
def features(model: Any) -> Features:
    pictures = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return encode(model, pictures)


def near(found: Any, wanted: Any) -> None:
    found, wanted = found.detach().numpy(), wanted.detach().numpy()
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < 2e-4 * max(1.0, np.abs(wanted).max())


def history_of(steps: int, remembered: np.ndarray) -> tuple[History, Any, Any]:
    generator = torch.Generator().manual_seed(2)
    memories = torch.randn(steps, ROWS, TOKENS, MEMORY_WIDTH, generator=generator)
    pointers = torch.randn(steps, ROWS, WIDTH, generator=generator)
    history = History()
    for step in range(steps):
        history.add(memories[step], pointers[step], remembered[step], np.full(ROWS, step == 0))
    return history, memories, pointers


def test_encoder(model: Any, parts: Parts, features: Features) -> None:
    pictures = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        coarse, finest, fine = parts.modules["image_encoder"](pictures)
    near(features.image_embed, coarse)
    near(features.high_res_0, finest)
    near(features.high_res_1, fine)


@pytest.mark.parametrize("labels", [[1], [2, 3], [2, 3, 0], [-1]])
@pytest.mark.parametrize("with_mask", [False, True])
def test_decoder(model: Any, parts: Parts, features: Features, labels: list[int], with_mask: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    own = features.rows(np.zeros(ROWS, np.int64))
    pix_feat = first_features(model, own)
    coords = torch.rand(ROWS, len(labels), 2, generator=generator) * 255
    points = Points(coords, torch.tensor([labels]).expand(ROWS, -1).contiguous())
    before = torch.randn(ROWS, 128, 128, generator=generator) * 9
    with torch.no_grad():
        found = decode(model, own, pix_feat, points, before if with_mask else None)
        wanted = parts.modules["mask_decoder"](
            pix_feat, features.high_res_0, features.high_res_1, torch.zeros(ROWS, dtype=torch.int64), coords,
            points.labels.int(), torch.full((ROWS,), float(points.ambiguous)), before[:, None],
            torch.full((ROWS,), float(with_mask)),
        )  # fmt: skip
    present = found.score > 0
    near(found.score[:, None], wanted[3])
    near(found.masks, wanted[4])
    near(found.ious, wanted[5])
    near(torch.where(present[:, None, None], found.mask(), -1024.0)[:, None], wanted[0])
    near(found.iou()[:, None], wanted[1])
    if points.ambiguous:
        near(pointer_of(model, found, present), wanted[2])


def test_memory_attention_with_gaps_in_what_rows_remember(
    model: Any, parts: Parts, features: Features
) -> None:
    """Row 0 remembers all of ten steps, row 1 four of them: ages count what is remembered."""
    remembered = np.ones((10, ROWS), np.bool_)
    remembered[[1, 2, 4, 5, 6, 9], 1] = False
    history, memories, pointers = history_of(10, remembered)
    # As the bank has them: the conditioning frame and the newest six of row 0, all four of row 1.
    steps = np.array([[0, 9, 8, 7, 6, 5, 4], [0, 8, 7, 3, 0, 0, 0]])
    tpos = np.array([[6, 0, 1, 2, 3, 4, 5], [6, 0, 1, 2, 0, 0, 0]])
    valid = np.array([[1] * 7, [1, 1, 1, 1, 0, 0, 0]], np.float32)
    pointer_steps = np.array([[0, *range(9, 0, -1)], [0, 8, 7, 3, 0, 0, 0, 0, 0, 0]])
    ages = np.array([[10, *range(1, 10)], [4, 1, 2, 3, 0, 0, 0, 0, 0, 0]], np.float32)
    pointer_valid = np.array([[1] * 10, [1] * 4 + [0] * 6], np.float32)
    rows = np.arange(ROWS)[:, None]
    own = features.rows(np.zeros(ROWS, np.int64))
    with torch.no_grad():
        found = attend(model, own, history)
        wanted = parts.modules["memory_attention"](
            features.image_embed, torch.zeros(ROWS, dtype=torch.int64), memories[steps, rows], torch.from_numpy(tpos),
            pointers[pointer_steps, rows], torch.from_numpy(ages), torch.from_numpy(valid),
            torch.from_numpy(pointer_valid),
        )  # fmt: skip
    near(found, wanted)


def test_an_older_conditioning_frame_is_another_answer(model: Any, features: Features) -> None:
    history, _, _ = history_of(3, np.ones((3, ROWS), np.bool_))
    own = features.rows(np.zeros(ROWS, np.int64))
    with torch.no_grad():
        young, old = attend(model, own, history), attend(model, own, history, np.array([0, 200]))
    assert torch.equal(young[0], old[0])
    assert (young[1] - old[1]).abs().max() > 1e-5


def test_memory_encoder(model: Any, parts: Parts, features: Features) -> None:
    own = features.rows(np.zeros(ROWS, np.int64))
    logits = torch.randn(ROWS, 128, 128, generator=torch.Generator().manual_seed(4)) * 4
    present = torch.tensor([True, False])
    with torch.no_grad():
        found = remember(model, own, logits, present)
        wanted = parts.modules["memory_encoder"](
            features.image_embed, torch.zeros(ROWS, dtype=torch.int64),
            torch.where(present[:, None, None], logits, -1024.0)[:, None], torch.tensor([[1.0], [-1.0]]),
            torch.zeros(ROWS),
        )  # fmt: skip
    near(found, wanted)


def test_prompted_frames_replace_the_conditioning_frame() -> None:
    history, _, _ = history_of(4, np.ones((4, ROWS), np.bool_))
    empty = torch.zeros(ROWS, TOKENS, MEMORY_WIDTH)
    history.add(empty, torch.zeros(ROWS, WIDTH), np.array([True, True]), np.array([False, True]))
    steps, ages, valid = history.recall(7)
    assert steps[0].tolist() == [0, 4, 3, 2, 1] and ages[0].tolist() == [5, 1, 2, 3, 4]
    assert steps[1, :4].tolist() == [4, 3, 2, 1] and ages[1, :4].tolist() == [1, 2, 3, 4]
    assert valid[0].all()
    # The conditioning frame that was replaced stays in the ring of the others, as in the rollout's order of steps.
    assert valid[1].sum() == 5 and steps[1, 4] == 0
