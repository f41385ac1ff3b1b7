"""Read a run that somebody else has started: its results, and its frames in place in shared memory.

ENGINE_OUTPUT_ATTACH=camring.sock engine-run --source rtsp://camera/stream &
python examples/read_from_another_process.py camring.sock
"""

from __future__ import annotations

import argparse

from engine import Engine
from engine.errors import EngineError


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("socket", help="what the run's setting output.attach names")
    parser.add_argument(
        "--results", type=int, default=0, help="leave after so many (default: at the run's end)"
    )
    args = parser.parse_args()
    read = 0
    try:
        with Engine.attach(args.socket) as engine:
            for result in engine.results():
                # The very bytes that the decoder wrote, read-only. They are ours until the iteration goes on.
                brightness = "gone" if result.frame is None else f"{result.frame.y.mean():.1f}"
                print(
                    f"{result.camera} frame {result.frame_number}: {len(result.ids)} objects, "
                    f"mean luma {brightness}, too late for {result.lost}",
                    flush=True,
                )
                read += 1
                if read == args.results:
                    break
            print(f"{read} results; not read: {engine.lost()}")
    except EngineError as error:
        print(f"read_from_another_process.py: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
