"""Make docs/images/test_picture.jpg anew: run the engine on the test picture and take a frame of its video.

python tools/readme_picture.py [--frame 143]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import cv2

TARGET = Path(__file__).resolve().parent.parent / "docs" / "images" / "test_picture.jpg"
SIZE_WH = (960, 540)


def record(directory: str, seconds: float) -> Path:
    """The overlay video of a run as `make run ARGS='--model motion'` makes it."""
    command = [
        str(Path(sys.executable).with_name("engine-run")), "--source", "test://", "--model", "motion",
        "--duration", str(seconds), "--out", directory, "--port", "0",
    ]  # fmt: skip
    subprocess.run(command, check=True, timeout=seconds + 60)
    return Path(directory) / "cam0.mp4"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frame", type=int, default=143, help="number of the frame to show")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        video = record(directory, seconds=args.frame / 25 + 3)
        with av.open(str(video)) as container:
            picture = next(frame for n, frame in enumerate(container.decode(video=0)) if n == args.frame)
            image_bgr = picture.to_ndarray(format="bgr24")
    small = cv2.resize(image_bgr, SIZE_WH, interpolation=cv2.INTER_AREA)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(TARGET), small, [cv2.IMWRITE_JPEG_QUALITY, 85])
    print(TARGET)


if __name__ == "__main__":
    main()
