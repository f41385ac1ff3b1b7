"""An output of one's own: a CSV line for each object of each frame, and a POST to a webhook for each event.

python examples/custom_output.py clip.mp4 --offline --csv objects.csv
python examples/custom_output.py --cameras cameras.toml --csv objects.csv --webhook http://127.0.0.1:9000/hook
"""

from __future__ import annotations

import argparse
import csv
import http.client
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

from engine import Engine
from engine.errors import EngineError


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="*", help="files, URLs, webcam numbers, or test://")
    parser.add_argument("--cameras", type=Path, help="a cameras file, with zones and lines for events")
    parser.add_argument("--offline", action="store_true", help="every frame of files")
    parser.add_argument("--csv", type=Path, required=True, help="file to write")
    parser.add_argument("--webhook", help="where each event goes")
    args = parser.parse_args()
    run = Engine.from_profile(sources=args.sources, cameras=args.cameras, offline=args.offline, frames=False)
    with args.csv.open("w", newline="") as file, run as engine:
        table = csv.writer(file)
        table.writerow(
            ("camera", "frame", "time", "id", "label", "confidence", "left", "top", "width", "height")
        )
        for result in engine.results():
            record = result.record()  # as in the JSON lines: docs/api_spec.md
            where = record["camera"], record["frame"], record["time"]
            for each in record["objects"]:
                table.writerow([*where, each["id"], each["label"], each["confidence"], *each["bbox"]])
            for event in record.get("events", ()) if args.webhook else ():
                post(args.webhook, {**event, "camera": record["camera"], "time": record["time"]})
    return 0


def post(url: str, event: dict[str, object]) -> None:
    """Send an event; the run goes on where nobody takes it."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=2)
    try:
        connection.request("POST", address.path, json.dumps(event), {"Content-Type": "application/json"})
    except OSError as error:
        print(f"{url}: {error}", file=sys.stderr)
    connection.close()


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except EngineError as error:
        sys.exit(f"custom_output.py: {error}")
