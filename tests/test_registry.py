"""Implementations found by name, and the nearest name for who mistypes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from engine.errors import ConfigError
from engine.registry import import_siblings, is_reference, load_reference, nearest
from engine.tracking.base import Tracker, create_tracker


def test_every_module_of_a_package_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "shop_of_tests"
    package.mkdir()
    (package / "__init__.py").write_text("found = []\n")
    for name in ("bread", "milk"):
        (package / f"{name}.py").write_text(f"import shop_of_tests\nshop_of_tests.found.append({name!r})\n")
    (package / "notes.txt").write_text("no module")
    monkeypatch.syspath_prepend(tmp_path)
    import_siblings("shop_of_tests")
    import_siblings("shop_of_tests")
    assert sorted(sys.modules["shop_of_tests"].found) == ["bread", "milk"], "each once"
    for name in ("shop_of_tests", "shop_of_tests.bread", "shop_of_tests.milk"):
        del sys.modules[name]


def test_a_sibling_that_cannot_be_imported_is_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "broken_shop_of_tests"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "bread.py").write_text("import there_is_no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="there_is_no_such_module"):
        import_siblings("broken_shop_of_tests")
    del sys.modules["broken_shop_of_tests"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("botsrt", " (did you mean 'botsort'?)"),
        ("bytetrac", " (did you mean 'bytetrack'?)"),
        ("kalman", ""),
        ("", ""),
    ],
)
def test_the_nearest_name(name: str, hint: str) -> None:
    assert nearest(name, iter(("bytetrack", "botsort"))) == hint


def test_what_lies_in_a_file_is_loaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text("import random\nTHING = random.random()\n")
    monkeypatch.chdir(tmp_path)
    assert is_reference("mine.py:THING") and not is_reference("botsort")
    assert load_reference("mine.py:THING") == load_reference(f"{tmp_path}/mine.py:THING")
    assert load_reference("math:pi") > 3  # type: ignore[operator]  # it is a number


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("nothing.py:Thing", "cannot be loaded: .*No such file.*looked from"),
        ("no_such_package.thing:Thing", "cannot be loaded: No module named"),
        ("broken.py:Thing", "cannot be loaded: .*syntax"),
        ("mine.py:Trackr", r"has no Trackr \(did you mean 'Tracker'\?\)"),
        ("mine.py:number", "is no class derived from engine.tracking.base.Tracker"),
    ],
)
def test_a_tracker_that_cannot_be_used_is_said_in_one_line(
    reference: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.py").write_text("class Thing(:\n")
    (tmp_path / "mine.py").write_text("from engine.tracking.base import Tracker\nnumber = 3\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=words) as raised:
        create_tracker(reference)
    assert "\n" not in str(raised.value)


def test_a_tracker_of_ones_own_gets_what_others_get(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from engine.tracking.base import Tracker\nclass Mine(Tracker):\n    def update(self, *given): ...\n"
    )
    tracker = create_tracker(f"{file}:Mine", 7, 0.4)
    assert isinstance(tracker, Tracker) and tracker.next_track_id == 7 and tracker.show_score == 0.4
