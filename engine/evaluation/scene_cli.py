"""`engine-eval scene`: the results of a run on a rendered scene against its exact truth.

    engine-eval scene out
    engine-eval scene out --last 60 --json

FOLDER is what the run has written: CAMERA.jsonl, and CAMERA.truth beside it or in truth/.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_scene(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command `scene` and its options. Imports nothing heavy."""
    scene = commands.add_parser(
        "scene",
        allow_abbrev=False,
        help="detection, identities, masks and following on a rendered scene, against its exact truth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    scene.add_argument("folder", type=Path, metavar="FOLDER", help="output folder of the run")
    scene.add_argument(
        "--last", type=float, default=600.0, metavar="S", help="seconds at the end that are judged (600)"
    )
    scene.add_argument("--json", action="store_true", help="print JSON instead of lines")
    scene.set_defaults(run=run_scene)


def run_scene(args: argparse.Namespace) -> int:
    """Judge every camera and print. Raises `ConfigError`."""
    from engine.evaluation.scene_files import cameras_in, score_camera
    from engine.evaluation.scene_report import as_json, as_lines

    scores = {files.name: score_camera(files, args.last) for files in cameras_in(args.folder)}
    print(json.dumps(as_json(scores), indent=1) if args.json else "\n".join(as_lines(scores)))
    return 0
