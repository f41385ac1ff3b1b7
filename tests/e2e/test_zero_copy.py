"""Nobody copies a frame after the decoder wrote it: followed by address, by inode and by allocation.

What is not a copy: the detector's small input, and the overlay's picture, which is drawn on and is the encoder's
own input.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.types import nv12_geometry
from ipc.segment import create_segment, page_aligned
from tests.e2e.engine import EngineRun, clip, model, until

pytestmark = [
    pytest.mark.data,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/<pid>/maps"),
]

Start = Callable[..., EngineRun]

WITNESS = Path(__file__).parent / "witness"
WIDTH, HEIGHT = 1280, 720
STRIDE, OFFSET_UV, SLOT_BYTES = nv12_geometry(WIDTH, HEIGHT)


def notes_of(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What the witness in each kind of worker has written down."""
    notes: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path in folder.glob("*.jsonl"):
        notes[path.name.partition("-")[0]] += map(json.loads, path.read_text().splitlines())
    return notes


def test_every_stage_works_on_the_pages_that_the_decoder_wrote(
    engine_run: Start, data_dir: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    # Camera motion makes a small picture of its own out of the Y plane, whose buffers would hide a copy.
    environ = {
        "PYTHONPATH": str(WITNESS), "WITNESS_DIR": str(folder), "ENGINE_INFER_LANES": "1",
        "ENGINE_TRACK_CAMERA_MOTION": "off",
    }  # fmt: skip
    run = engine_run(
        "--source", clip(data_dir, "et_08_driving"), "--offline", "--model", model(data_dir), environ=environ
    )  # fmt: skip
    assert run.wait(90) == 0, run.text()
    notes = notes_of(folder)
    sights = {
        kind: [note["planes"] for note in notes[kind] if "planes" in note]
        for kind in ("decode", "infer", "track", "stream")
    }
    assert {kind: len(seen) for kind, seen in sights.items()} == dict.fromkeys(sights, 124)
    (inode,) = {plane["inode"] for seen in sights.values() for planes in seen for plane in planes}
    for kind, seen in sights.items():
        for y, uv in seen:
            assert "frames:cam0" in y["name"] and inode
            assert y["perms"] == ("rw-s" if kind == "decode" else "r--s")
            assert y["writable"] is uv["writable"] is (kind == "decode")
            assert y["offset"] % page_aligned(SLOT_BYTES) == 0, "the start of a slot"
            assert uv["offset"] == y["offset"] + OFFSET_UV
    written = [y["offset"] for y, _ in sights["decode"]]
    for kind in ("track", "stream"):
        assert [y["offset"] for y, _ in sights[kind]] == written, f"{kind} reads frame n where n was written"
    # One call prepares its picture while another one does: the order in which they say so is left to the threads.
    assert sorted(y["offset"] for y, _ in sights["infer"]) == sorted(written)
    allocated = {
        kind: max(note["allocated"] for note in notes[kind] if "allocated" in note) for kind in sights
    }
    assert all(nbytes < SLOT_BYTES / 10 for nbytes in allocated.values()), allocated


@dataclass(frozen=True)
class Mapping:
    """One mapping of a frame segment in one process; sizes in bytes."""

    pid: int
    perms: str
    inode: int
    size: int
    resident: int
    proportional: int
    private: int


def frame_mappings(pid: int) -> list[Mapping]:
    """Where a process maps frames, by /proc/<pid>/smaps."""
    found = []
    blocks = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", Path(f"/proc/{pid}/smaps").read_text(), flags=re.M)
    for block in blocks:
        head = re.match(r"(\w+)-(\w+) (\S+) \w+ \S+ (\d+) +/memfd:frames:cam0 ", block)
        if head:
            size = int(head[2], 16) - int(head[1], 16)
            kept = {name: int(kib) * 1024 for name, kib in re.findall(r"^(\w+): +(\d+) kB", block, re.M)}
            private = kept["Private_Clean"] + kept["Private_Dirty"]
            found.append(Mapping(pid, head[3], int(head[4]), size, kept["Rss"], kept["Pss"], private))
    return found


def test_readers_share_one_memory_that_they_cannot_write(engine_run: Start, data_dir: Path) -> None:
    run = engine_run("--source", clip(data_dir, "et_08_driving"), "--loop", "--model", model(data_dir))
    until(lambda: len(run.lines()) > 20, 30, f"results\n{run.text()}")
    health = until(run.health, 5, "health")
    names = {status["pid"]: name for name, status in health["processes"].items()}
    mappings = [m for pid in (*names, run.process.pid) for m in frame_mappings(pid)]
    assert run.stop() == 0, run.text()
    users = {names.get(m.pid, "supervisor"): m.perms for m in mappings}
    readers = {"infer", "track", "stream:cam0"}
    assert users == {"decode:cam0": "rw-s"} | dict.fromkeys(readers, "r--s")
    assert len(mappings) == len(users), "once in each process"
    (inode,), (size,) = {m.inode for m in mappings}, {m.size for m in mappings}
    assert inode and size % page_aligned(SLOT_BYTES) == 0
    resident, proportional = sum(m.resident for m in mappings), sum(m.proportional for m in mappings)
    assert all(m.private == 0 for m in mappings), "no page of a frame belongs to one process alone"
    assert resident > 2 * size and proportional <= size, (
        f"{resident:,} bytes in use by all together are {proportional:,} bytes of memory"
    )


@pytest.mark.parametrize("writable", [True, False])
def test_a_reader_that_writes_dies_instead(writable: bool) -> None:
    """Not only Python's arrays refuse: the processor does."""
    code = (
        "import ctypes, sys, numpy as np; from ipc.segment import map_segment\n"
        "view = np.frombuffer(map_segment(int(sys.argv[1]), 4096, writable=sys.argv[2] == 'True'), np.uint8)\n"
        "ctypes.memset(view.__array_interface__['data'][0], 1, 1)\n"
    )
    fd = create_segment("test", 4096)
    try:
        command = [sys.executable, "-c", code, str(fd), str(writable)]
        status = subprocess.run(command, pass_fds=[fd], capture_output=True).returncode
        assert (status, os.pread(fd, 1, 0)) == ((0, b"\1") if writable else (-signal.SIGSEGV, b"\0"))
    finally:
        os.close(fd)
