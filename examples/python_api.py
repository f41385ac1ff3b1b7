"""The engine in a program: count who is seen, save a picture of whoever is new.

python examples/python_api.py rtsp://camera/stream
python examples/python_api.py clip.mp4 --offline
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2

from engine import Engine
from engine.errors import EngineError


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="+", help="files, URLs, webcam numbers, or test://")
    parser.add_argument("--model", default="yolox_nano", help="registered model, ONNX file, or `motion`")
    parser.add_argument("--offline", action="store_true", help="every frame of files")
    parser.add_argument("--seconds", type=float, help="stop after so long")
    parser.add_argument("--pictures", type=Path, help="folder for a picture of each new object")
    args = parser.parse_args()
    known: set[tuple[str, int]] = set()
    try:
        with Engine.from_profile(
            "m3-cpu",
            sources=args.sources,
            infer_model=args.model,
            offline=args.offline,
            duration_s=args.seconds,
        ) as engine:
            for result in engine.results():
                for track_id, label, box in zip(result.ids, result.labels, result.boxes_xyxy, strict=True):
                    who = result.camera, int(track_id)
                    if track_id == 0 or who in known:
                        continue
                    known.add(who)
                    print(f"{result.camera} frame {result.frame_number}: {label} {track_id}", flush=True)
                    if args.pictures and result.frame is not None:
                        left, top, right, bottom = box.round().astype(int).clip(0)
                        args.pictures.mkdir(parents=True, exist_ok=True)
                        picture = result.frame.to_bgr()[top:bottom, left:right]
                        cv2.imwrite(str(args.pictures / f"{result.camera}-{track_id}.jpg"), picture)
            print(f"{len(known)} objects; lost: {engine.lost()}")
    except EngineError as error:
        print(f"python_api.py: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
