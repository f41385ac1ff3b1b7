"""Who can be where, and when: links between cameras as times that a way takes. Knows no looks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.config.links import LinkConfig
from engine.identity.table import F64
from engine.types import I32, Bools


class Gates:
    """The ways between cameras, by their place in `cameras`.

    Without any link everybody may come from anywhere at any time. With links only they count; the way back into the
    same picture is always open.
    """

    def __init__(self, cameras: Sequence[str], links: Sequence[LinkConfig]) -> None:
        place = {name: index for index, name in enumerate(cameras)}
        # One row more: a camera of an earlier run that is not there any more.
        shape = (len(cameras) + 1, len(cameras) + 1)
        self._least_s = np.full(shape, np.inf if links else 0.0)
        self._most_s = np.full(shape, np.inf)
        np.fill_diagonal(self._least_s, 0.0)
        for link in links:
            source, target = place[link.source], place[link.target]
            for way in ((source, target),) if link.one_way else ((source, target), (target, source)):
                self._least_s[way] = link.least_s
                self._most_s[way] = np.inf if link.most_s is None else link.most_s

    def open(self, sources: I32, target: int, elapsed_s: F64) -> Bools:
        """Which of those last seen by `sources` (int (n,), -1: a camera that is gone) so long ago can be here now."""
        return np.asarray(
            (elapsed_s >= self._least_s[sources, target]) & (elapsed_s <= self._most_s[sources, target])
        )
