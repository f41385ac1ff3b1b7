"""Jobs of the policy, put to a real segmenter with random weights: each request is answered, or says why not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.clock import SystemClock
from engine.models.sam2 import Segmenter, SegmenterOptions
from engine.models.sam2_memory import MemoryBank
from engine.segmentation.jobs import KeyframeJob, KeyframeResult, Memory, ObjectRequest
from engine.types import FrameMeta, FrameNv12, MaskSource, Prompt, nv12_geometry
from engine.workers.segment_keyframe import forget_only, run_job

SIZE_WH = (320, 240)
CLOCK = SystemClock()


@pytest.fixture(scope="module")
def segmenter(sam2_folder: Path) -> Iterator[Segmenter]:
    segmenter = Segmenter.load(sam2_folder, SegmenterOptions(freeze_iou=0.0))
    yield segmenter
    segmenter.close()


@pytest.fixture
def bank(segmenter: Segmenter) -> MemoryBank:
    return segmenter.new_bank(4)


def frame(number: int) -> FrameNv12:
    """A picture in which something bright moves."""
    width, height = SIZE_WH
    stride, offset_uv, nbytes = nv12_geometry(width, height)
    meta = FrameMeta(
        number, number * 40_000_000, 0, width, height, stride, stride, offset_uv, pts_ns=number * 40_000_000
    )
    picture = FrameNv12.view(meta, np.full(nbytes, 90, np.uint8))
    picture.y[60:160, 50 + 4 * number : 150 + 4 * number] = 220
    return picture


def box(left: float, top: float, right: float, bottom: float) -> Prompt:
    return Prompt.of_box(np.array([left, top, right, bottom], np.float32))


def job(*requests: ObjectRequest, seq: int = 1, forget: tuple[int, ...] = ()) -> KeyframeJob:
    return KeyframeJob("a", seq, requests, forget)


def start(object_id: int, prompt: Prompt | None = None) -> ObjectRequest:
    found = box(50, 60, 150, 160) if prompt is None else prompt
    return ObjectRequest(object_id, Memory.START, MaskSource.BOX, found)


def go_on(object_id: int, memory: Memory = Memory.GO_ON) -> ObjectRequest:
    return ObjectRequest(object_id, memory, MaskSource.MEMORY)


def run(segmenter: Segmenter, bank: MemoryBank, number: int, todo: KeyframeJob) -> KeyframeResult:
    result = run_job(segmenter, bank, frame(number), todo, CLOCK)
    assert result is not None
    return result


def test_every_request_is_answered_in_its_order_with_the_right_memory(
    segmenter: Segmenter, bank: MemoryBank
) -> None:
    first = run(segmenter, bank, 0, job(start(1), start(2, box(10, 10, 60, 60))))
    assert [mask.object_id for mask in first.masks] == [1, 2]
    assert all(mask.remembered and not mask.failure for mask in first.masks)
    assert first.encode_s > 0 and first.objects_s > 0
    everything = job(
        go_on(2, Memory.LOOK),
        ObjectRequest(3, Memory.NONE, MaskSource.BOX, box(200, 20, 300, 200)),
        go_on(1),
        ObjectRequest(
            2, Memory.REFINE, MaskSource.PROMPT, Prompt(np.array([[40, 40]], np.float32), np.ones(1, np.int32))
        ),
    )  # fmt: skip
    second = run(segmenter, bank, 1, everything)
    assert [mask.object_id for mask in second.masks] == [2, 3, 1, 2]
    assert [mask.failure for mask in second.masks] == [""] * 4
    assert [mask.source for mask in second.masks] == [
        MaskSource.MEMORY, MaskSource.BOX, MaskSource.MEMORY, MaskSource.PROMPT,
    ]  # fmt: skip
    assert [mask.remembered for mask in second.masks] == [False, False, True, True]
    assert (bank.steps(("a", 1)), bank.steps(("a", 2)), ("a", 3) in bank) == (2, 2, False)
    assert all(0 <= mask.confidence <= 1 for mask in second.masks)


def test_a_job_is_what_the_segmenter_itself_says(segmenter: Segmenter, bank: MemoryBank) -> None:
    """The join adds nothing: same logits, cut out around the object."""
    found = run(segmenter, bank, 0, job(start(1))).masks[0]
    features = segmenter.encode([frame(0)])
    alone = segmenter.prompt(features, np.zeros(1, np.int64), [box(50, 60, 150, 160)])
    np.testing.assert_array_equal(found.pointer, alone.pointers[0])
    assert found.object_score == pytest.approx(float(alone.object_scores[0]))
    cells = float((alone.low_res_masks[0] > 0).mean())
    width, height = found.rect_xyxy[2:] - found.rect_xyxy[:2]
    covered = float(found.grid.mean()) * width * height / (SIZE_WH[0] * SIZE_WH[1])
    assert covered == pytest.approx(cells, rel=0.25, abs=0.002)


def test_objects_that_begin_again_forget_what_they_knew(segmenter: Segmenter, bank: MemoryBank) -> None:
    for number in range(3):
        run(segmenter, bank, number, job(start(1) if number == 0 else go_on(1)))
    assert bank.steps(("a", 1)) == 3
    run(segmenter, bank, 3, job(start(1)))
    assert bank.steps(("a", 1)) == 1


def test_what_is_forgotten_is_given_back_first(segmenter: Segmenter, bank: MemoryBank) -> None:
    run(segmenter, bank, 0, job(*(start(number) for number in range(1, 5))))
    found = run(segmenter, bank, 1, job(start(5), forget=(2, 99)))
    assert found.evicted == () and ("a", 2) not in bank and ("a", 5) in bank
    forget_only(bank, job(forget=(5,)))
    assert ("a", 5) not in bank and len(bank) == 3


def test_who_has_no_room_gives_way_and_is_named(segmenter: Segmenter, bank: MemoryBank) -> None:
    run(segmenter, bank, 0, job(*(start(number) for number in range(1, 5))))
    found = run(segmenter, bank, 1, job(start(5), go_on(1)))
    assert found.evicted == (1,)
    assert [mask.failure for mask in found.masks] == ["", "nothing is remembered of it"]


def test_an_object_without_a_memory_says_so_and_the_others_go_on(
    segmenter: Segmenter, bank: MemoryBank
) -> None:
    run(segmenter, bank, 0, job(start(1)))
    found = run(segmenter, bank, 1, job(go_on(1), go_on(7)))
    assert [mask.failure for mask in found.masks] == ["", "nothing is remembered of it"]
    assert found.problems == ("nothing is remembered of it",)


def test_a_memory_that_is_not_a_number_freezes_its_object_alone(
    segmenter: Segmenter, bank: MemoryBank
) -> None:
    run(segmenter, bank, 0, job(start(1), start(2)))
    row = bank.row(("a", 1))
    assert row is not None
    bank._memory[row, 0] = 0x7FC0  # NaN as bfloat16
    found = run(segmenter, bank, 1, job(go_on(1), go_on(2)))
    assert found.masks[0].failure and not found.masks[1].failure
    assert not found.masks[0].remembered and found.masks[1].remembered


def test_a_prompt_that_cannot_be_meant_is_refused_alone(segmenter: Segmenter, bank: MemoryBank) -> None:
    outside = box(500, 500, 600, 600)
    found = run(segmenter, bank, 0, job(start(1, outside), start(2)))
    assert "outside" in found.masks[0].failure and not found.masks[1].failure
    assert ("a", 1) not in bank


def test_points_of_the_grid_come_behind_the_requests(segmenter: Segmenter, bank: MemoryBank) -> None:
    grid = np.array([[100, 100], [200, 120]], np.float32)
    found = run(segmenter, bank, 0, KeyframeJob("a", 1, (start(1),), automatic_points_xy=grid))
    assert found.masks[0].object_id == 1
    assert all(mask.object_id == 0 and mask.source is MaskSource.AUTOMATIC for mask in found.masks[1:])


def test_a_job_is_given_up_between_two_calls_for_something_more_urgent(
    segmenter: Segmenter, bank: MemoryBank
) -> None:
    run(segmenter, bank, 0, job(start(1)))
    asked = []

    def interrupted() -> bool:
        asked.append(bank.steps(("a", 2)))
        return len(asked) == 2

    both = job(start(2), go_on(1))
    assert run_job(segmenter, bank, frame(1), both, CLOCK, interrupted) is None
    assert asked == [0, 1], "before the first call, and behind it"
    assert bank.steps(("a", 1)) == 1, "who was not asked has remembered nothing"
    again = run(segmenter, bank, 2, both)
    assert [mask.failure for mask in again.masks] == ["", ""] and bank.steps(("a", 2)) == 1
