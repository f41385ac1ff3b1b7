"""Every error the engine raises on purpose, as one tree.

    EngineError
    ├── ConfigError           a profile, cameras file, flag or environment variable is wrong      exit 2
    ├── SourceError           a camera or file cannot be read
    │   ├── SourceNotFound        there is no such file, host or stream: trying again is useless for a file
    │   ├── SourceUnsupported     it opens, but holds no video that we can read
    │   ├── SourceUnauthorized    the camera refused the user name or password
    │   └── SourceDisconnected    it was there and is gone, or does not answer: reconnect
    ├── ModelError            a model cannot be used
    │   ├── ModelNotFound         neither a file nor a known name, or it could not be fetched
    │   ├── ModelCorrupt          the file is damaged or fails its checksum
    │   ├── ModelUnsupported      the runtime or the output layout is not one that we know
    │   └── BackendError          a backend cannot run the model here and now: the next one is tried
    │       ├── BackendMissing        its package or device is not there; the message names the extra
    │       ├── EngineFileStale       a TensorRT engine file made for another GPU, version or model
    │       └── DeviceOutOfMemory     the device has no memory left
    ├── PromptError           what somebody points at, or asks of an object, cannot be done
    ├── PtzError              a camera's head cannot be asked, or not moved
    │   ├── PtzUnreachable        it does not answer: tried again
    │   ├── PtzUnauthorized       it refused the user name or password: not tried again by itself
    │   ├── PtzLocked             the account is locked, or trying once more could lock it
    │   ├── PtzBusy               it answers that it is busy: tried again, more slowly
    │   ├── PtzUnsupported        it has no such function
    │   ├── PtzRefused            it, or a limit of ours, refuses this command
    │   ├── PtzProtocolError      what it answers is not what the protocol says
    │   ├── PtzNotMoving          it accepts commands and does not move
    │   └── PtzLeaseLost          somebody else controls it
    ├── BusError              a message broker cannot be used
    │   ├── BusUnreachable        it does not answer, or went away: tried again
    │   ├── BusUnauthorized       it refused the user name or password: tried again, rarely
    │   └── BusMissing            the package that speaks to it is not there; the message names the extra
    ├── OutputError           a result cannot be written (disk full, no permission, encoder missing)
    ├── PublishError          processed video cannot be delivered to a server or folder now: tried again
    │   ├── PublishUnreachable    the server does not answer, or went away
    │   ├── PublishRefused        it refused the user, the password or the stream's name: tried again rarely
    │   └── PublishDiskFull       the folder's disk is full
    ├── WebRtcError           a WebRTC peer's description or candidate cannot be used
    ├── CommandError          a running engine refuses what it is asked for (Python API)
    │   └── CommandTimeout        it has not answered in time
    ├── ViewerError           a window cannot be opened, or a picture not be shown in it (engine-view)
    └── WorkerError           a worker process failed for good

`ipc` raises its own `ipc.segment.SegmentError` (memory for the pools); the supervisor turns it into a line.

A message says what, where and what to do, in one line. Passwords never appear: pass URLs through
`engine.secrets.mask_url` first.
"""


class EngineError(Exception):
    """Base of all errors with a message fit for the user; `exit_code` is what `engine-run` ends with."""

    exit_code = 1


class ConfigError(EngineError):
    """A setting is wrong; the message names the file, the key and the nearest valid name."""

    exit_code = 2


class SourceError(EngineError):
    """A camera or file cannot be read."""


class SourceNotFound(SourceError):
    """No such file, host or stream."""


class SourceUnsupported(SourceError):
    """The source holds no video that can be decoded."""


class SourceUnauthorized(SourceError):
    """The camera refused the credentials. Retried rarely, so that the account is not locked."""


class SourceDisconnected(SourceError):
    """The source does not answer or went away; a live source reconnects."""


class ModelError(EngineError):
    """A model cannot be used."""


class ModelNotFound(ModelError):
    """No such model file or registered name, or it could not be fetched."""


class ModelCorrupt(ModelError):
    """The model file is damaged or fails its checksum."""


class ModelUnsupported(ModelError):
    """The model's inputs or outputs are not of a known layout; the message lists what was found."""


class BackendError(ModelError):
    """A backend cannot run the model here and now. The next backend of `infer.backends` takes over."""


class BackendMissing(BackendError):
    """The package or the device that a backend needs is not there; the message names the extra to install."""


class EngineFileStale(BackendError):
    """A TensorRT engine file was made for another GPU, another TensorRT version or another model."""


class DeviceOutOfMemory(BackendError):
    """The device has no memory left for the model or its batch."""


class PromptError(EngineError):
    """A prompt or a command about an object cannot be carried out; nothing was changed. The message says why."""

    exit_code = 2


class PtzError(EngineError):
    """A camera's head cannot be asked, or not moved."""


class PtzUnreachable(PtzError):
    """The camera does not answer, or not in time."""


class PtzUnauthorized(PtzError):
    """The camera refused the credentials. Never repeated without a person, so that the account is not locked."""


class PtzLocked(PtzError):
    """The camera has locked the account, or our own limit of refused logins is used up; the message says until when."""


class PtzBusy(PtzError):
    """The camera is busy."""


class PtzUnsupported(PtzError):
    """The camera, or its driver, has no such function."""


class PtzRefused(PtzError):
    """A command was refused: out of range, a reserved preset, no permission."""


class PtzProtocolError(PtzError):
    """An answer is not what the protocol says: no XML, cut off, too large, or dangerous."""


class PtzNotMoving(PtzError):
    """The camera accepts commands and does not move."""


class PtzLeaseLost(PtzError):
    """Another controller has the camera's head."""


class BusError(EngineError):
    """A message broker cannot be used."""


class BusUnreachable(BusError):
    """The broker does not answer, or not in time, or it went away."""


class BusUnauthorized(BusError):
    """The broker refused the credentials, or what they may do. Tried again rarely."""


class BusMissing(BusError):
    """The package that speaks to such a broker is not there; the message names the extra to install."""


class OutputError(EngineError):
    """A result cannot be written."""


class OutputDiskFull(OutputError):
    """There is no room for it. Writing may go on by itself once there is."""


class PublishError(EngineError):
    """Processed video cannot be delivered to a server or folder now; it is tried again, and nothing else waits."""


class PublishUnreachable(PublishError):
    """The server does not answer in time, or has gone away."""


class PublishRefused(PublishError):
    """The server refused user, password, token or stream name. Tried again rarely, so that no account is locked."""


class PublishDiskFull(PublishError):
    """The folder's disk, or our share of it, is full."""


class WebRtcError(EngineError):
    """A WebRTC peer's offer, answer or candidate cannot be used; the message says why in one line."""


class CommandError(EngineError):
    """A running engine refuses what a program asks for; nothing was changed.

    failure  `invalid`, `not-found`, `conflict` (not in the present state) or `unavailable` (not now)
    """

    def __init__(self, text: str, failure: str = "invalid") -> None:
        super().__init__(text)
        self.failure = failure


class CommandTimeout(CommandError):
    """No answer in time; whether it was done is not known."""

    def __init__(self, text: str) -> None:
        super().__init__(text, "unavailable")


class ViewerError(EngineError):
    """There is no window to show pictures in; the message says why, and what to install."""


class WorkerError(EngineError):
    """A worker process failed for good (restart cap reached, or a worker the run cannot do without)."""
