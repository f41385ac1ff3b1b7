"""`engine-eval scene`: the results of a run on a rendered scene against its exact truth."""

from __future__ import annotations

import argparse


def add_scene(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command `scene` and its options. Imports nothing heavy."""
