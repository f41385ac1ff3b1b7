"""The policy knows numbers only: no clock, no threads, no files, no pixels."""

from __future__ import annotations

import ast
from pathlib import Path

import engine.segmentation

PIXELS = "mask_motion"
"""Files that look at pixels begin with this."""
ALLOWED = {"__future__", "collections", "dataclasses", "enum", "typing", "numpy", "engine"}
OURS = ("engine.segmentation", "engine.types", "engine.errors")


def test_the_policy_is_pure() -> None:
    files = [
        path
        for path in Path(engine.segmentation.__path__[0]).glob("*.py")
        if not path.stem.startswith(PIXELS)
    ]
    assert len(files) > 15
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] in ALLOWED, f"{path.name} imports {name}"
                assert not name.startswith("engine") or name.startswith(OURS), f"{path.name} imports {name}"
                assert PIXELS not in name, f"{path.name} imports {name}"
