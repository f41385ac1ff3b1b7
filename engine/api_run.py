"""A run inside of a program: the supervisor in a thread, its log lines in `logging`, its errors as exceptions.

Workers are processes as always. Signals stay the program's own. Knows nothing of results (`engine.api_reader`).
"""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from engine import errors
from engine.cli import make_plan, raise_descriptor_limit, tell_models
from engine.clock import SystemClock
from engine.config import LoadedConfig, load_run_config
from engine.config.files import unknown_name
from engine.config.settings import MOST_FRAMES_HELD, SECTIONS, SETTINGS
from engine.control.status import EngineStatus
from engine.errors import ConfigError, EngineError, WorkerError
from engine.run_plan import RunPlan
from engine.supervisor import Supervisor
from engine.terminal import Terminal
from engine.topology import FRAMES_OF_PROGRAM
from ipc.channel import Channel
from ipc.segment import SegmentError

LOG = logging.getLogger("camring")
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_QUIET: Mapping[str, object] = {"output.jsonl": False, "output.overlay": False, "control.enabled": False}
"""What a program gets from its results it needs no files and no server for. Each can be asked for."""


class LogTerminal(Terminal):
    """Hands log lines to `logging` (logger `camring`), and keeps the newest status for who asks."""

    def __init__(self) -> None:
        super().__init__("debug")
        self.status: EngineStatus | None = None

    def log(self, level: str, source: str, text: str) -> None:
        """One line."""
        LOG.log(_LEVELS[level], "%s: %s", source, text)

    def show(self, status: EngineStatus) -> None:
        """Keep it."""
        self.status = status


def key_of(name: str) -> str:
    """The setting that a keyword stands for: `infer_model` → `infer.model`. Raises `ConfigError` for an unknown one."""
    if name in SETTINGS or name in ("loop", "rtsp_transport"):
        return name
    for section in SECTIONS:
        if name.startswith(f"{section}_") and (key := f"{section}.{name[len(section) + 1 :]}") in SETTINGS:
            return key
    known = [key.replace(".", "_") for key in SETTINGS]
    raise unknown_name("Engine", "setting", name, known)


def load(
    profile: str,
    sources: str | Sequence[str | int] | None,
    cameras: Path | None,
    settings: Mapping[str, object],
) -> LoadedConfig:
    """The configuration of a run that a program reads. Raises `ConfigError`."""
    listed = [sources] if isinstance(sources, str | int) else list(sources or ())
    if not listed and cameras is None:
        raise ConfigError("Engine: give sources, or a cameras file")
    flags: dict[str, object] = {key_of(name): value for name, value in settings.items()}
    asked = {key.partition(".")[0] for key in flags}
    quiet = {key: value for key, value in _QUIET.items() if key.partition(".")[0] not in asked - {"output"}}
    flags = {**quiet, **flags, "source": [str(source) for source in listed]}
    loaded = load_run_config(profile, cameras, flags)
    config = replace(loaded.config, api=True)
    most = MOST_FRAMES_HELD - FRAMES_OF_PROGRAM - 1
    if config.pool.history > most:
        raise ConfigError(
            f"{loaded.origins['pool.history']}: pool.history may be {most} at most where a program reads results, "
            f"found {config.pool.history}"
        )
    return replace(loaded, config=config)


class ProgramRun:
    """The supervisor in a thread of its own. `error` says why it has ended, None where it ended as asked."""

    def __init__(
        self, loaded: LoadedConfig, take: Callable[[Channel], None], ended: Callable[[], None]
    ) -> None:
        """Check everything that can be checked before anything is started. Raises an `EngineError`."""
        raise_descriptor_limit()
        self.error: EngineError | None = None
        self.terminal = LogTerminal()
        self._ended = ended
        self._supervisor: Supervisor | None = None
        self._stop_asked = False
        self._closing = ExitStack()
        config = loaded.config
        if not (config.output.jsonl or config.output.overlay):
            # Nothing is written, but a run has a folder: one that goes with it.
            folder = self._closing.enter_context(tempfile.TemporaryDirectory(prefix="camring-"))
            loaded = replace(loaded, config=replace(config, output=replace(config.output, directory=folder)))
        try:
            self._plan: RunPlan = replace(make_plan(loaded), caller=take)
        except BaseException:
            self._closing.close()
            raise
        self._url = ""
        if self._plan.listening is not None:
            host, port = self._plan.listening.getsockname()[:2]
            self._url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        self._thread = threading.Thread(target=self._run, name="camring-supervisor", daemon=True)

    def start(self) -> None:
        """Start the workers."""
        tell_models(self._plan, self.terminal.log)
        self._thread.start()

    def _run(self) -> None:
        try:
            with self._closing, closing(self._plan):
                self._supervisor = Supervisor(self._plan, SystemClock(), self.terminal)
                if self._stop_asked:
                    self.stop()
                if self._supervisor.run():
                    self.error = error_of(self._supervisor)
        except SegmentError as error:
            self.error = WorkerError(str(error))
        except EngineError as error:
            self.error = error
        except BaseException as error:
            self.error = WorkerError(f"the supervisor failed: {type(error).__name__}: {error}")
            raise
        finally:
            self._ended()

    @property
    def url(self) -> str:
        """Where the control endpoint listens, empty without one."""
        return self._url

    def stop(self) -> None:
        """End it soon. May be called by any thread."""
        self._stop_asked = True
        if self._supervisor is not None:
            self._supervisor.stop("the program has asked for it")

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._thread.is_alive()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the end; False where that took longer."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()


def error_of(supervisor: Supervisor) -> EngineError:
    """What a run has failed of, as the error that its worker has raised."""
    for process in supervisor.processes.values():
        if process.state == "failed":
            kind = getattr(errors, str((process.fatal or {}).get("error", "")), WorkerError)
            if issubclass(kind, EngineError) and process.fatal is not None:
                return kind(f"{process.name}: {process.fatal['message']}")
            return WorkerError(f"{process.name}: {process.detail}")
    return WorkerError("the run has failed; the log says why")
