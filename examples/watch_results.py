"""Follow the JSON lines of a running engine and say what happens.

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
    for result in follow(Path(sys.argv[1])):
        for event in result.get("events", ()):
            whom = f"{event['label']} {event['id']}" if "id" in event else ""
            where = event.get("zone") or event.get("line") or ""
            print(f"frame {result['frame']}: {event['kind']} {whom} {where}".rstrip())


if __name__ == "__main__":
    main()
