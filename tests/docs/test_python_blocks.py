"""The Python of the documents compiles, and imports only what there is."""

from __future__ import annotations

import ast
import importlib

import pytest

from tests.docs.reading import Block, fences


@pytest.mark.parametrize("block", fences("python"), ids=lambda block: f"{block.file}:{block.line}")
def test_a_block_of_python_compiles(block: Block) -> None:
    tree = ast.parse("\n".join(block.lines))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name), f"{node.module} has no {alias.name}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)
