"""nano-sam learns a tiny clip by heart through the whole loop, and goes on from a checkpoint as if nothing had been."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

for package in ("torch", "sam2"):
    if find_spec(package) is None:
        pytest.skip(f"{package} is missing: make test installs it (docs/export.md)", allow_module_level=True)

import torch  # noqa: E402  # what follows needs torch

from tests.tools.nano.drawn import COLOURS  # noqa: E402  # likewise
from tools.nano.detector import NanoDetector  # noqa: E402  # likewise
from tools.nano.pictures import Clip  # noqa: E402  # likewise
from tools.nano.segmenter_batches import BatchSettings, assembled, piece_of  # noqa: E402  # likewise
from tools.nano.segmenter_speed import aligned  # noqa: E402  # likewise
from tools.nano.segmenter_steps import clip_step, picture_step  # noqa: E402  # likewise
from tools.nano.segmenter_together import Together  # noqa: E402  # likewise
from tools.nano.segmenter_training import Training  # noqa: E402  # likewise
from tools.nano.segmenter_validation import fixed_batches, validate  # noqa: E402  # likewise
from tools.nano.train_segmenter import CHECKPOINT, WEIGHTS, Plan  # noqa: E402  # likewise
from tools.sam2.nano import nano_model  # noqa: E402  # likewise
from tools.sam2.nano_trunk import MEAN_RGB, STD_RGB  # noqa: E402  # likewise

SIZE, FRAMES = 64, 3
TINY = Plan(
    people_steps=1, picture_steps=1, clip_steps=2, pictures=2, picture_objects=2, clips=1, clip_objects=2,
    frames=(2, 3),
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


STEPS = 120


def walking(seed: int, frames: int = FRAMES) -> Clip:
    """Two bars that walk towards each other; the first one is behind something in the last frame."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(90, 130, (frames, SIZE, SIZE, 3)).astype(np.uint8)
    ids = np.zeros((frames, SIZE, SIZE), np.uint8)
    boxes = np.full((frames, 2, 4), np.nan, np.float32)
    for frame in range(frames):
        for person, left in ((1, 6 + 4 * frame), (2, 46 - 4 * frame)):
            if person == 1 and frame == frames - 1:
                continue
            pictures[frame, 14:54, left : left + 12] = COLOURS[person - 1]
            ids[frame, 14:54, left : left + 12] = person
            boxes[frame, person - 1] = left, 14, left + 12, 54
    return Clip(pictures, ids, boxes.copy(), boxes, np.ones((frames, 2), np.float32))


def training(plan: Plan = TINY) -> Training:
    return Training(plan, 0, bfloat16=False, model=aligned(nano_model(SIZE)))


def data() -> Sequence[Clip]:
    return [walking(seed) for seed in range(2)]


def test_a_tiny_clip_is_learnt_by_heart() -> None:
    settings = BatchSettings(1, FRAMES, 2, SIZE, augment=False)
    piece = piece_of(np.random.default_rng(0), walking(0), settings)
    assert piece is not None
    batch = assembled([piece], SIZE)
    made = training()
    for step in range(STEPS):
        made.model.train()
        found = clip_step(made.model, made.people, batch, np.random.default_rng(step))
        made.optimizer.zero_grad()
        found.total.backward()
        torch.nn.utils.clip_grad_norm_(made.model.parameters(), 1.0)
        for group in made.optimizer.param_groups:
            group["lr"] = 3e-3 * min(1.0, (step + 1) / 10, (STEPS - step) / 20)
        made.optimizer.step()
    judged = validate(made.model, [batch])
    assert judged.box > 0.6 and judged.memory > 0.4
    assert judged.present > 0.6 and judged.absent == 1.0


def test_every_part_of_the_model_learns() -> None:
    """Nothing that is exported is left as it was made."""
    made = training()
    settings = BatchSettings(1, FRAMES, 2, SIZE, augment=False)
    batch = assembled(
        [piece for clip in data() if (piece := piece_of(np.random.default_rng(0), clip, settings))], SIZE
    )
    score = made.model.sam_mask_decoder.pred_obj_score_head.layers[-1].bias
    for seed in range(12):
        # What is remembered of somebody who was not found is learnt as well.
        score.data.fill_(-5.0 if seed % 2 else 0.0)
        clip_step(made.model, made.people, batch, np.random.default_rng(seed)).total.backward()
        picture_step(made.model, made.people, batch, np.random.default_rng(seed)).total.backward()
    left = {
        name for name, value in made.model.named_parameters() if value.grad is None or not value.grad.any()
    }
    # Only prompts that are masks, and rows without any memory inside the attention, use these.
    assert left <= {"mask_downsample.weight", "mask_downsample.bias", "no_mem_pos_enc"}


def test_a_training_that_was_interrupted_gives_the_same(tmp_path: Path) -> None:
    whole, first, rest = training(), training(), training()
    for _ in range(4):
        whole.once(data(), data())
    for _ in range(2):
        first.once(data(), data())
    first.save(tmp_path)
    rest.resume(tmp_path / CHECKPOINT)
    assert rest.step == 2
    for _ in range(2):
        rest.once(data(), data())
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, rest.average.state_dict()[name]), name


def test_the_weights_are_what_the_exporter_takes(tmp_path: Path) -> None:
    from tools.sam2.checkpoint import read

    made = training()
    made.save(tmp_path)
    source = read(tmp_path / WEIGHTS)
    assert (source.family, source.variant) == ("sam2.1", "nano")
    assert source.weights is not None and set(source.weights) == set(nano_model(SIZE).state_dict())


def test_running_says_how_it_goes_and_stops_when_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = training()
    judged = made.run(data(), data(), data(), tmp_path, lambda: made.step >= 3)
    assert made.step == 3 and (tmp_path / WEIGHTS).is_file()
    assert judged is not None and 0 <= judged.box <= 1
    assert "held out at the end: box" in capsys.readouterr().out


def test_rates_and_weights_of_the_background() -> None:
    plan = Plan(people_steps=100, picture_steps=400, clip_steps=600)
    assert plan.rate_at(0) < 0.1 * plan.rate
    assert plan.rate_at(100) == plan.rate_at(500) == plan.rate
    assert plan.rate_at(1100) == pytest.approx(0.02 * plan.rate, rel=1e-3)
    assert [plan.background_at(step) for step in (0, 200, 250, 300, 900)] == [0, 0, 0.5, 1, 1]


def test_the_encoder_begins_with_a_trained_detector() -> None:
    torch.manual_seed(7)
    detector = NanoDetector().eval()
    made = training()
    made.begin_with(detector)
    picture = torch.rand(1, 3, SIZE, SIZE)
    mean, std = (torch.tensor(each)[:, None, None] for each in (MEAN_RGB, STD_RGB))
    with torch.no_grad():
        _, _, middle, coarse, _ = made.average.image_encoder.trunk((picture - mean) / std)
        wanted = detector.levels(picture)
    torch.testing.assert_close(middle, wanted[0])
    torch.testing.assert_close(coarse[:, :64], wanted[1])


def test_a_process_alone_has_everything() -> None:
    alone, third = Together(), Together(2, 3)
    assert (alone.share(16), alone.seeds(5, 7), alone.first) == (16, (5, 7), True)
    assert (third.share(16), third.seeds(5, 7), third.first) == (6, (5, 7, 2), False)
    values = torch.tensor([1.0, 2.0])
    alone.average([values])
    assert values.tolist() == [1.0, 2.0] and alone.anybody(True) and not alone.anybody(False)


def test_two_processes_have_the_mean(tmp_path: Path) -> None:
    """Gradients as well, and none counts as zero; the other process ends with 0 only if it has them too."""
    code = (
        "import sys, torch; from pathlib import Path; from tools.nano.segmenter_together import Together\n"
        "rank = int(sys.argv[1]); both = Together.meet(rank, 2, Path(sys.argv[2]))\n"
        "a, b = (torch.nn.Parameter(torch.zeros(2)) for _ in range(2))\n"
        "a.grad = torch.full((2,), 1.0 + 2 * rank)\n"
        "b.grad = torch.full((2,), 4.0) if rank else None\n"
        "both.average_gradients([a, b])\n"
        "right = a.grad.tolist() == [2, 2] and b.grad.tolist() == [2, 2]\n"
        "right = right and both.anybody(rank == 1) and not both.anybody(False)\n"
        "both.part(); sys.exit(not right)"
    )
    command = [sys.executable, "-c", code]
    processes = [subprocess.Popen([*command, str(rank), str(tmp_path / "meeting")]) for rank in (0, 1)]
    assert [process.wait(60) for process in processes] == [0, 0]


def test_small_people_are_not_judged() -> None:
    clip = walking(0)
    clip.ids[:, 30:] = 0
    (batch,) = fixed_batches([clip, walking(1)], 2, SIZE, 4)
    assert len(batch.person) == 2


def test_a_memory_begins_with_looking_at_the_same_place() -> None:
    """What is remembered of a place changes its features, hardly those of most others; rotations come round, though."""
    from tools.nano.segmenter_rollout import Features, History, attend

    model = aligned(nano_model(256)).eval()
    generator = torch.Generator().manual_seed(0)
    embed, memory = (torch.randn(1, *shape, generator=generator) for shape in ((128, 16, 16), (256, 64)))
    changed = memory.clone()
    changed[:, 5 * 16 + 8] += 20
    found = []
    for each in (memory, changed):
        history = History()
        history.add(each, torch.zeros(1, 128), np.array([True]), np.array([True]))
        with torch.no_grad():
            found.append(attend(model, Features(embed, embed, embed), history))
    change = (found[1] - found[0]).norm(dim=1)[0]
    assert change[5, 8] > 3 * change[13, 1] and change[5, 8] > 0.5 * change.max()


def test_maps_of_prompts_say_where_they_are() -> None:
    from tools.sam2.nano_prompts import CHANNELS, prompt_maps

    coords = torch.tensor(
        [[[32.0, 64.0], [128.0, 200.0]], [[40.0, 40.0], [104.0, 104.0]], [[0.0, 0.0], [9.0, 9.0]]]
    )
    maps = prompt_maps(coords, torch.tensor([[2, 3], [1, 0], [-1, -1]]), 16)
    assert maps.shape == (3, CHANNELS, 16, 16)
    inside = maps[0, 0]
    assert inside[8, 5] > 0.9 and inside[8, 12] < 1e-3 and inside[1, 5] < 1e-3
    assert maps[0, 5, 0, 2] == pytest.approx((40 - 32) / 256)  # the left side, over the whole picture
    on_it, beside = maps[1, 10], maps[1, 12]
    assert on_it[2, 2] == 1 and on_it.argmax() == 2 * 16 + 2 and beside.argmax() == 6 * 16 + 6
    assert not maps[1, :10].any() and not maps[0, 10:].any() and not maps[2].any()
