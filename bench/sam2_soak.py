"""Does a segmenter grow? Ten thousand keyframes, objects coming and going, prompts of all kinds, resident memory.

Made-up weights at the smallest picture: what could grow (banks, runtimes' arenas, caches by size) depends on the counts
of objects, memories and points, which change here from keyframe to keyframe, not on the size of the picture. Cameras
of several resolutions take turns, so that nothing can be kept by their size either. A straight line through the second
half says how much as many keyframes again would add: flat is below `--limit-mib`. Exit status 1 if it is not.

    python -m bench.sam2_soak [--keyframes 10000] [--size 64] [--model FOLDER] [--json FILE]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.machine import argument_parser, heading, markdown_table, write_json
from bench.sam2_clip import figure_box, frame_at
from bench.sam2_parity import export
from bench.soak import Sample, Trend, look
from engine.models.sam2 import Segmenter, SegmenterOptions
from engine.models.sam2_grids import grid_of
from engine.models.sam2_memory import MemoryBank
from engine.models.sam2_step import Action, Ask, step
from engine.types import FrameNv12, Prompt

SIZES_WH = ((320, 240), (640, 360), (480, 480))
CAPACITY = 6
_MOST_OBJECTS = 3
_COMES, _GOES, _CORRECTED = 0.2, 0.08, 0.05
_FRAMES = 16


class Street:
    """Objects that come and go by chance on several cameras."""

    def __init__(self, bank: MemoryBank, seed: int = 0) -> None:
        self.bank = bank
        self.chance = np.random.default_rng(seed)
        self.seen = 0
        self._clips = [[frame_at(index, size) for index in range(_FRAMES)] for size in SIZES_WH]

    def frames(self, now: int) -> list[FrameNv12]:
        """One camera's frame, now and then those of all."""
        if now % 10 == 0:
            return [clip[now % _FRAMES] for clip in self._clips]
        return [self._clips[now % len(self._clips)][now % _FRAMES]]

    def asks(self, now: int) -> list[Ask]:
        """What is asked of these frames."""
        cameras = list(range(len(SIZES_WH))) if now % 10 == 0 else [now % len(SIZES_WH)]
        return [ask for at, camera in enumerate(cameras) for ask in self._asks_of(camera, at)]

    def _asks_of(self, camera: int, frame_index: int) -> Iterator[Ask]:
        name = f"cam{camera}"
        known = [key for key in self.bank.keys if key[0] == name]
        for key in known:
            if self.chance.random() < _GOES:
                self.bank.remove(key)
            elif self.chance.random() < _CORRECTED:
                yield Ask(key, Action.REFINE, self._prompt(camera), frame_index)
            else:
                action = Action.LOOK if self.chance.random() < 0.1 else Action.GO_ON
                yield Ask(key, action, None, frame_index, protected=key[1] % 5 == 0)
        if len(known) < _MOST_OBJECTS and self.chance.random() < _COMES * len(SIZES_WH):
            self.seen += 1
            yield Ask((name, self.seen), Action.START, self._prompt(camera), frame_index)

    def _prompt(self, camera: int) -> Prompt:
        size_wh = SIZES_WH[camera]
        box = figure_box(int(self.chance.integers(3)), 0, size_wh)
        kind = int(self.chance.integers(3))
        if kind == 0:
            return Prompt.of_box(box)
        if kind == 1:
            mask = np.zeros(size_wh[::-1], np.bool_)
            left, top, right, bottom = box.astype(int)
            mask[top:bottom, left:right] = True
            return Prompt(mask_hw=mask)
        count = int(self.chance.integers(1, 6))
        points = self.chance.uniform(box[:2], box[2:], (count, 2)).astype(np.float32)
        return Prompt(points, np.ones(count, np.int32))


def soak(segmenter: Segmenter, keyframes: int, every: int) -> tuple[list[Sample], dict[str, int]]:
    """Looks at this process every so many keyframes, and what has happened."""
    bank = segmenter.new_bank(CAPACITY)
    street = Street(bank)
    counts = dict.fromkeys(("objects", "masks", "cells", "evicted", "failures"), 0)
    samples = []
    for now in range(keyframes):
        frames = street.frames(now)
        answer = step(segmenter, bank, segmenter.encode(frames), street.asks(now))
        for logits in answer.predictions.low_res_masks:
            counts["cells"] += grid_of(logits, SIZES_WH[0])[0].size
        counts["masks"] += len(answer.predictions)
        counts["evicted"] += len(answer.evicted)
        counts["failures"] += sum(map(bool, answer.predictions.failures))
        if now % every == 0:
            samples.append(look(os.getpid(), now + 1))
    counts["objects"] = street.seen
    samples.append(look(os.getpid(), keyframes))
    return samples, counts


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--keyframes", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=64, help="side of the encoded picture (default: 64)")
    parser.add_argument("--variant", default="tiny")
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="instead of made-up weights")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--limit-mib", type=float, default=8.0, help="growth that counts as flat (default: 8)"
    )
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.model or export(args.variant, args.size, Path(temporary) / "model")
        segmenter = Segmenter.load(folder, SegmenterOptions(threads=args.threads))
        began = time.perf_counter()
        samples, counts = soak(segmenter, args.keyframes, max(1, args.keyframes // 200))
        took_s = time.perf_counter() - began
    frames = [sample.frames for sample in samples]
    memory = Trend.of(frames, [sample.rss_mib for sample in samples])
    files = Trend.of(frames, [float(sample.files) for sample in samples])
    flat = memory.added < args.limit_mib and files.added < 1
    print(heading())
    print(
        f"{segmenter.description}; {args.keyframes} keyframes in {took_s:.0f} s, {counts['objects']} objects, "
        f"{counts['masks']} masks, {counts['evicted']} evicted, {counts['failures']} failures; "
        f"bank of {CAPACITY} objects\n"
    )
    row = (
        f"{memory.first:.1f} → {memory.middle:.1f} → {memory.last:.1f}", f"{memory.added:+.2f}",
        f"{files.first:.0f} → {files.last:.0f}", "yes" if flat else "NO",
    )  # fmt: skip
    print(markdown_table(("resident MiB: start → middle → end", "growth MiB", "files", "flat"), [row]))
    said = f"{memory.added:+.2f} MiB in {args.keyframes} keyframes, {counts['objects']} objects"
    write_json(args.json, reach={"soak": said}, growth_mib=memory.added, counts=counts, seconds=took_s)
    return 0 if flat else 1


if __name__ == "__main__":
    sys.exit(main())
