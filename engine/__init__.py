"""camring: a real-time video engine. Cameras in; boxes, persistent IDs, JSON and processed video out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.api import Engine as Engine

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`Engine` (engine/api.py), imported when it is first asked for: `import engine` stays light."""
    if name == "Engine":
        from engine.api import Engine

        return Engine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
