"""What a result tells of itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.outputs.base import LATENCY_STAGES
from engine.types import Trace
from tests.outputs.results import make_result


def test_latency_is_the_time_between_neighbouring_stages() -> None:
    latency = make_result().latency_ms()
    assert tuple(latency) == LATENCY_STAGES
    assert latency == pytest.approx(
        {"decode": 2.0, "queue": 3.0, "infer": 60.04, "track": 1.0, "total": 70.0}
    )


def test_a_stage_not_passed_has_no_latency() -> None:
    result = make_result()
    trace = replace(result.meta.trace, tracked_ns=0)
    latency = replace(result, meta=replace(result.meta, trace=trace)).latency_ms()
    assert latency["track"] is None
    assert latency["infer"] is not None and latency["total"] is not None
    untouched = replace(result, meta=replace(result.meta, trace=Trace())).latency_ms()
    assert set(untouched.values()) == {None}


def test_every_class_has_a_label() -> None:
    result = make_result()
    assert [result.label_of(class_id) for class_id in (0, 1, -1)] == ["person", "class 1", "object"]
