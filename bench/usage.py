"""What a benchmark's processes use: processor time and memory of everything that this process has started."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from types import TracebackType

import numpy as np
import psutil

INTERVAL_S = 0.25


@dataclass(frozen=True)
class Look:
    """All descendants at one moment.

    time_s      since the Unix epoch
    cpu_s       processor time so far, of processes that have ended, too
    memory_mib  proportional set size: shared memory counts once; where the system has none, resident memory
    """

    time_s: float
    cpu_s: float
    memory_mib: float


class Usage:
    """Looks at the descendants of this process a few times a second while the `with` block runs."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="usage")
        self._looks: list[Look] = []

    def __enter__(self) -> Usage:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def cores(self, first_s: float, last_s: float) -> float:
        """Cores kept busy on average between two times since the Unix epoch."""
        times_s = [look.time_s for look in self._looks]
        cpu_s = np.interp((first_s, last_s), times_s, [look.cpu_s for look in self._looks])
        return float(cpu_s[1] - cpu_s[0]) / (last_s - first_s)

    def peak_memory_mib(self) -> float:
        """Most that was in use at one look."""
        return max(look.memory_mib for look in self._looks)

    def _watch(self) -> None:
        this = psutil.Process()
        cpu_s: dict[psutil.Process, float] = {}
        while True:
            nbytes = 0
            for process in this.children(recursive=True):
                try:
                    spent = process.cpu_times()
                    memory = process.memory_full_info()
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
                cpu_s[process] = spent.user + spent.system
                nbytes += getattr(memory, "pss", memory.rss)
            self._looks.append(Look(time.time(), sum(cpu_s.values()), nbytes / 2**20))
            if self._stop.wait(INTERVAL_S):
                return
