"""The plain index at `/`: every operation in two columns, made from their table."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.control.operations import Operation

_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")


def plain_index(operations: Sequence[Operation]) -> str:
    """The text. A name in capitals in a path stands for what it names."""
    lines = ["camring", "", "roles: anyone < viewer < operator < admin; all as OpenAPI: /openapi.json", ""]
    paths = {
        operation.path: _PARAMETER.sub(lambda m: m[1].upper(), operation.path) for operation in operations
    }
    width = max((len(path) for path in paths.values()), default=0)
    for operation in operations:
        path = paths[operation.path]
        lines.append(f"{operation.method:6} {path:{width}}  {operation.role.word:8}  {operation.summary}")
    return "\n".join(lines) + "\n"
