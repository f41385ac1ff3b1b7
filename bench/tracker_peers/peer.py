"""What a peer is: boxes of a frame in, boxes with identities out."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]


class Peer(Protocol):
    """One tracker for one sequence."""

    def update(self, boxes_xyxy: F32, scores: F32, class_ids: I64, frame_bgr: U8 | None) -> tuple[F64, I64]:
        """The objects that it shows as tracked in this frame: float64 (n, 4) and int64 (n,)."""
        ...


def boxes_and_ids(boxes_xyxy: Any, ids: Any) -> tuple[F64, I64]:
    """In the types of `Peer.update`."""
    return np.asarray(boxes_xyxy, np.float64).reshape(-1, 4), np.asarray(ids, np.int64).reshape(-1)
