"""Follow the JSON lines of a running engine and say when somebody appears or leaves.

engine-run --source test:// --model motion --out out &
python examples/watch_results.py out/cam0.jsonl
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GONE_AFTER_FRAMES = 25


def follow(path: Path) -> Iterator[dict[str, Any]]:
    """Every line of a file that is still being written. Lines are always whole."""
    with path.open() as lines:
        while True:
            line = lines.readline()
            if line:
                yield json.loads(line)
            else:
                time.sleep(0.1)


def main() -> None:
    last_seen: dict[int, int] = {}
    for result in follow(Path(sys.argv[1])):
        frame = result["frame"]
        for found in result["objects"]:
            if found["id"] is not None:
                if found["id"] not in last_seen:
                    print(f"frame {frame}: {found['label']} {found['id']} appears")
                last_seen[found["id"]] = frame
        for track_id in [key for key, seen in last_seen.items() if frame - seen > GONE_AFTER_FRAMES]:
            print(f"frame {frame}: {track_id} is gone after frame {last_seen.pop(track_id)}")


if __name__ == "__main__":
    main()
