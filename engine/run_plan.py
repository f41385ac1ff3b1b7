"""What a run is started with, and what the supervisor knows of each camera besides its worker's own status."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from engine.config import RunConfig
from engine.control.status import ModelStatus, degraded_lines
from ipc.channel import Channel


@dataclass
class CameraRun:
    """A camera over the run.

    failed         why it has ended for good, "" while it has not
    stopped        somebody has stopped it: nothing is decoded until it is started again
    regions        how often its zones and lines have changed
    first_frame    number of the first frame of its present source: a file is at frame - first_frame
    outputs_left   outputs that have not written its last frame yet
    """

    name: str
    masked_source: str
    outputs_left: set[str] = field(default_factory=set)
    failed: str = ""
    stopped: bool = False
    first_frame: int = 0
    regions: int = 0

    @property
    def done(self) -> bool:
        """True when nothing of this camera is to come any more."""
        return not self.outputs_left


@dataclass(frozen=True)
class RunPlan:
    """What the command line has decided before anything is started.

    config           the effective configuration
    model            path of the ONNX file, or `motion`
    output_lock_fd   holds the lock on the output folder for as long as this process lives
    listening        bound socket of the control endpoint, None without one
    reid             path of the re-identification network, "" without one
    caller           is given the channel of the program that reads the results itself, None where none does
    models           `detector` and `segmenter` for people: what was asked for, what is used, why
    """

    config: RunConfig
    model: str
    output_lock_fd: int
    listening: socket.socket | None = None
    reid: str = ""
    caller: Callable[[Channel], None] | None = None
    models: Mapping[str, ModelStatus] = field(default_factory=dict)

    @property
    def degraded(self) -> tuple[str, ...]:
        """A line for each model that stands in for another."""
        return degraded_lines(self.models.values())

    def close(self) -> None:
        """Give back the folder and the socket."""
        os.close(self.output_lock_fd)
        if self.listening is not None:
            self.listening.close()
