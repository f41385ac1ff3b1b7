"""How long `engine-run --help` takes, and which heavy packages it loads.

python -m bench.startup [--repeat 20]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench.machine import argument_parser, heading, markdown_table, write_json

HEAVY = ("cv2", "onnxruntime", "torch", "av", "numpy", "scipy", "rich", "uvicorn", "starlette")


def help_seconds(program: str) -> float:
    """Wall time of one start."""
    start = time.perf_counter()
    subprocess.run([str(Path(sys.executable).with_name(program)), "--help"], check=True, capture_output=True)
    return time.perf_counter() - start


def loaded_packages(module: str) -> list[str]:
    """Heavy packages in memory after printing the help."""
    code = (
        f"import sys\nfrom {module} import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print('\\n' + ' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    return [name for name in HEAVY if name in loaded]


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--repeat", type=int, default=20)
    args = parser.parse_args()
    rows: list[tuple[object, ...]] = []
    for program, module in (("engine-run", "engine.cli"), ("engine-models", "engine.models.cli")):
        times = [help_seconds(program) for _ in range(args.repeat)]
        loaded = ", ".join(loaded_packages(module)) or "none"
        rows.append((f"{program} --help", f"{statistics.median(times):.3f}", f"{max(times):.3f}", loaded))
    print(heading())
    print(markdown_table(("command", "median s", "slowest s", "heavy packages loaded"), rows))
    write_json(args.json, rows=rows)


if __name__ == "__main__":
    main()
