"""Implementations found by name, and the nearest name for who mistypes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from engine.registry import import_siblings, nearest


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
