"""Who runs and who reads what: the process graph of a run as plain data.

    decode:<camera> ──frames──► infer ──detections──► track ──tracks──► results, bus, stream:<camera>
                        └───────────────────────────────────────────────► stream:<camera>

With segmentation (`has_segmentation`) a stage more, which sees the frames, too:

    … track ──tracks──► segment ──masks──► results, stream:<camera>

`record` reads what `stream:<camera>` reads, of all cameras.

What `stream:<camera>` has encoded goes to those who show it:

    stream:<camera> ──packets──► control, publish:<camera>

Whatever the outputs read, `control` reads, too, for those who listen, and `ptz` of the cameras that it steers or is
guided by; nobody ever waits for these two. What `ptz` knows of a head goes back to the camera's pictures:

    ptz ──pose──► decode:<camera>

Knows names, rows and sizes. Does not start anything.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from engine.config import RunConfig
from engine.config.identity import OFF
from engine.config.segment import DETECTOR_AS_SEGMENTER
from engine.config.settings import MOST_FRAMES_HELD
from engine.types import Embeddings, nv12_geometry
from ipc.pool import PoolLayout

# Consumer rows. A row is never reassigned, so nothing changes when a worker restarts.
FRAMES_INFER, FRAMES_STREAM, FRAMES_TRACK, FRAMES_SEGMENT, FRAMES_API, FRAMES_RECORD = range(6)
DETECTIONS_TRACK = 0
(
    TRACKS_RESULTS, TRACKS_STREAM, TRACKS_SEGMENT, TRACKS_CONTROL, TRACKS_PTZ, TRACKS_BUS, TRACKS_API, TRACKS_RECORD,
) = range(8)  # fmt: skip
MASKS_RESULTS, MASKS_STREAM, MASKS_CONTROL, MASKS_PTZ, MASKS_BUS, MASKS_API, MASKS_RECORD = (
    0,
    1,
    3,
    4,
    5,
    6,
    7,
)
POSE_DECODE = 0
PACKETS_CONTROL, PACKETS_PUBLISH = 0, 1
ONLOOKERS = ("control", "ptz", "bus")
"""Who reads results and is never waited for."""

PACKETS_KEPT = 48
"""Slots of packets that are still there when a reader looks: a second and a half at 30 frames/s."""
POSES_KEPT = 12
"""Samples of a head that are still there when a decoder looks: half a second of turning."""
STATUS_SLOT_BYTES = 256 * 1024
GPU_BACKENDS = ("tensorrt", "ort-tensorrt", "ort-cuda")
"""Backends that prepare their pictures on the GPU that decodes."""
MOST_EMBEDDING_DIMS = 2048
"""The longest vector of a re-identification network that there is room for (a ResNet-50's)."""
FRAMES_EMBEDDED = 2
"""Frames of one camera that may wait for the re-identification network while detection goes on."""
FRAMES_OF_PROGRAM = 1
"""Frames of one camera that the program which has started the run holds at a time."""
FRAMES_OF_RECORD = 3
"""Slots that one video of all cameras takes of the room of inference: its own, and those of rows before it."""
MOST_MEASURED_BATCH = 8
"""Above this a CPU gains nothing any more; a device that does has its batch configured."""


_STAGES = (
    "ptz",
    "decode",
    "infer",
    "track",
    "segment",
    "output",
    "stream",
    "record",
    "publish",
    "bus",
    "api",
    "control",
)


@dataclass(frozen=True)
class WorkerSpec:
    """One worker: `name` is unique, `kind` is its module in `engine.workers`.

    host  the worker in whose process it runs as a thread; empty: it has a process of its own
    """

    name: str
    kind: str
    camera: str = ""
    host: str = ""

    @property
    def stage(self) -> int:
        """Place in the pipeline; workers are stopped in this order."""
        return _STAGES.index(self.kind)


@dataclass(frozen=True)
class PoolSpec:
    """One pool.

    consumers  who reads it, and in which row
    woken      those who are woken by a publish; who looks up frames by number waits for something else
    required   rows that the producer must wait for
    """

    name: str
    camera: str
    producer: str
    consumers: dict[str, int]
    layout: PoolLayout
    woken: tuple[str, ...] = ()
    required: tuple[int, ...] = field(default=())


def workers(config: RunConfig) -> list[WorkerSpec]:
    """The workers of a run, in the order in which they are started: consumers first, hosts before their guests."""
    specs = []
    if config.control.enabled:
        specs.append(WorkerSpec("control", "control"))
    specs.append(WorkerSpec("results", "output"))
    if has_program(config):
        specs.append(WorkerSpec("api", "api"))
    if has_bus(config):
        specs.append(WorkerSpec("bus", "bus"))
    for camera in config.cameras:
        if publishes(config):
            specs.append(WorkerSpec(f"publish:{camera.name}", "publish", camera.name))
        if has_stream(config):
            specs.append(WorkerSpec(f"stream:{camera.name}", "stream", camera.name))
    if has_record(config):
        specs.append(WorkerSpec("record", "record"))
    if has_segmentation(config):
        specs.append(WorkerSpec("segment", "segment"))
    if heads(config):
        specs.append(WorkerSpec("ptz", "ptz"))
    specs.append(WorkerSpec("track", "track"))
    specs.append(WorkerSpec("infer", "infer"))
    host = "infer" if config.decode.place == "inference" else ""
    specs += [WorkerSpec(f"decode:{camera.name}", "decode", camera.name, host) for camera in config.cameras]
    return specs


def has_live_video(config: RunConfig) -> bool:
    """Whether cameras are shown while they run. Not in offline runs: nobody can look at them in time."""
    return (
        config.stream.enabled
        and not config.offline
        and (config.control.enabled or bool(config.stream.publish))
    )


def has_stream(config: RunConfig) -> bool:
    """Whether there is a stage that draws and encodes: for a file, or for those who look."""
    return config.output.overlay or has_live_video(config)


def has_program(config: RunConfig) -> bool:
    """Whether a program reads results: the one that has started the run, or one that attaches itself."""
    return config.api or config.output.attach != OFF


def has_record(config: RunConfig) -> bool:
    """Whether all cameras are recorded as one video."""
    return config.output.record != OFF


def shows_masks(config: RunConfig) -> bool:
    """Whether somebody has a use for the masks of a detector that gives any."""
    in_records = config.output.masks != "none" and (
        config.output.jsonl or config.control.enabled or has_bus(config)
    )
    shown = has_stream(config) or has_record(config)
    return shown or has_program(config) or in_records or config.output.save_masks != "off"


def publishes(config: RunConfig) -> bool:
    """Whether live video goes to servers or folders."""
    return has_live_video(config) and bool(config.stream.publish)


def has_bus(config: RunConfig) -> bool:
    """Whether results go to brokers."""
    return bool(config.bus.urls)


def heads(config: RunConfig) -> tuple[str, ...]:
    """The cameras whose heads are steered. None in offline runs: a recording cannot be turned round."""
    return () if config.offline else tuple(camera.name for camera in config.cameras if camera.ptz is not None)


def watched_for_heads(config: RunConfig) -> frozenset[str]:
    """The cameras whose results the heads follow: their own, and those of the cameras that guide them."""
    steered = heads(config)
    guides = {guide for camera in config.cameras if camera.ptz and steered for guide in camera.ptz.guides}
    return frozenset(steered) | guides


def segment_mode(config: RunConfig, camera: str) -> str:
    """The mode of segmentation that a camera starts in. Raises `KeyError` for an unknown camera."""
    own = {each.name: each.segment for each in config.cameras}[camera]
    return own or config.segment.mode


def has_segmentation(config: RunConfig) -> bool:
    """Whether there is a stage that makes masks: where a camera wants them, or may want them later."""
    modes = {segment_mode(config, camera.name) for camera in config.cameras}
    return config.segment.standby or bool(modes - {"off"})


def needs_segmenter(config: RunConfig, mode: str) -> bool:
    """Whether SAM2 makes the masks of this mode, and not the detector or nobody."""
    return mode != "off" and config.segment.model != DETECTOR_AS_SEGMENTER


def pool_of_outputs(config: RunConfig, camera: str) -> str:
    """The pool whose records are a camera's results: what the outputs read."""
    return f"masks:{camera}" if has_segmentation(config) else f"tracks:{camera}"


def embedding_room_bytes(config: RunConfig) -> int:
    """What the embeddings of one frame may take of a slot for detections, beyond the room for objects."""
    if not config.reid.enabled:
        return 0
    return Embeddings.nbytes(config.reid.crops_per_frame, MOST_EMBEDDING_DIMS)


def lanes(config: RunConfig) -> int:
    """Inference sessions that run side by side; 0 in the configuration means one per core we may use."""
    return config.infer.lanes or usable_cores()


def most_calls(lanes: int) -> int:
    """Calls of the detector in flight: one in every lane, and one that is prepared meanwhile."""
    return lanes + 1


def most_batch(config: RunConfig) -> int:
    """Most frames in one call: as configured; where it is measured, as many as can be due at once, within reason."""
    return config.infer.batch or min(max(1, len(config.cameras)), MOST_MEASURED_BATCH)


def frames_in_flight(config: RunConfig) -> int:
    """Frames of one camera that inference may hold, whatever layout is measured: and one ready to be published.

    Live a camera has one frame in each call at most. Offline it has its share of all calls, or fills one alone;
    that is enough for every lane to be busy, and two dozen cameras do not take memory for hundreds of frames each.
    On a machine with more cores than a pool has slots, one camera alone cannot fill all lanes.
    """
    calls = most_calls(lanes(config))
    needed = calls
    if config.offline:
        share = -(-calls * most_batch(config) // max(1, len(config.cameras)))
        needed = max(calls, most_batch(config), share)
    if config.reid.enabled:
        needed += FRAMES_EMBEDDED
    most = MOST_FRAMES_HELD - config.pool.history - (FRAMES_OF_PROGRAM + 1 if has_program(config) else 0)
    most -= FRAMES_OF_RECORD if has_record(config) else 0
    return min(needed, max(0, most)) + 1


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def result_pools(config: RunConfig, camera: str) -> list[PoolSpec]:
    """The pools for a camera's results, stage by stage, and for its head; their size does not depend on the picture."""
    masks = has_segmentation(config)
    outputs = {"results": MASKS_RESULTS if masks else TRACKS_RESULTS}
    if has_stream(config):
        outputs[f"stream:{camera}"] = MASKS_STREAM if masks else TRACKS_STREAM
    if has_bus(config):
        outputs["bus"] = MASKS_BUS if masks else TRACKS_BUS
    if has_program(config):
        outputs["api"] = MASKS_API if masks else TRACKS_API
    if has_record(config):
        outputs["record"] = MASKS_RECORD if masks else TRACKS_RECORD
    if config.control.enabled:
        outputs["control"] = MASKS_CONTROL if masks else TRACKS_CONTROL
    if camera in watched_for_heads(config):
        outputs["ptz"] = MASKS_PTZ if masks else TRACKS_PTZ
    pools = [_result_pool(config, "detections", camera, "infer", {"track": DETECTIONS_TRACK})]
    if masks:
        pools.append(_result_pool(config, "tracks", camera, "track", {"segment": TRACKS_SEGMENT}))
        pools.append(_result_pool(config, "masks", camera, "segment", outputs))
    else:
        pools.append(_result_pool(config, "tracks", camera, "track", outputs))
    if camera in heads(config):
        pools.append(_pose_pool(camera))
    if has_live_video(config):
        pools.append(_packet_pool(config, camera))
    return pools


def pools_of(config: RunConfig, worker: str) -> frozenset[str]:
    """Names of the pools that a worker reads or writes."""
    found = set()
    for camera in config.cameras:
        name = camera.name
        if worker == f"decode:{name}" or worker in _frame_readers(config, name):
            found.add(f"frames:{name}")
        specs = result_pools(config, name)
        found |= {spec.name for spec in specs if worker == spec.producer or worker in spec.consumers}
    return frozenset(found)


def _frame_readers(config: RunConfig, camera: str) -> dict[str, int]:
    readers = {"infer": FRAMES_INFER, "track": FRAMES_TRACK}
    if has_stream(config):
        readers[f"stream:{camera}"] = FRAMES_STREAM
    if has_segmentation(config):
        readers["segment"] = FRAMES_SEGMENT
    if has_program(config):
        readers["api"] = FRAMES_API
    if has_record(config):
        readers["record"] = FRAMES_RECORD
    return readers


def _pose_pool(camera: str) -> PoolSpec:
    """Where a head points, all of it in the meta block. Nobody is woken: a decoder looks when it has a picture."""
    layout = PoolLayout((1,), slot_bytes=1, history=POSES_KEPT)
    return PoolSpec(f"pose:{camera}", camera, "ptz", {f"decode:{camera}": POSE_DECODE}, layout)


def _packet_pool(config: RunConfig, camera: str) -> PoolSpec:
    """What a camera's encoders have made. Nobody is waited for: a viewer who falls behind goes on at a key frame."""
    readers = {"control": PACKETS_CONTROL} if config.control.enabled else {}
    if publishes(config):
        readers[f"publish:{camera}"] = PACKETS_PUBLISH
    layout = PoolLayout((1, 1), config.stream.packet_slot_kib * 1024, PACKETS_KEPT)
    return PoolSpec(f"packets:{camera}", camera, f"stream:{camera}", readers, layout, tuple(readers))


def _result_pool(
    config: RunConfig, what: str, camera: str, producer: str, readers: dict[str, int]
) -> PoolSpec:
    rows = 2 if what == "detections" else 8
    slot_bytes = config.pool.result_slot_kib * 1024
    if what == "detections":
        slot_bytes += embedding_room_bytes(config)
    return PoolSpec(
        name=f"{what}:{camera}",
        camera=camera,
        producer=producer,
        consumers=readers,
        woken=tuple(readers),
        layout=PoolLayout((1,) * rows, slot_bytes, config.pool.result_history),
        required=tuple(row for reader, row in readers.items() if config.offline and reader not in ONLOOKERS),
    )


def frame_pool(
    config: RunConfig, camera: str, width: int, height: int, generation: int = 1, first_seq: int = 1
) -> PoolSpec:
    """The pool for frames of a camera, sized for this picture."""
    readers = _frame_readers(config, camera)
    leases: tuple[int, ...] = (frames_in_flight(config), 2, 1)
    if has_segmentation(config):
        leases += (2,)  # the frame that masks are moved to, and the one that is segmented meanwhile
    if has_program(config):
        leases += (1,) * (FRAMES_API - len(leases)) + (FRAMES_OF_PROGRAM,)
    if has_record(config):
        leases += (1,) * (FRAMES_RECORD + 1 - len(leases))
    layout = PoolLayout(
        leases=leases,
        slot_bytes=nv12_geometry(width, height)[2],
        history=config.pool.history,
        first_seq=first_seq,
        generation=generation,
    )
    required = tuple(readers.values()) if config.offline else ()
    return PoolSpec(f"frames:{camera}", camera, f"decode:{camera}", readers, layout, ("infer",), required)
