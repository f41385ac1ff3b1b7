"""What `engine-run` does where it is told of no camera: the built-in scene, the embedded models, masks, a followed person.

Knows which flags, variables and profiles say something else: these win.
"""

from __future__ import annotations

SCENE = "scene://court?cameras=2&width=640&height=360&fps=20"
"""A fixed camera `overview` and a PTZ camera `ptz`."""
