"""Prints what happens, as it happens: every event of a run, pushed over WebSocket.

engine-run --cameras cameras.toml &
python examples/watch_events.py 'ws://127.0.0.1:8080/events?kind=crossed&kind=entered&kind=exited'
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from websockets.sync.client import connect

SILENT = ("schema", "camera", "frame", "time", "kind", "point")


def messages(url: str) -> Iterator[dict[str, Any]]:
    """Every message until the run ends."""
    with connect(url) as stream:
        for text in stream:
            yield json.loads(text)


def main() -> None:
    url = sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8080/events"
    for message in messages(url):
        if message["schema"] == "camring.event/1":
            details = ", ".join(f"{key} {value}" for key, value in message.items() if key not in SILENT)
            print(f"{message['camera']}, frame {message['frame']}: {message['kind']}: {details}", flush=True)
        elif message["type"] == "lost":
            print(f"{message['camera']}: {message['events']} events are missing here", flush=True)


if __name__ == "__main__":
    main()
