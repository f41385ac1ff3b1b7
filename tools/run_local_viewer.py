"""A camera in a window, in one line.

    python tools/run_local_viewer.py --rtsp rtsp://user:password@camera/stream

The flags are those of `engine-view` (docs/viewer.md), which this is.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__" and not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from engine.view_cli import main

if __name__ == "__main__":
    sys.exit(main(prog="run_local_viewer.py"))
