"""Stream worker: one camera's results drawn on their frames and encoded once, for files and for those who look."""

from __future__ import annotations

from engine.workers.output import run

__all__ = ["run"]
