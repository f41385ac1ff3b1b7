"""Tables of reference pages against the code: operations of the API, processes of a run."""

from __future__ import annotations

import re

from engine.topology import WorkerSpec
from tests.control.test_openapi import APP, in_openapi
from tests.docs.reading import ROOT


def test_every_operation_is_in_the_table_with_its_role() -> None:
    text = (ROOT / "docs" / "api_spec.md").read_text()
    section = text.partition("### Every operation")[2].partition("\n### ")[0]
    listed = re.findall(r"^\| `([A-Z]+ \S+)` \| (\w+) \|", section, re.MULTILINE)
    there = {(f"{each.method} {in_openapi(each.path)}", each.role.word) for each in APP.state.operations}
    assert set(listed) == there and len(listed) == len(there)


def test_every_process_is_in_the_table() -> None:
    """A file in engine/workers that a worker is made of (it has a stage) has a line."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    listed = re.findall(
        r"^\| `([\w]+)(?::<camera>)?` \|", text.partition("A worker is one file")[0], re.MULTILINE
    )
    kinds = {file.stem for file in (ROOT / "engine" / "workers").glob("*.py")}
    staged = {kind for kind in (*kinds, "api") if has_stage(kind)}
    assert {"output" if name == "results" else name for name in listed} == staged


def has_stage(kind: str) -> bool:
    try:
        return WorkerSpec(kind, kind).stage >= 0
    except ValueError:
        return False
