"""Scenes with names: the standard suite that following is measured in, and `plaza`, which is for looking at.

In all of them `scene.heads[0]` is the camera that follows; the first camera is a fixed one that sees everything.
"""

from __future__ import annotations

from ptz.simulator.world import Scene

SUITE = (
    "stand", "sway", "walk_across", "run_reverse", "sprint_start", "step_teleport", "cross_two",
    "group_5_merge_split", "occlude_2s", "leave_return", "nadir_pass", "pan_wrap_360", "limit_stop", "zoom_in_far",
    "two_cameras_handoff",
)  # fmt: skip
"""The standard suite, in order."""

SCENES: dict[str, Scene] = {}
