"""Small things done to a segmenter's graphs after torch wrote them. Knows ONNX, no runtime."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tools.command_line import needs

with needs("export"):
    import onnx


def tidy(model: Any) -> Any:
    """The same model: every node named, and nothing left of where and by which code it was made."""
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer):
        value.doc_string = ""
        if hasattr(value, "metadata_props"):
            del value.metadata_props[:]
    del model.graph.metadata_props[:]
    model.graph.doc_string = ""
    model.doc_string = ""
    return model


def copied(model: Any) -> Any:
    """A copy that may be changed."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def ancestors(model: Any, nodes: Iterable[Any]) -> set[str]:
    """Names of the nodes whose results these nodes are made of."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    waiting, found = [made_by[name] for node in nodes for name in node.input if name in made_by], set()
    while waiting:
        node = waiting.pop()
        if node.name not in found:
            found.add(node.name)
            waiting += [made_by[name] for name in node.input if name in made_by]
    return found
