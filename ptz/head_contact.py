"""How contact with a camera goes: what a failure means, how long to wait after it, and what is shown of it.

Knows the errors of drivers; sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.errors import (
    PtzBusy,
    PtzError,
    PtzLocked,
    PtzRefused,
    PtzUnauthorized,
    PtzUnreachable,
    PtzUnsupported,
)
from ptz.head_health import Health, Wear
from ptz.head_line import Backoff
from ptz.types import HeadState

SHOWN = 3
"""Failures in a row until they show in the state."""
UNAUTHORIZED_S = (2.0, 60.0)
LOCKED_S = 2.0
"""A lock is asked about again this often; the governor answers that without a word to the camera."""
REOPEN_S = 3.0
AWAY_S = 5.0
"""After this long without contact the camera may have restarted."""


class Contact:
    """Failures of one camera, in a row."""

    def __init__(self, now: Callable[[], float], health: Health, wear: Wear) -> None:
        self._now, self._health, self._wear = now, health, wear
        self._commands, self._reach, self._questions = Backoff(0.1, 2.0), Backoff(0.1, 0.5), Backoff(0.5, 2.5)
        self._refusals = 0
        self._logins = 0

    @property
    def locked(self) -> bool:
        """The account is refused or locked."""
        return self._health.has("locked")

    @property
    def lost(self) -> bool:
        """It has not answered for so long that it is opened anew."""
        return self._reach.failures >= SHOWN and self._now() - self._reach.since_s >= REOPEN_S

    @property
    def doubtful(self) -> bool:
        """The last request was not answered."""
        return self._reach.failures > 0

    @property
    def quiet_until_s(self) -> float:
        """Nothing at all is sent before."""
        return self._reach.until_s

    @property
    def commands_from_s(self) -> float:
        """No command is sent before; stops do not wait for it."""
        return max(self._reach.until_s, self._commands.until_s)

    @property
    def questions_from_s(self) -> float:
        """No status is asked for before."""
        return max(self._reach.until_s, self._questions.until_s)

    def failed(self, error: PtzError, what: str, commands_work: bool = False) -> None:
        """A request (`open`, `command`, `stop`, `question`) has failed.

        commands_work  commands were taken lately: then unanswered questions are no loss of contact
        """
        now_s = self._now()
        self._wear.failures[type(error).__name__] += 1
        if what == "question":
            self._questions.failed(now_s)
        if isinstance(error, PtzUnauthorized | PtzLocked):
            self._login_failed(error, now_s)
        elif isinstance(error, PtzUnreachable) or what == "open":
            self._unreachable(error, what, commands_work, now_s)
        elif what == "question":
            if self._questions.failures >= SHOWN:
                self._health.set("position", HeadState.DEGRADED, f"the position cannot be read: {error}")
        elif what == "command":
            self._command_failed(error, now_s)

    def gave_way(self) -> None:
        """A question was given up because a stop was more urgent."""
        self._questions.failed(self._now())

    def worked(self, what: str) -> bool:
        """A request was answered. True where the camera was away for so long that it may have restarted."""
        away = self._reach.failures > 0 and self._now() - self._reach.since_s > AWAY_S
        self._reach.worked()
        self._health.clear("contact", "locked")
        self._logins = 0
        if what == "question":
            self._questions.worked()
            self._health.clear("position")
        elif what == "command":
            self._commands.worked()
            self._refusals = 0
            self._health.clear("control", "refused")
        return away

    def forget(self) -> None:
        """The clock has jumped: wait for nothing."""
        for backoff in (self._commands, self._reach, self._questions):
            backoff.worked()

    def _login_failed(self, error: PtzError, now_s: float) -> None:
        self._reach.failed(now_s)
        if isinstance(error, PtzLocked):
            wait_s = LOCKED_S
        else:
            # Once more soon, in case its sessions have just died; after that a person has to look, or the lock to end.
            wait_s = UNAUTHORIZED_S[0] if self._logins == 0 else UNAUTHORIZED_S[1]
            self._logins += 1
        self._reach.until_s = now_s + wait_s
        self._health.clear("start")
        self._health.set("locked", HeadState.LOCKED, str(error))

    def _unreachable(self, error: PtzError, what: str, commands_work: bool, now_s: float) -> None:
        if what == "question" and commands_work:
            if self._questions.failures >= SHOWN:
                self._health.set("position", HeadState.DEGRADED, f"the position is not answered: {error}")
            return
        self._reach.failed(now_s)
        if self._reach.failures >= SHOWN or what == "open":
            self._health.clear("start")
            self._health.set("contact", HeadState.UNREACHABLE, str(error))

    def _command_failed(self, error: PtzError, now_s: float) -> None:
        self._commands.failed(now_s)
        if isinstance(error, PtzRefused | PtzUnsupported):
            self._wear.refused += 1
            self._refusals += 1
            if self._refusals >= SHOWN:
                self._health.set("refused", HeadState.DEGRADED, f"commands are refused: {error}")
        elif self._commands.failures >= SHOWN:
            word = "busy" if isinstance(error, PtzBusy) else "commands fail"
            self._health.set("control", HeadState.DEGRADED, f"{word}: {error}")
