"""OSNet checkpoints exported and run by the engine, and ONNX files told how they are to be fed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch", reason="torch is missing: pip install -e '.[export]'")

from onnx import numpy_helper  # noqa: E402

from engine.errors import ModelCorrupt, ModelUnsupported  # noqa: E402
from engine.models.backend import BackendOptions, backend_named  # noqa: E402
from engine.models.reid import Crops, Embedder, EmbedderOptions  # noqa: E402
from engine.types import F32  # noqa: E402
from tests.models.samples import grey_frame, toy_model  # noqa: E402
from tools.export_onnx import main  # noqa: E402
from tools.reid.checkpoint import load  # noqa: E402
from tools.reid.osnet import CHANNELS, DIMS, OsNet, variant_of  # noqa: E402

SMALLEST = "osnet_x0_25"
EPSILON = 1e-5


@pytest.fixture(scope="module")
def network() -> OsNet:
    """With weights whose answers are neither all alike nor mostly zeros."""
    torch.manual_seed(7)
    made: OsNet = OsNet(CHANNELS[SMALLEST]).eval()
    for name, value in made.state_dict().items():
        if name.endswith("running_mean"):
            value.uniform_(-0.1, 0.1)
        elif name.endswith("running_var"):
            value.uniform_(0.05, 0.3)
    return made


def saved(network: OsNet, path: Path, **beside: Any) -> Path:
    """As a training of torchreid leaves it."""
    weights = {f"module.{name}": value for name, value in network.state_dict().items()}
    weights |= {"module.classifier.weight": torch.zeros(5, DIMS), "module.classifier.bias": torch.zeros(5)}
    torch.save({"state_dict": weights, "epoch": 3, **beside}, path)
    return path


def test_a_checkpoint_becomes_a_network_of_the_engine(
    network: OsNet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = saved(network, tmp_path / "model.pth.tar-3")
    assert main(["reid", str(checkpoint), "--licence", "for tests only"]) == 0
    out = tmp_path / "model.onnx"
    assert f"{SMALLEST}: largest difference" in capsys.readouterr().out
    metadata = {entry.key: entry.value for entry in onnx.load(out).metadata_props}
    assert metadata["reid_pixels"] == "rgb-imagenet" and metadata["imgsz"] == "[256, 128]"
    assert metadata["licence"] == "for tests only" and metadata["description"] == SMALLEST
    pictures = np.random.default_rng(3).normal(size=(3, 3, 256, 128)).astype(np.float32)
    backend = backend_named("ort-cpu").load(out, BackendOptions(batch=3))
    call = backend.new_call()
    call.input_nchw[:] = pictures
    found = backend.run(call, 3, 0)[0]
    with torch.no_grad():
        wanted: F32 = network(torch.from_numpy(pictures)).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-4 * float(wanted.max()))
    assert wanted.std(axis=0).max() > 0.01 * wanted.max(), "weights that say nothing prove nothing"
    embedder = Embedder.load(out, EmbedderOptions(threads=1, batch=1))
    assert any("metadata" in choice.reason for choice in embedder.choices if choice.what == "network")
    frame = grey_frame(64, 96)
    assert embedder.embed([Crops(frame, np.array([[0, 0, 64, 96]], np.float32))])[0].any()


@pytest.mark.parametrize("variant", CHANNELS)
def test_variants_are_told_by_their_shapes(variant: str) -> None:
    weights = OsNet(CHANNELS[variant]).state_dict()
    assert variant_of(weights) == variant
    weights.pop("conv4.1.conv2d.3.bn.weight")
    assert variant_of(weights) is None


@pytest.mark.data
def test_published_weights_give_what_their_own_graph_gives(data_dir: Path) -> None:
    """Every weight of the exported OSNet x0.25 has its place here, and the answers are the same."""
    import onnxruntime

    path = data_dir / "weights" / "osnet_x0_25_msmt17_dynbatch.onnx"
    network = OsNet(CHANNELS[SMALLEST]).eval()
    network.load_state_dict(weights_of(onnx.load(path), network))
    pictures = np.random.default_rng(0).normal(size=(2, 3, 256, 128)).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    wanted = session.run(None, {"images": pictures})[0]
    with torch.no_grad():
        found = network(torch.from_numpy(pictures)).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-4 * float(wanted.max()))


def weights_of(model: Any, network: OsNet) -> dict[str, Any]:
    """The tensors of a graph under the names of the modules that its nodes are of; batch normalisation is folded.

    A folded one becomes one that adds the bias and does nothing else.
    """
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    found = {name: array for name, array in arrays.items() if name.startswith("fc.")}
    for node in model.graph.node:
        if node.op_type != "Conv":
            continue
        module = module_of(node.output[0])
        found[f"{module}.weight"] = arrays[node.input[1]]
        if len(node.input) < 3:
            continue
        bias = arrays[node.input[2]]
        if ".gate." in module:
            found[f"{module}.bias"] = bias
            continue
        norm = f"{module.rpartition('.')[0]}.bn"
        found |= {
            f"{norm}.weight": np.ones_like(bias), f"{norm}.bias": bias,
            f"{norm}.running_mean": np.zeros_like(bias), f"{norm}.running_var": np.full_like(bias, 1 - EPSILON),
        }  # fmt: skip
    counters = {name: value for name, value in network.state_dict().items() if name.endswith("tracked")}
    return {name: torch.from_numpy(np.array(array)) for name, array in found.items()} | counters


def module_of(output: str) -> str:
    """`/conv2/conv2.0/gate/fc1_1/Conv_output_0` is of the module `conv2.0.gate.fc1`."""
    parts: list[str] = []
    for part in output.strip("/").split("/")[:-1]:
        if parts and part.startswith(f"{parts[-1]}."):
            parts.pop()
        parts.append(re.sub(r"^(gate|fc[12])_\d+$", r"\1", part))
    return ".".join(parts)


def test_checkpoints_of_other_networks_and_damaged_ones_are_refused(network: OsNet, tmp_path: Path) -> None:
    other = tmp_path / "other.pth"
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, other)
    with pytest.raises(ModelUnsupported, match=r"none of osnet_x1_0, .*--pixels"):
        load(other)
    torch.save([1, 2], other)
    with pytest.raises(ModelUnsupported, match="no table of weights but list"):
        load(other)
    weights = network.state_dict()
    weights["conv1.conv.weight"] = torch.full_like(weights["conv1.conv.weight"], float("nan"))
    torch.save(weights, other)
    with pytest.raises(ModelCorrupt, match=r"conv1\.conv\.weight holds numbers that are not finite"):
        load(other)
    content = saved(network, other).read_bytes()
    other.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelCorrupt, match="cannot be read"):
        load(other)


class Surprise:
    """What loading must not build."""


def test_code_in_a_checkpoint_is_not_run(network: OsNet, tmp_path: Path) -> None:
    path = saved(network, tmp_path / "model.pth", trainer=Surprise())
    with pytest.raises(ModelUnsupported, match="code or classes beside its weights, which is not loaded"):
        load(path)


def test_an_onnx_file_is_told_how_it_is_to_be_fed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = toy_model(
        tmp_path / "given.onnx", {"out": np.ones((1, 2048), np.float32)}, ("batch", 3, 256, 128)
    )
    with pytest.raises(ModelUnsupported, match=r"whose pixels are not known: .*--pixels .*bgr-255"):
        Embedder.load(given, EmbedderOptions(threads=1, batch=1))
    out = tmp_path / "out.onnx"
    assert main(["reid", str(given), "--pixels", "rgb-255", "--out", str(out), "--licence", "MIT"]) == 0
    embedder = Embedder.load(out, EmbedderOptions(threads=1, batch=1))
    assert embedder.dims == 2048 and "rgb-255" in embedder.description
    for arguments, complaint in (
        ([str(given), "--out", str(out)], "there is nothing else to do"),
        ([str(given), "--pixels", "rgb-1"], "--out: name the file to write"),
        ([str(tmp_path / "none.pth")], "there is no such file"),
        ([str(given), "--size", "200", "100", "--out", str(out)], "multiples of 16"),
    ):
        assert main(["reid", *arguments]) == 2
        assert complaint in capsys.readouterr().err


def test_a_network_without_a_size_says_so(tmp_path: Path) -> None:
    given = toy_model(
        tmp_path / "open.onnx", {"out": np.ones((1, 512), np.float32)}, ("batch", 3, "height", "width")
    )
    with pytest.raises(ModelUnsupported, match="--size HEIGHT WIDTH writes it"):
        Embedder.load(given, EmbedderOptions(threads=1, batch=1))
    out = tmp_path / "sized.onnx"
    assert main(["reid", str(given), "--size", "128", "64", "--out", str(out)]) == 0
    assert "input 64 × 128" in Embedder.load(out, EmbedderOptions(threads=1, batch=1)).description
