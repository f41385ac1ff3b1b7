"""A backend in its layout: configured, remembered or measured, on real sessions."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from engine.errors import DeviceOutOfMemory
from engine.models.layout import Bounds, Layout, Measured
from engine.models.layout_cache import LayoutCache, layout_key
from engine.models.ort import OrtCpu
from engine.models.start import Trials, start_backend

from .backends import Failing
from .samples import toy_model

BOXES = {"output0": np.zeros((1, 10, 6), np.float32)}


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return toy_model(tmp_path / "toy.onnx", BOXES, ("batch", 3, 64, 64))


def test_what_is_configured_is_not_measured(toy: Path, tmp_path: Path) -> None:
    started = start_backend(OrtCpu, toy, Bounds(lanes=3, threads=2, batch=4, cores=2), tmp_path)
    assert started.layout == Layout(3, 2, 4) and started.backend.batch == 4
    assert started.choice.chosen == "3×2 batch 4"
    assert "lanes, threads, batch as configured" in started.choice.reason
    assert not (tmp_path / "layouts.json").exists()


def test_one_core_and_one_camera_leave_nothing_to_measure(toy: Path, tmp_path: Path) -> None:
    started = start_backend(OrtCpu, toy, Bounds(), tmp_path)
    assert started.layout == Layout(1, 1) and "nothing to choose" in started.choice.reason


def test_what_is_measured_is_shown_and_remembered(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.models.start.QUIET", 0.0)  # whatever else this machine does
    bounds = Bounds(cores=2, frames=4)
    started = start_backend(OrtCpu, toy, bounds, tmp_path)
    for layout in ("2×1 ", "1×2 ", "2×1 batch 4 ", "1×2 batch 4 "):
        assert layout in started.choice.reason
    assert started.choice.reason.startswith("measured in ") and "/s" in started.choice.reason
    assert started.backend.batch == started.layout.batch
    again = start_backend(OrtCpu, toy, bounds, tmp_path)
    assert again.layout == started.layout
    assert again.choice.reason.startswith("measured at an earlier start: ")
    (tmp_path / "layouts.json").write_text("{")
    assert start_backend(OrtCpu, toy, bounds, tmp_path).choice.reason.startswith("measured in ")


def test_a_smaller_batch_than_was_tried_takes_less_memory(toy: Path, tmp_path: Path) -> None:
    bounds = Bounds(cores=2, frames=8)
    key = layout_key(toy, OrtCpu.name, OrtCpu.runtime(), bounds)
    LayoutCache(tmp_path / "layouts.json").store(key, [Measured(Layout(2, 1), 100.0, 0.02)])
    started = start_backend(OrtCpu, toy, bounds, tmp_path)
    assert started.layout == Layout(2, 1)
    assert started.backend.new_call().input_nchw.shape == (1, 3, 64, 64)


def test_a_session_that_tried_larger_batches_is_not_kept_for_smaller_ones(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Failing.loaded.clear()
    Failing.fails_at.clear()
    Failing.fails_at.append(1_000_000)
    monkeypatch.setattr(
        "engine.models.start.measure", lambda layouts, trial: [Measured(Layout(2, 1), 100.0, 0.02)]
    )
    started = start_backend(FailingCores, toy, Bounds(cores=2, frames=8))
    assert started.backend is Failing.loaded[-1] and len(Failing.loaded) == 3
    assert [backend.closed for backend in Failing.loaded] == [True, True, False]


def test_a_fixed_batch_is_measured_in_no_other(tmp_path: Path) -> None:
    path = toy_model(tmp_path / "toy.onnx", {"output0": np.zeros((2, 10, 6), np.float32)}, (2, 3, 64, 64))
    started = start_backend(OrtCpu, path, Bounds(cores=2, frames=8))
    assert started.layout.batch == 2
    assert "2×1 batch 2 " in started.choice.reason and "batch 8" not in started.choice.reason


class FailingCores(Failing, name="test-failing-cores"):
    """With lanes and threads to choose from."""

    on_cores = True


def test_only_what_was_chosen_stays_open(toy: Path) -> None:
    Failing.loaded.clear()
    Failing.fails_at.clear()
    Failing.fails_at.append(1_000_000)
    started = start_backend(FailingCores, toy, Bounds(cores=2))
    assert len(Failing.loaded) == 2
    assert [backend.closed for backend in Failing.loaded] == [
        backend is not started.backend for backend in Failing.loaded
    ]


def test_a_failure_while_measuring_closes_everything(toy: Path) -> None:
    Failing.loaded.clear()
    Failing.fails_at.clear()
    Failing.fails_at.append(3)
    with pytest.raises(DeviceOutOfMemory):
        start_backend(FailingCores, toy, Bounds(cores=2))
    assert [backend.closed for backend in Failing.loaded] == [1, 1]


@pytest.mark.data
def test_trials_run_all_lanes_and_leave_no_threads(data_dir: Path) -> None:
    path = data_dir / "weights" / "light_person_detector_192_f32.onnx"
    started = start_backend(OrtCpu, path, Bounds(lanes=2, threads=1, cores=2))
    threads_before = threading.active_count()
    trials = Trials({(2, 1): started.backend})
    once, many = trials(Layout(2, 1), 1), trials(Layout(2, 1), 20)
    assert threading.active_count() == threads_before
    assert 0 < once < many and 0 < trials.share <= 1


@pytest.mark.data
def test_a_busy_machine_is_noticed_and_its_figures_are_not_remembered(data_dir: Path, tmp_path: Path) -> None:
    path = data_dir / "weights" / "light_person_detector_192_f32.onnx"
    spin = [sys.executable, "-c", "print(flush=True)\nwhile True: pass"]
    hogs = [subprocess.Popen(spin, stdout=subprocess.PIPE) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        for hog in hogs:
            assert hog.stdout is not None and hog.stdout.readline()
        started = start_backend(OrtCpu, path, Bounds(cores=2), tmp_path)
    finally:
        for hog in hogs:
            hog.kill()
            hog.communicate()
    assert "not remembered, as other work had" in started.choice.reason
    assert not (tmp_path / "layouts.json").exists()
