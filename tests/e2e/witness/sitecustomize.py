"""A witness inside every worker: notes at which addresses the code that touches pixels finds its arrays.

Python imports this by itself where this folder is on PYTHONPATH. It only watches (`sys.setprofile`): the code that
runs is the engine's own. Each note is a line of JSON in `$WITNESS_DIR/<kind>-<pid>.jsonl`. Started by
`test_zero_copy.py`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import tracemalloc
from types import FrameType
from typing import Any, TextIO

PLANES_OF = {
    "copy_yuv420p": lambda names: (names["y"], names["uv"]),
    "nv12_to_input": lambda names: (names["y"], names["uv"]),
    "picture_of": lambda names: (names["frame"].y, names["frame"].uv),
    "update": lambda names: (names["frame"].y, names["frame"].uv),
}
"""Functions that see pixels, and where they find them: decode, infer, overlay, track."""

ALLOCATING = ("read_into", "infer", "picture_of", "update")
"""Functions whose allocations are measured from their call to their return."""


def mapping_of(address: int) -> dict[str, Any]:
    """The line of /proc/self/maps that an address lies in, and its place in the mapped file."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            span, perms, offset, _, inode, *name = line.split()
            start, end = (int(part, 16) for part in span.split("-"))
            if start <= address < end:
                place = int(offset, 16) + address - start
                return {"perms": perms, "inode": int(inode), "name": " ".join(name), "offset": place}
    raise AssertionError(f"address {address:#x} is not mapped")


class Witness:
    """Called by Python at each call and return."""

    def __init__(self, notes: TextIO) -> None:
        self._notes = notes
        self._traced_before = 0

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        name = frame.f_code.co_name
        if name not in PLANES_OF and name not in ALLOCATING:
            return
        if event == "call" and name in PLANES_OF and self._has_a_frame(frame):
            planes = [self._describe(plane) for plane in PLANES_OF[name](frame.f_locals)]
            self._note({"function": name, "planes": planes})
        if name in ALLOCATING:
            self._measure(name, event)

    @staticmethod
    def _has_a_frame(frame: FrameType) -> bool:
        names = frame.f_locals
        return "y" in names or hasattr(names.get("frame"), "uv")

    @staticmethod
    def _describe(plane: Any) -> dict[str, Any]:
        address = plane.__array_interface__["data"][0]
        return {**mapping_of(address), "writable": plane.flags.writeable}

    def _measure(self, name: str, event: str) -> None:
        if event == "call":
            tracemalloc.reset_peak()
            self._traced_before = tracemalloc.get_traced_memory()[0]
        elif event == "return":
            allocated = tracemalloc.get_traced_memory()[1] - self._traced_before
            self._note({"function": name, "allocated": allocated})

    def _note(self, note: dict[str, Any]) -> None:
        print(json.dumps(note), file=self._notes, flush=True)


if "engine.workers.runtime" in sys.orig_argv and "WITNESS_DIR" in os.environ:
    kind = sys.orig_argv[-2]
    path = os.path.join(os.environ["WITNESS_DIR"], f"{kind}-{os.getpid()}.jsonl")
    tracemalloc.start()
    witness = Witness(open(path, "w"))  # noqa: SIM115 - for the life of the process
    threading.setprofile(witness)
    sys.setprofile(witness)
