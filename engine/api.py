"""The engine in a Python program.

    from engine import Engine

    with Engine.from_profile("m3-cpu", sources=["rtsp://camera/stream"], infer_model="yolox-nano") as engine:
        for result in engine.results():
            print(result.camera, result.frame_number, result.ids, result.labels)

A real run: the supervisor in a thread of this process, workers as processes of their own, frames in shared memory. What
the run logs goes to `logging.getLogger("camring")`. No file is written and no port opened unless settings ask for it.
"""

from __future__ import annotations

import atexit
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from engine.api_attached import AttachedRun
from engine.api_reader import Reader
from engine.api_results import Frame, Result
from engine.api_run import ProgramRun, load
from engine.config import LoadedConfig
from engine.control.status import EngineStatus
from engine.errors import CommandError

__all__ = ["Engine", "Frame", "Result"]

_POLL_S = 0.5
_COMMAND_TIMEOUT_S = 5.0
_CHANGE_TIMEOUT_S = 15.0


class Engine:
    """One run. Use it as a context manager: leaving it stops every process that it has started.

    Methods may be called by any thread; results are to be read by one at a time.
    """

    def __init__(self, loaded: LoadedConfig, *, frames: bool = True) -> None:
        """A run with this configuration, not started yet. `from_profile` is the usual way to one.

        frames  whether results carry their frames
        """
        self._reader = Reader(frames)
        self._make_run: Callable[[], ProgramRun | AttachedRun] = lambda: ProgramRun(
            loaded, self._reader.take, self._reader.give_up
        )
        self._end_s = 2 * loaded.config.supervisor.stop_timeout_s
        self._run: ProgramRun | AttachedRun | None = None
        self._told = False

    @classmethod
    def from_profile(
        cls,
        profile: str = "m3-cpu",
        *,
        sources: str | Sequence[str | int] | None = None,
        cameras: str | Path | None = None,
        settings: Mapping[str, object] | None = None,
        frames: bool = True,
        **keywords: object,
    ) -> Engine:
        """A run as `engine-run` would start it, not started yet.

        profile   name of a profile, or path of a TOML file
        sources   files, URLs, webcam numbers or `test://`; `NAME=URL` names the camera
        cameras   a cameras file, TOML or JSON, instead or besides
        settings  by dotted name: `{"infer.model": "yolox-nano"}`; the same as keywords: `infer_model="yolox-nano"`
        frames    whether results carry their frames

        `offline=True` gives every frame of files once, as fast as the program reads. Raises `ConfigError`.
        """
        path = None if cameras is None else Path(cameras)
        return cls(load(profile, sources, path, {**(settings or {}), **keywords}), frames=frames)

    @classmethod
    def attach(cls, path: str | Path, *, frames: bool = True) -> Engine:
        """A run that somebody else has started, in another process of this user: to read its results and frames, and to
        ask for things. Leaving it does not end it.

        path    the Unix socket that its setting `output.attach` names
        frames  whether results carry their frames

        `start` (`with`) raises `CommandError` where no run listens there, or another program is attached to it.
        """
        engine = cls.__new__(cls)
        engine._reader = reader = Reader(frames, late=True)
        engine._make_run = lambda: AttachedRun(path, reader.take, reader.join)
        engine._end_s, engine._run, engine._told = _POLL_S, None, False
        return engine

    def start(self) -> None:
        """Start the run; `with` does so. Raises an `EngineError` for what can be known beforehand; a second call does
        nothing.
        """
        if self._run is not None:
            return
        run = self._make_run()
        if isinstance(run, AttachedRun):
            run.start()  # it may refuse us: then there is nothing to be stopped
        self._run = run
        atexit.register(self.stop)
        self._reader.start()
        if isinstance(run, ProgramRun):
            run.start()
        self._reader.ready.wait()

    def results(
        self,
        cameras: Collection[str] | None = None,
        timeout_s: float | None = None,
        *,
        newest: bool = False,
    ) -> Iterator[Result]:
        """Results as they come, those of one camera in order, until every source has ended or the run stops.

        cameras    whose results are wanted; None: all
        timeout_s  raise `TimeoutError` where none has come for so long; None: wait
        newest     pass over what is older than the newest result of a camera, for a program that is slower than the
                   cameras and wants to be up to date; otherwise results wait for a while and are then lost, and counted

        `result.skipped` counts frames that were not processed, `result.lost` results that were not read in time, and
        `lost()` both reasons over the run. `result.frame` is released when the iteration goes on. Raises the error that
        the run has failed of, as an `EngineError`, once what there was has been read.
        """
        if isinstance(cameras, str):
            cameras = [cameras]
        if self._run is None:
            raise CommandError(
                "results(): the engine was not started: use `with engine:`, or start()", "conflict"
            )
        self._reader.begin()
        try:
            yield from self._read(cameras, timeout_s, newest=newest)
        finally:
            self._reader.end()
        if cameras is None or self._reader.stopping:
            self._raise_failure()

    def _read(
        self, cameras: Collection[str] | None, timeout_s: float | None, *, newest: bool
    ) -> Iterator[Result]:
        waiting_since = time.monotonic()
        while True:
            with self._reader.news:
                result = self._reader.next(cameras, newest=newest)
                if result is None:
                    if self._reader.over(cameras):
                        return
                    self._reader.news.wait(_POLL_S if timeout_s is None else min(_POLL_S, timeout_s))
            if result is not None:
                yield result
                waiting_since = time.monotonic()
            elif timeout_s is not None and time.monotonic() - waiting_since > timeout_s:
                raise TimeoutError(f"no result for {timeout_s:g} s; engine.health() says how the cameras are")

    def _raise_failure(self) -> None:
        """Wait for the end of the run, which is about to come, and for what it has failed of."""
        run = self._run
        if run is None:
            return
        run.join(self._end_s)
        if run.error is not None and not self._told:
            self._told = True
            raise run.error

    def poll(
        self, cameras: Collection[str] | None = None, *, timeout_s: float = 0.0, newest: bool = False
    ) -> Result | None:
        """The next result, or None where none comes within `timeout_s`: for programs with a loop of their own.

        As `results` otherwise; its frame is released by the next call. `over` says when nothing is to come any more.
        """
        until = time.monotonic() + timeout_s
        with self._reader.news:
            while (result := self._reader.next(cameras, newest=newest)) is None:
                left_s = until - time.monotonic()
                if left_s <= 0 or self._reader.over(cameras):
                    return None
                self._reader.news.wait(left_s)
        return result

    @property
    def over(self) -> bool:
        """Whether the run has ended, or every source of it. Raises what it has failed of, once."""
        if self._reader.stopping and not self.running:
            self._raise_failure()
        return self._reader.over(None)

    @property
    def url(self) -> str:
        """Where the dashboard and the HTTP interface are; empty without `control.enabled`."""
        return "" if self._run is None else self._run.url

    def has_head(self, camera: str) -> bool:
        """Whether a camera has a head that can follow somebody."""
        return any(each.name == camera and each.ptz is not None for each in self._reader.camera_settings())

    def lost(self) -> dict[str, dict[str, int]]:
        """By camera, what this program did not get, by reason.

        overrun      results that were overwritten before they were read
        passed_over  results that `newest` has passed over
        frame_gone   results whose frame had been overwritten
        """
        return self._reader.counts()

    @property
    def cameras(self) -> list[str]:
        """Names of the cameras of the run at present."""
        return self._reader.cameras()

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended yet."""
        return self._run is not None and self._run.running

    def health(self) -> EngineStatus:
        """What `/health` tells, at most half a second old. Raises `CommandError` before there is anything to tell."""
        if isinstance(self._run, AttachedRun):
            raise CommandError("health(): ask the run itself, at /health", "unavailable")
        status = self._run.terminal.status if self._run is not None else None
        if status is None:
            raise CommandError("health(): the run was not started, or a moment ago", "unavailable")
        return status

    def prompt(
        self,
        camera: str,
        *,
        points: Sequence[tuple[float, float] | tuple[float, float, int]] | None = None,
        box: Sequence[float] | None = None,
        mask: Mapping[str, Any] | None = None,
        object_id: int | None = None,
        frame: int | None = None,
    ) -> int:
        """Point at an object, which is segmented and followed from then on; returns its ID.

        points     (x, y) on it, (x, y, 0) beside it, in pixels of the source
        box        left, top, right, bottom
        mask       COCO run lengths: {"size": [height, width], "counts": text}
        object_id  an object to correct instead of a new one
        frame      number of the frame that was looked at; None: the newest

        Needs a segmenter (`segment_mode="prompt"`, `"track"` or `"auto"`). Raises `CommandError`.
        """
        if points is None and box is None and mask is None:
            raise CommandError("prompt(): give points, a box or a mask")
        labelled = [[float(point[0]), float(point[1]), int((*point, 1)[2])] for point in points or ()]
        answer = self._reader.ask(
            "segment", "prompt", _COMMAND_TIMEOUT_S, camera=camera, points=labelled,
            box=None if box is None else [float(edge) for edge in box],
            mask=None if mask is None else dict(mask), object=object_id, frame=frame,
        )  # fmt: skip
        return int(answer["object"])

    def forget(self, camera: str, object_id: int) -> None:
        """Forget an object that was pointed at. Raises `CommandError`."""
        self._reader.ask("segment", "remove-object", _COMMAND_TIMEOUT_S, camera=camera, object=object_id)

    def set_mode(self, camera: str, mode: str) -> None:
        """What is segmented on a camera: `off`, `boxes`, `track`, `prompt` or `auto`. Raises `CommandError`."""
        modes = ("off", "boxes", "track", "prompt", "auto")
        if mode not in modes:
            raise CommandError(f"set_mode(): unknown mode {mode!r}; use one of: {', '.join(modes)}")
        self._reader.ask("segment", "segment-mode", _COMMAND_TIMEOUT_S, camera=camera, mode=mode)

    def follow(
        self, camera: str, *, track_id: int | None = None, point: tuple[float, float] | None = None
    ) -> None:
        """Have the camera's head follow a track, or who is at a point of the picture. Raises `CommandError`."""
        fields = {"track_id": track_id, "point": None if point is None else list(point)}
        given = {name: value for name, value in fields.items() if value is not None}
        self._reader.ask("ptz", "ptz-select", _COMMAND_TIMEOUT_S, camera=camera, **given)

    def add_camera(self, name: str, source: str, **keys: object) -> None:
        """Another camera from now on; keys as in a `[[camera]]` table. Raises `CommandError`."""
        camera = {"name": name, "source": source, **keys}
        self._reader.ask("engine", "engine-add", _CHANGE_TIMEOUT_S, camera=camera)

    def remove_camera(self, name: str) -> None:
        """Without this camera from now on. Raises `CommandError`."""
        self._reader.ask("engine", "engine-remove", _CHANGE_TIMEOUT_S, camera=name)

    def stop(self) -> None:
        """Stop the run and wait until every process that it has started is gone. A second call does nothing."""
        run = self._run
        if run is None:
            return
        atexit.unregister(self.stop)
        self._reader.leave()
        run.stop()
        while not run.join(_POLL_S):
            pass  # an interrupt is heard between two looks
        self._reader.join(_COMMAND_TIMEOUT_S)

    def __enter__(self) -> Engine:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ended_alone = self._run is not None and not self._run.running
        self.stop()
        if kind is None and ended_alone:
            self._raise_failure()  # of which nobody has heard who did not read to the end
