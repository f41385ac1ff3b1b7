"""nano-det learns two pictures by heart, goes on from a checkpoint as if nothing had been, and is exported as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is missing: pip install -e '.[export]'")

from engine.errors import ModelCorrupt, OutputError  # noqa: E402
from engine.models.base import BatchItem, DetectorOptions  # noqa: E402
from engine.models.detector import create_detector  # noqa: E402
from engine.types import F32  # noqa: E402
from tests.models.samples import grey_frame  # noqa: E402
from tests.tools.nano.drawn import drawn_clip  # noqa: E402
from tools.nano.average_precision import average_precision  # noqa: E402
from tools.nano.detector import INPUT_WH, Decoded, NanoDetector, Plan, boxes_xyxy, cells, parameters  # noqa: E402
from tools.nano.detector_batches import together  # noqa: E402
from tools.nano.detector_export import export  # noqa: E402
from tools.nano.detector_training import (  # noqa: E402
    Settings,
    Training,
    learning_rate,
    whole_samples,
)

SMALL = Plan((16, 16, 32, 32, 32), (1, 1, 1, 1), 32)
SIZE_WH = (160, 96)


def settings(**changes: object) -> Settings:
    usual: dict[str, object] = {
        "steps": 30, "crowded_steps": 0, "batch": 2, "size_wh": SIZE_WH, "peak": 8e-3, "last": 5e-4,
        "warm_up": 3, "average": 0.6, "average_tau": 1.0, "weight_decay": 0.0, "bfloat16": False, "plan": SMALL,
    }  # fmt: skip
    return Settings(**{**usual, **changes})  # type: ignore[arg-type]  # a table of different types


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_thirty_steps_learn_two_pictures_by_heart() -> None:
    samples = whole_samples([drawn_clip(1), drawn_clip(2)], (0,), SIZE_WH)
    training = Training(settings())
    for module in training.network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.5  # thirty steps are few for statistics that follow slowly
    losses = [training.learn(together(samples)).total.item() for _ in range(30)]
    assert losses[-1] < 0.4 * losses[0]
    assert average_precision(training.judge(samples)) > 0.95


def test_sixteen_bits_learn_as_well() -> None:
    samples = whole_samples([drawn_clip(1)], (0,), SIZE_WH)
    training = Training(settings(bfloat16=True))
    losses = [training.learn(together(samples)).total.item() for _ in range(12)]
    assert losses[-1] < 0.8 * losses[0]


def test_going_on_is_as_if_it_had_not_been_interrupted(tmp_path: Path) -> None:
    clips = [drawn_clip(seed, 3) for seed in range(4)]
    plan = settings(steps=4, crowded_steps=2, seed=4)
    whole, first, second = (Training(plan) for _ in range(3))
    for _ in range(6):
        whole.advance(clips)
    for _ in range(3):
        first.advance(clips)
    first.save(tmp_path / "half.pt")
    second.load(tmp_path / "half.pt")
    assert second.step == 3
    for _ in range(3):
        second.advance(clips)
    for ours, theirs in ((whole.network, second.network), (whole.average, second.average)):
        for name, value in ours.state_dict().items():
            assert torch.equal(value, theirs.state_dict()[name]), name


def test_another_seed_is_another_training() -> None:
    one, other = Training(settings(seed=1)), Training(settings(seed=2))
    assert not torch.equal(one.network.stem[0].weight, other.network.stem[0].weight)


def test_checkpoints_that_cannot_be_used(tmp_path: Path) -> None:
    training = Training(settings())
    path = tmp_path / "training.pt"
    with pytest.raises(ModelCorrupt, match="no checkpoint here"):
        training.load(path)
    training.save(path)
    with pytest.raises(ModelCorrupt, match=r"other settings \(seed, steps\)"):
        Training(settings(steps=31, seed=9)).load(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ModelCorrupt, match="damaged"):
        training.load(path)
    torch.save({"model": {}}, path)
    with pytest.raises(ModelCorrupt, match="not a checkpoint of nano-det"):
        training.load(path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        training.save(tmp_path / "file" / "training.pt")


def test_the_learning_rate_rises_then_falls() -> None:
    plan = settings(steps=103)
    rates = [learning_rate(plan, step) for step in range(104)]
    assert rates[0] == pytest.approx(plan.peak / 3) and max(rates) == rates[2] == pytest.approx(plan.peak)
    assert rates[53] == pytest.approx((plan.peak + plan.last) / 2)
    second = [learning_rate(settings(steps=103, crowded_steps=40), step) for step in range(103, 144)]
    assert second[0] == pytest.approx(5e-4) and sorted(second, reverse=True) == second
    assert second[-1] == pytest.approx(plan.last)
    assert rates[-1] == pytest.approx(plan.last) and sorted(rates[3:], reverse=True) == rates[3:]


def test_the_real_network_is_of_the_size_that_was_meant() -> None:
    network = NanoDetector()
    assert 0.3e6 < parameters(network) < 1.0e6
    middles, _ = cells(INPUT_WH)
    with torch.no_grad():
        assert network.eval()(torch.zeros(1, 3, 256, 448)).shape == (1, 33, len(middles))


def test_what_is_exported_says_what_training_says() -> None:
    network = lively()
    images = torch.rand(1, 3, 256, 448)
    middles, strides = cells(INPUT_WH)
    with torch.no_grad():
        raw, decoded = network(images), Decoded(network)(images)
    corners = boxes_xyxy(raw, middles, strides)[0]
    centre, size = decoded[0, :2].T, decoded[0, 2:4].T
    assert torch.allclose(torch.cat([centre - size / 2, centre + size / 2], 1), corners, atol=1e-3)
    assert torch.allclose(decoded[0, 4], raw[0, 0].sigmoid())


def test_the_file_is_read_by_the_engine_and_says_what_torch_says(tmp_path: Path) -> None:
    network = lively()
    pictures: F32 = np.random.default_rng(0).random((2, 3, 256, 448), dtype=np.float32)
    exported = export(network, pictures, "for tests")
    assert exported.sound and exported.pixels > 0
    assert len(exported.content) < 2e6
    path = tmp_path / "nano_det.onnx"
    path.write_bytes(exported.content)
    options = DetectorOptions(confidence=0.02, lanes=1, threads=1, batch=2)
    detector = create_detector(str(path), options)
    assert detector.labels == ("person",) and "input 448 × 256" in detector.description
    frames = [BatchItem(grey_frame(640, 360)) for _ in range(2)]
    assert len(detector.infer(frames)) == 2
    detector.close()


def lively() -> NanoDetector:
    """Made-up weights with which some cells say something."""
    torch.manual_seed(5)
    network = NanoDetector()
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.rand(4, 3, 64, 96))
        for head in network.heads:
            head[1].weight.mul_(4)
            head[1].bias[0] = -1.0
    ready: NanoDetector = network.eval()
    return ready
