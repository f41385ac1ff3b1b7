"""The shape of a status: what the supervisor knows of the run, written by it, read by the control process.

Plain data that survives JSON. Knows no way of transport.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypedDict, get_args

from engine.control.status_receivers import BusStatus, PublishStatus, ViewersStatus
from engine.metrics import LatencyDict

Health = Literal["ok", "degraded", "failing"]
"""ok: all does what it should. degraded: it runs, with less than was asked for. failing: it does not."""

ProcessState = Literal["starting", "running", "backoff", "failed", "stopped"]
CameraState = Literal["connecting", "streaming", "reconnecting", "unauthorized", "stopped", "ended", "failed"]

CAMERA_STATES: tuple[CameraState, ...] = get_args(CameraState)
HEALTH_STATES: tuple[Health, ...] = get_args(Health)


class ModelStatus(TypedDict):
    """A model by name: what was asked for, what is used, and why.

    degraded  in one line, which model stands in for which and why; "" where it is the one that was asked for
    """

    asked: str
    used: str
    reason: str
    degraded: str


def degraded_lines(told: Iterable[ModelStatus]) -> tuple[str, ...]:
    """A line for each model that stands in for another."""
    return tuple(each["degraded"] for each in told if each["degraded"])


class RunStatus(TypedDict):
    """What was asked for: profile, model as used, whether time does not count (`--offline`).

    models  `detector`; `segmenter` once one is wanted
    """

    profile: str
    model: str
    offline: bool
    models: dict[str, ModelStatus]


class ProcessStatus(TypedDict):
    """One worker over all its incarnations.

    pid              None while it does not run
    restarts         how often it has been started again
    rss_bytes        resident memory now
    cpu_s            processor time of all incarnations
    fds, threads     file descriptors open and threads running now; 0 for a worker in another one's process
    heartbeat_age_s  since its last sign of life; None before the first
    detail           why it is in this state, "" if there is nothing to say
    """

    kind: str
    state: ProcessState
    pid: int | None
    restarts: int
    rss_bytes: int
    cpu_s: float
    fds: int
    threads: int
    heartbeat_age_s: float | None
    detail: str


class ChoiceStatus(TypedDict):
    """A decision that was made automatically: about what, what was chosen, and why."""

    what: str
    chosen: str
    reason: str


class InferenceStatus(TypedDict):
    """The detector and the batches that it is given.

    lanes            calls that the model computes at the same time
    calls            calls in flight at most: lanes, and those that prepare their pictures meanwhile
    batch            most frames in a call
    collect          policy by which batches are collected
    degraded         what runs worse than it was asked for
    live_cameras     cameras that gave a frame within two seconds
    queue_depth      frames that wait to be taken, now
    window_ms        longest wait for a fuller batch, now; None before the detector is loaded
    batches, frames  run so far
    prepared_ahead   batches that were begun while all lanes were busy
    batch_frames     mean frames per batch, recently; None while there was none
    occupancy        the same as a share of what was possible: a frame of every live camera, or a full batch
    discarded_boxes  thrown away because their numbers made no sense
    """

    lanes: int
    calls: int
    batch: int
    collect: str
    choices: list[ChoiceStatus]
    degraded: list[str]
    live_cameras: int
    queue_depth: int
    window_ms: float | None
    batches: int
    frames: int
    prepared_ahead: int
    batch_frames: float | None
    occupancy: float | None
    discarded_boxes: int


class LatencySummary(TypedDict):
    """Milliseconds from capture to output, recently; None while nothing is measured."""

    p50: float | None
    p95: float | None


class CameraMotionStatus(TypedDict):
    """How a camera's own motion is found, since the tracking process began.

    mode       auto, flow, ecc or pose
    frames     looked at
    moved      frames on which the camera had moved
    untrusted  frames on which its motion could not be told, by reason
    """

    mode: str
    frames: int
    moved: int
    untrusted: dict[str, int]


class LineStatus(TypedDict):
    """Crossings of a line so far, left and right as seen along it from its first point."""

    left_to_right: int
    right_to_left: int


class ZoneStatus(TypedDict):
    """Visits of a zone so far, and who is in it now: `entries = exits + present`."""

    entries: int
    exits: int
    dwells: int
    present: int


class CameraEventsStatus(TypedDict):
    """What has happened before one camera, over the run.

    kinds   events by kind, once they have happened
    groups  that there are now
    lost    events that found no room in their record
    """

    kinds: dict[str, int]
    lines: dict[str, LineStatus]
    zones: dict[str, ZoneStatus]
    groups: int
    lost: int


class StreamStatus(TypedDict):
    """Clients of a WebSocket now, messages they were sent, and messages that they were too slow for.

    dropped  clients that were cut off because they read nothing
    """

    clients: int
    sent: int
    lost: int
    dropped: int


RecordingState = Literal["off", "recording", "disk full", "failed"]
RECORDING_STATES: tuple[RecordingState, ...] = get_args(RecordingState)


class RenditionStatus(TypedDict):
    """One rendition of a camera's video: `overlay`, `clean`, `overlay_jpeg` or `clean_jpeg`.

    encoder, reason  which one, and why
    running          there is one at present; `trouble` says why it is not, "" if nobody wants it
    watched          somebody wants its packets; `published`: a destination in the configuration does
    wanted_s         for how long viewers still want it
    packets          number of the newest packet; numbers go on over restarts
    frames           encoded, `keyframes` among them; `fps`, `kbps` recently
    encode_ms        time that encoding a picture takes, over the run
    dropped          pictures that have not become packets: encoder_behind (this process was too slow, and went on with
                     the newest), encoder_failed, encoder_skipped (left out by the encoder), too_big (no room for the
                     packet), frame_gone
    """

    encoder: str
    reason: str
    running: bool
    trouble: str
    watched: bool
    published: bool
    wanted_s: float
    packets: int
    frames: int
    keyframes: int
    fps: float
    kbps: float
    encode_ms: LatencySummary
    dropped: dict[str, int]


class RecordingStatus(TypedDict):
    """A camera's video file.

    file     that is being written, "" if there is none
    frames   recorded
    deleted  segments deleted because they were too old or too many
    dropped  pictures that are not in the file: output_failed, encoder_failed
    """

    state: RecordingState
    trouble: str
    file: str
    frames: int
    deleted: int
    dropped: dict[str, int]


class VideoStatus(TypedDict):
    """What becomes of a camera's pictures.

    no_signal  viewers are shown that there is none
    draw_ms    time that drawing on a picture takes, its copy included, over the run
    """

    no_signal: bool
    draw_ms: LatencySummary
    renditions: dict[str, RenditionStatus]
    recording: RecordingStatus


class CameraHealth(TypedDict):
    """One camera from end to end. `frames_in = frames_processed + frames_pending + Σ dropped`.

    source             URL with the credentials masked
    width, height      0 until known
    fps_in, fps_inferred, fps_out   recent rates
    frames_pending     taken in, neither processed nor dropped yet
    dropped            frames that were not processed, by reason
    results_out        results written
    results_lost       results that did not reach an output, by place (track, segment, masks, jsonl, video) and reason
    camera_motion      None while the tracker does not look for it
    events             None where none are wanted
    video              None in offline runs, and where nothing is drawn or shown
    """

    state: CameraState
    reason: str
    source: str
    width: int
    height: int
    fps_in: float
    fps_inferred: float
    fps_out: float
    frames_in: int
    frames_processed: int
    frames_pending: int
    dropped: dict[str, int]
    results_out: int
    results_lost: dict[str, dict[str, int]]
    camera_motion: CameraMotionStatus | None
    events: CameraEventsStatus | None
    video: VideoStatus | None
    latency_ms: LatencySummary


class CameraStatus(CameraHealth):
    """The same with `latency_histogram` by stage, over the whole run, which is for `/metrics` alone."""

    latency_histogram: dict[str, LatencyDict]


class CameraSegmentation(TypedDict):
    """The masks of one camera.

    objects       that are segmented now, lost ones among them
    masked_fps    results per second in which everything that was wanted had a mask, recently
    keyframe_fps  frames per second that were segmented, recently
    mask_age_ms   age of the masks of a result: time since the frame that they were computed on, over the run
    mask_lag_ms   capture of a keyframe to its masks being there, over the run
    events        what happened to objects, by kind, over the run
    """

    mode: str
    objects: int
    masked_fps: float
    keyframe_fps: float
    mask_age_ms: LatencySummary
    mask_lag_ms: LatencySummary
    events: dict[str, int]


class SegmentationStatus(TypedDict):
    """The segmenter and its lane.

    model              what runs; "" while nothing is loaded
    degraded           what runs worse than it was asked for
    lane_busy          share of the time that the lane computed, recently
    keyframes, rows    frames that were segmented so far, and objects on them
    rows_per_keyframe  the second through the first, recently; None while there was none
    """

    model: str
    choices: list[ChoiceStatus]
    degraded: list[str]
    lane_busy: float
    keyframes: int
    rows: int
    rows_per_keyframe: float | None
    cameras: dict[str, CameraSegmentation]


class CameraReid(TypedDict):
    """Which boxes of one camera were looked at, over the run.

    boxes     detections of all frames that were asked about
    embedded  boxes that were embedded, by need: new, ambiguous, refresh
    left_out  boxes that were not although they were worth it, by reason: budget, frame, late, room,
              unusable, failed
    """

    boxes: int
    embedded: dict[str, int]
    left_out: dict[str, int]


class ReidStatus(TypedDict):
    """The re-identification network and what it is used for.

    model        what runs; "" while nothing is loaded
    dims         numbers in a vector
    degraded     what runs worse than it was asked for
    crops_per_s  the budget of all cameras together, 0 = no limit
    queue        frames that wait for it or are in it, now
    calls        so far
    ms_per_crop  recently; None while there was none
    held_ms      how long it held up the frames of which something was embedded, over the run
    """

    model: str
    dims: int
    choices: list[ChoiceStatus]
    degraded: list[str]
    crops_per_s: float
    queue: int
    calls: int
    ms_per_crop: float | None
    held_ms: LatencySummary
    cameras: dict[str, CameraReid]


class IdentityStatus(TypedDict):
    """Those who are remembered.

    scope         what may be remembered: off, camera, global
    known, looks  identities, and looks kept of them, now
    recognised, new           tracks that were somebody known, and those that were not
    refused       those of the latter that looked like somebody: by `gate`, or too close a call (`margin`)
    forgotten     by reason: ttl, room, command, network
    threshold     least cosine at which two looks may be of one person, now
    search_ms     how long a search took, over the run;  exact: whether every look was compared
    file          off, none (nothing saved yet), restored, or why not: corrupt, foreign, newer, network, unreadable
    saved         savings so far
    degraded      what runs worse than it was asked for
    """

    scope: str
    known: int
    looks: int
    recognised: int
    new: int
    refused: dict[str, int]
    forgotten: dict[str, int]
    threshold: float | None
    search_ms: LatencySummary
    exact: bool
    file: str
    saved: int
    degraded: list[str]


class PtzStatus(TypedDict):
    """One camera's head.

    state       starting, ok, degraded, locked, not_moving, unreachable or taken; `reason` why, in a line
    device      model and firmware, "" before the camera has told
    choices     what was chosen in talking to it and why, a line each
    pose        pan_deg, tilt_deg and zoom now, None where that is not known
    following   idle, following, coasting, holding, widening, searching, returning, touring, manual or paused
    policy      whom it is to follow
    target      whom it does follow: the key of a track, None for nobody
    why         what it does and why, in a line
    counts      commands and what became of them, since the start: sent, renewed, superseded, refused, stops, …
    commands_s  commands in the last seconds, a second
    moving_s    time in which it moved, since the start
    command_latency_ms, image_latency_ms   as measured, None before
    watchdog    state of the process that stops heads when this one cannot
    """

    state: str
    reason: str
    device: str
    choices: list[str]
    pose: dict[str, float] | None
    following: str
    policy: str
    target: int | None
    why: str
    counts: dict[str, int]
    commands_s: float
    moving_s: float
    command_latency_ms: float | None
    image_latency_ms: float | None
    watchdog: str


class _RunHealth(TypedDict):
    """The whole run but its cameras. `reasons` says in words what is degraded or failing, empty when ok.

    reid, identity   None in a run without re-identification
    segmentation  None in a run without that stage
    ptz           by camera; None in a run without heads
    bus           None in a run without brokers
    publish       by camera; None in a run that publishes no video
    """

    status: Health
    reasons: list[str]
    version: str
    uptime_s: float
    run: RunStatus
    processes: dict[str, ProcessStatus]
    inference: InferenceStatus
    reid: ReidStatus | None
    identity: IdentityStatus | None
    segmentation: SegmentationStatus | None
    ptz: dict[str, PtzStatus] | None
    bus: BusStatus | None
    publish: dict[str, PublishStatus] | None
    viewers: ViewersStatus
    streams: dict[str, StreamStatus]


class EngineHealth(_RunHealth):
    """The whole run as `/health` tells of it."""

    cameras: dict[str, CameraHealth]


class EngineStatus(_RunHealth):
    """The whole run as the supervisor publishes it. What is to be in `/health`, too, goes into the base."""

    started_wall_s: float
    cameras: dict[str, CameraStatus]
