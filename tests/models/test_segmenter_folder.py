"""Where a segmenter is looked for, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import ModelNotFound
from engine.models.sam2_sidecar import FILE_NAME
from engine.models.segmenter_folder import find_segmenter, known_segmenters


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Two folders of models and a cache; one segmenter in each of the last two."""
    for place in ("first", "second", "cache/camring/models"):
        (tmp_path / place).mkdir(parents=True)
    for segmenter in ("second/edgetam_512", "cache/camring/models/sam2.1_tiny_448"):
        (tmp_path / segmenter).mkdir()
        (tmp_path / segmenter / FILE_NAME).write_text("{}")
    return {
        "ENGINE_MODELS": f"{tmp_path / 'first'}:{tmp_path / 'second'}",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "HOME": str(tmp_path),
    }


def test_a_path_is_taken_as_it_is(tmp_path: Path, environ: dict[str, str]) -> None:
    assert find_segmenter(str(tmp_path / "first"), environ) == tmp_path / "first"
    with pytest.raises(ModelNotFound, match=r"/nowhere: there is no such folder \(looked from "):
        find_segmenter(str(tmp_path / "nowhere"), environ)


def test_a_name_is_looked_up_in_the_folders_of_models_then_in_the_cache(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "first")
    assert find_segmenter("edgetam_512", environ) == tmp_path / "second" / "edgetam_512"
    assert find_segmenter("sam2.1_tiny_448", environ).parent == tmp_path / "cache" / "camring" / "models"
    assert known_segmenters(environ) == ["edgetam_512", "nano_sam", "sam2.1_tiny_448"]


def test_what_is_not_there_is_said_in_one_line_with_the_command_that_makes_it(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    with pytest.raises(ModelNotFound) as caught:
        find_segmenter("edgetam_1024", environ)
    line = str(caught.value)
    assert "did you mean 'edgetam_512'?" in line and "\n" not in line
    assert f"sam2 CHECKPOINT --size 1024 --out {tmp_path / 'first' / 'edgetam_1024'}" in line
