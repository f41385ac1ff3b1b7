"""The steps of preparing a 1080p frame on the CPU, each in several ways: why `kernels.cpu` does it as it does.

python -m bench.preprocess_ways [--repeat 200]

One thread, each call alone and in turn with the others, on noise. A step alone finds its input in the cache more often
than within the whole; compare ways of one step, not sums.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from bench.machine import argument_parser, heading, markdown_table, write_json
from bench.preprocess import INPUT_WH, MATRIX, PIXELS, SOURCE_WH, interleaved_ms, noise
from kernels.buffers import LetterboxBuffers
from kernels.colour import level_table
from kernels.letterbox import Fit, fit_letterbox

Ways = dict[str, Callable[[], object]]


class Steps:
    """The planes of one frame, scratch for every step, and the ways to take it. Ours are marked."""

    def __init__(self) -> None:
        letterbox = fit_letterbox(SOURCE_WH, INPUT_WH, Fit.CENTRED)
        self.buffers = LetterboxBuffers(np.zeros((3, INPUT_WH[1], INPUT_WH[0]), np.float32))
        self.y, self.uv = next(noise())
        self.size_wh = (letterbox.width, letterbox.height)
        self.planes = self.buffers.planes(0, 3, letterbox)
        self.chroma = self.buffers.interleaved(3, 2, letterbox)
        self.ycbcr = self.buffers.interleaved(5, 3, letterbox)
        self.rgb = self.buffers.interleaved(8, 3, letterbox)
        self.targets = self.buffers.picture_chw(letterbox)
        cv2.resize(self.y, self.size_wh, dst=self.planes[0])
        cv2.resize(self.uv, self.size_wh, dst=self.chroma)
        cv2.split(self.chroma, self.planes[1:])

    def luma(self) -> Ways:
        """1920 × 1080 to 640 × 360."""

        def resize(mode: int) -> Callable[[], object]:
            return lambda: cv2.resize(self.y, self.size_wh, dst=self.planes[0], interpolation=mode)

        return {
            "luma: bilinear": resize(cv2.INTER_LINEAR),
            "luma: bilinear, exact": resize(cv2.INTER_LINEAR_EXACT),
            "luma: mean of the area": resize(cv2.INTER_AREA),
            "luma: the middle pixel, the same at 3 : 1 (ours)": resize(cv2.INTER_NEAREST_EXACT),
        }

    def chroma_pairs(self) -> Ways:
        """960 × 540 to 640 × 360."""
        third = np.zeros((180, 320, 2), np.uint8)
        halves = [np.zeros((540, 960 + 16), np.uint8)[:, :960] for _ in range(2)]

        def resize(mode: int) -> Callable[[], object]:
            return lambda: cv2.resize(self.uv, self.size_wh, dst=self.chroma, interpolation=mode)

        def apart() -> None:
            cv2.split(self.uv, halves)
            for half, plane in zip(halves, self.planes[1:], strict=True):
                cv2.resize(half, self.size_wh, dst=plane)

        def down_and_up() -> None:
            cv2.resize(self.uv, (320, 180), dst=third, interpolation=cv2.INTER_NEAREST_EXACT)
            cv2.resize(third, self.size_wh, dst=self.chroma)

        return {
            "chroma: bilinear": resize(cv2.INTER_LINEAR),
            "chroma: bilinear, Cb and Cr apart": apart,
            "chroma: to a third, and up again": down_and_up,
            "chroma: the sample below the pixel (ours)": resize(cv2.INTER_NEAREST_EXACT),
        }

    def conversion(self) -> Ways:
        """YCbCr to RGB at 640 × 360."""
        luma, cb, cr = self.planes
        quarter = np.zeros((180, 320, 2), np.uint8)
        results = [np.zeros((360, 640 + 16), np.uint8)[:, :640] for _ in range(4)]
        (r_y, _, r_cr, r_0), (g_y, g_cb, g_cr, g_0), (b_y, b_cb, _, b_0) = MATRIX.astype(float)

        def by_matrix() -> None:
            cv2.split(self.chroma, self.planes[1:])
            cv2.merge(self.planes, dst=self.ycbcr)
            cv2.transform(self.ycbcr, MATRIX, dst=self.rgb)
            cv2.split(self.rgb, self.planes)

        def by_planes() -> None:
            gain = g_cb + g_cr
            cv2.addWeighted(luma, r_y, cr, r_cr, r_0, dst=results[0])
            cv2.addWeighted(cb, g_cb / gain, cr, g_cr / gain, 0, dst=results[3])
            cv2.addWeighted(luma, g_y, results[3], gain, g_0, dst=results[1])
            cv2.addWeighted(luma, b_y, cb, b_cb, b_0, dst=results[2])

        return {
            "colour: cvtColorTwoPlane (BT.601 limited only)": lambda: cv2.cvtColorTwoPlane(
                luma, quarter, cv2.COLOR_YUV2RGB_NV12, dst=self.rgb
            ),
            "colour: addWeighted on planes": by_planes,
            "colour: merge, transform, split (ours)": by_matrix,
        }

    def levels(self) -> Ways:
        """Grey levels to floats, in planes."""
        table = level_table(PIXELS)
        mixed_table = np.ascontiguousarray(table.T)[None]
        mixed = np.zeros((self.size_wh[1], self.size_wh[0], 3), np.float32)
        scale = np.float32(1 / 255)

        def in_two_passes() -> None:
            for plane, target in zip(self.planes, self.targets, strict=True):
                np.copyto(target, plane)
                np.multiply(target, scale, out=target)

        def in_one_pass() -> None:
            for plane, target in zip(self.planes, self.targets, strict=True):
                np.multiply(plane, scale, out=target)

        def by_table() -> None:
            for plane, levels, target in zip(self.planes, table, self.targets, strict=True):
                cv2.LUT(plane, levels, dst=target)

        return {
            "floats: blobFromImage": lambda: cv2.dnn.blobFromImage(self.rgb, 1 / 255),
            "floats: a table on interleaved pixels": lambda: cv2.LUT(self.rgb, mixed_table, dst=mixed),
            "floats: cast, then multiply": in_two_passes,
            "floats: multiply": in_one_pass,
            "floats: a table per plane (ours)": by_table,
        }


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--repeat", type=int, default=200)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    steps = Steps()
    ways = {**steps.luma(), **steps.chroma_pairs(), **steps.conversion(), **steps.levels()}
    times = interleaved_ms(ways, args.repeat)
    print(heading())
    print(markdown_table(("way", "median ms"), [(name, f"{ms:.3f}") for name, ms in times.items()]))
    write_json(args.json, ms=times)


if __name__ == "__main__":
    main()
