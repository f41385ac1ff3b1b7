"""Point at something in a running engine, over HTTP, and hear of its masks as they come.

engine-run --source rtsp://camera/stream --segment prompt &
python examples/prompt_over_http.py cam0 640 360
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
from typing import Any

from websockets.sync.client import connect


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("camera")
    parser.add_argument("x", type=float, help="a point on the object, in pixels of the source")
    parser.add_argument("y", type=float)
    parser.add_argument("--engine", default="127.0.0.1:8080", help="host and port")
    parser.add_argument("--masks", type=int, default=0, help="leave after so many (default: never)")
    args = parser.parse_args()
    token = os.environ.get("CAMRING_TOKEN")
    login = {"Authorization": f"Bearer {token}"} if token else {}
    with connect(f"ws://{args.engine}/ws", additional_headers=login) as client:
        client.send(json.dumps({"subscribe": ["results"], "cameras": [args.camera]}))
        asking = http.client.HTTPConnection(args.engine)
        points = json.dumps({"points": [[args.x, args.y, 1]]})
        headers = {**login, "Content-Type": "application/json"}
        asking.request("POST", f"/cameras/{args.camera}/prompts", points, headers)
        answer = json.load(asking.getresponse())
        if "object" not in answer:
            print(f"prompt_over_http.py: {answer['detail']}")
            return 1
        print(f"object {answer['object']}", flush=True)
        seen = 0
        for record in map(json.loads, client):
            objects = record.get("objects", ())
            seen += sum(told(record, each) for each in objects if each.get("mask_id") == answer["object"])
            if 0 < args.masks <= seen:
                break
    return 0


def told(record: dict[str, Any], found: dict[str, Any]) -> bool:
    """Print an object's outline; whether it has one in this frame."""
    corners = sum(len(ring) for polygon in found["polygon"] or () for ring in polygon)
    if corners:
        origin = f"{found['mask_source']}, {found['mask_age_ms']:.0f} ms old"
        print(f"frame {record['frame']}: {corners} corners, {origin}", flush=True)
    return corners > 0


if __name__ == "__main__":
    raise SystemExit(main())
