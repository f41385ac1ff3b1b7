"""One camera: its mode, its objects and what is asked for them. The part of segmentation that decides.

Knows tracks, prompts, requests and answers as plain values. Does not know frames, models, threads or the clock: time
is an argument, in seconds of any one clock that does not go back.

Every record of the tracker, in order:    on_tracks → (masks are moved) → objects (what is published)
When the segmenter is free:               demand → `Budget.next` → plan → (it runs) → on_result, or cancel
At any moment:                            set_mode, prompt, remove, protect; events.drain()
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from engine.segmentation import commands
from engine.segmentation.answers import Answer, Flight, Requests, TrackThen, cancel, settle
from engine.segmentation.automatic import adopt
from engine.segmentation.budget import Demand
from engine.segmentation.events import EventLog
from engine.segmentation.follow import carry, follow
from engine.segmentation.jobs import KeyframeJob, KeyframeResult, ObjectMask
from engine.segmentation.modes import Mode
from engine.segmentation.order import Allowance
from engine.segmentation.planning import Wish, pick, points, request, wishes, without_points_share
from engine.segmentation.published import detector_masks, named, published, published_ids, shown_alone
from engine.segmentation.scene import CameraRules, Scene
from engine.segmentation.seats import Seats
from engine.segmentation.state import restore, state
from engine.segmentation.sweep import PointSweep
from engine.types import F32, I64, FrameFlag, Prompt, ResultMeta, Tracks


class CameraObjects:
    """See the module.

    name      the camera
    requests  what became of the requests so far
    surplus   objects found by the grid so far for which there was no room
    """

    def __init__(self, name: str, mode: str, rules: CameraRules, seats: Seats) -> None:
        """`seats` are those of the device that segments, shared by its cameras."""
        self.name = name
        self.requests = Requests()
        self.surplus = 0
        self._scene = Scene(name, Mode(mode), rules, seats)
        self._sweep = PointSweep(rules.grid)
        self._flights: dict[int, Flight] = {}
        self._planned_seq = -1
        self._planned_s: float | None = None
        self._record_s = 0.0
        self._turn = 0
        self._only_pointed = False

    @property
    def mode(self) -> str:
        """One of `SEGMENT_MODES`."""
        return str(self._scene.mode)

    @property
    def events(self) -> EventLog:
        """What happened since somebody took the events."""
        return self._scene.table.events

    def object_ids(self) -> tuple[int, ...]:
        """Objects that are held now, lost ones included."""
        return tuple(self._scene.table.objects)

    def drain_gone(self) -> tuple[int, ...]:
        """Objects that went since this was last asked: nobody needs their masks any more."""
        table = self._scene.table
        gone, table.gone = tuple(table.gone), {}
        return gone

    def drain_renamed(self) -> tuple[tuple[int, int], ...]:
        """(ID before, ID now) of tracks that turned out to be another object since this was last asked."""
        table = self._scene.table
        renamed, table.renamed = tuple(table.renamed), []
        return renamed

    def set_mode(self, mode: str, now_s: float) -> None:
        """Segment in another way from now on. What the new mode can keep is kept.

        off forgets every object and memory; boxes keeps tracks without their memory; prompt keeps what somebody
        pointed at or protects; track and auto keep all. Raises `PromptError` for a mode that is none.
        """
        commands.set_mode(self._scene, mode, now_s)

    def prompt(self, prompt: Prompt, object_id: int | None, frame_seq: int | None, now_s: float) -> int:
        """Point at an object; returns its ID. The mask comes with the next keyframe. The object is protected.

        object_id  refine this object; None: the known object that the prompt hits (`pointing.hit`), or a new one
        frame_seq  the frame that was looked at; None: the newest

        Raises `PromptError` for what cannot be done, and changes nothing then.
        """
        return commands.prompt(self._scene, prompt, object_id, frame_seq, now_s)

    def remove(self, object_id: int, now_s: float) -> None:
        """Segment an object no longer. Its track, if it has one, keeps its ID and is not segmented again until
        somebody points at it. Raises `PromptError` for an ID that is none here."""
        commands.remove(self._scene, object_id, now_s)

    def protect(self, object_id: int, now_s: float, *, protected: bool = True) -> None:
        """Refresh an object before others and never take its memory, as for a PTZ camera's target; or no longer.

        Raises `PromptError` for an ID that is none here, or where the camera segments nothing.
        """
        commands.protect(self._scene, object_id, now_s, protected=protected)

    def on_tracks(self, tracks: Tracks, meta: ResultMeta, now_s: float) -> None:
        """The next record. The end of a stream and notices change nothing."""
        if meta.flags & (FrameFlag.END_OF_STREAM | FrameFlag.NOTICE):
            return
        scene = self._scene
        scene.at(now_s)
        scene.resize((meta.width, meta.height))
        follow(scene.table, tracks, starts=scene.starts, seeds=scene.mode.seeds)
        scene.give_up_lost()
        scene.table.update_seats()
        scene.remember(tracks, meta)
        self._record_s = scene.table.now_s

    def named(self, tracks: Tracks) -> Tracks:
        """The tracks of the newest record under their objects' IDs, with the tracker's boxes: for moving masks."""
        return named(self._scene.table, tracks)

    def published_ids(self, track_ids: I64) -> I64:
        """int64 (n,): the IDs under which the tracker's are published."""
        return published_ids(self._scene.table, track_ids)

    def alone_ids(self) -> tuple[int, ...]:
        """Objects that only a mask shows at present: `objects` has a row for each behind the tracks."""
        if not self._scene.mode.remembers:
            return ()
        return tuple(
            sorted(held.object_id for held in self._scene.table.objects.values() if shown_alone(held))
        )

    def objects(self, tracks: Tracks, moved: Mapping[int, F32] | None = None) -> Tracks:
        """The rows to publish for the newest record: its tracks in their order under their objects' IDs, behind them
        the objects that only a mask shows, by ID. No masks: those are the caller's, who moves them.

        moved  boxes of `alone_ids`, as their masks were moved to this frame
        """
        scene = self._scene
        carry(scene.table, moved or {})
        return published(scene.table, tracks, scene.mode, scene.rules.latency_s)

    def detector_masks(self, tracks: Tracks) -> tuple[ObjectMask, ...]:
        """The masks that came with the detections of the newest record, for the objects that are segmented; none
        where a segmenter makes them."""
        if not self._scene.rules.detector_masks or self._scene.mode is not Mode.BOXES:
            return ()
        return detector_masks(self._scene.table, tracks)

    def demand(self, now_s: float) -> Demand:
        """What this camera would have segmented now."""
        self._scene.at(now_s)
        every = self._wishes()
        sweeps = self._scene.mode is Mode.AUTO and self._frame_waits
        masked = [
            held for held in self._scene.table.objects.values() if held.masked_s is not None and held.visible
        ]
        ages = {held.object_id: now_s - (held.masked_s or 0.0) for held in masked}
        protected = [ages[held.object_id] for held in masked if held.protected]
        if self._planned_s is None:
            self._planned_s = now_s
        return Demand(
            self.name, len(every), len(self._sweep) if sweeps else 0,
            pointed=sum(wish.held.pointed is not None for wish in every),
            protected=sum(wish.held.protected for wish in every),
            forgets=len(self._scene.table.forgets), since_s=self._planned_s,
            protected_age_s=max(protected, default=None), oldest_age_s=max(ages.values(), default=None),
            newest_age_s=min(ages.values(), default=None), now_s=now_s,
        )  # fmt: skip

    def plan(self, now_s: float, allowance: Allowance) -> KeyframeJob | None:
        """The job for the newest record's frame; None where there is nothing to do.

        A job without requests and points gives memories back and needs no picture. Every job comes back with
        `on_result` or `cancel`.
        """
        scene, table = self._scene, self._scene.table
        scene.at(now_s)
        every = self._wishes()
        pointed = [wish for wish in every if wish.held.pointed is not None]
        # Who points waits: its keyframe holds nothing else, but never two of them running.
        self._only_pointed = bool(pointed) and not self._only_pointed and allowance.objects_s is not None
        sweeps = scene.mode is Mode.AUTO and self._frame_waits and not self._only_pointed
        self._turn += not self._only_pointed
        chosen = pick(
            table, pointed if self._only_pointed else every,
            without_points_share(allowance) if sweeps else allowance, scene.rules.latency_s, self._turn,
        )  # fmt: skip
        size_wh = scene.size_wh or (1, 1)
        made = [request(table, wish, size_wh) for wish in chosen]
        requests = tuple(one for one in made if one is not None)
        grid = points(table, self._sweep, allowance, size_wh) if sweeps else None
        forget = self._take_forgets()
        if not requests and grid is None and not forget:
            return None
        job = KeyframeJob(self.name, self._newest_seq(), requests, forget, grid, table.take_freed())
        if requests or grid is not None:
            self._take_off(job)
        return job

    def on_result(self, result: KeyframeResult, now_s: float) -> Answer:
        """What became of a job: the masks to move and show under their objects' IDs."""
        flight = self._flights.pop(result.frame_seq, None)
        if flight is None:
            return Answer()
        self._scene.at(now_s)
        answer = settle(self._scene.table, flight, result, self.requests)
        found = result.masks[len(flight.job.requests) :]
        if found and self._scene.mode is Mode.AUTO:
            adopted, refused = adopt(self._scene.table, flight, found)
            self.surplus += refused
            answer = replace(answer, place=answer.place + adopted)
        self._scene.table.update_seats()
        return answer

    def cancel(self, job: KeyframeJob, now_s: float) -> None:
        """The job could not be run (its frame was overwritten, the segmenter failed): its objects are asked again."""
        self._scene.table.free_again(job.freed)
        flight = self._flights.pop(job.frame_seq, None)
        if flight is not None:
            self._scene.at(now_s)
            cancel(self._scene.table, flight, self.requests)
        elif job.forget:
            self._scene.table.forgets.update(dict.fromkeys(job.forget))

    def leave(self, now_s: float) -> None:
        """The camera is gone: what its objects hold is given back with the next job of any other."""
        commands.set_mode(self._scene, Mode.OFF, now_s)
        table = self._scene.table
        asked = [request.object_id for flight in self._flights.values() for request in flight.job.requests]
        gone = dict.fromkeys([*table.forgets, *asked])
        table.forgets = {}
        self._flights.clear()
        table.free_again(tuple((self.name, object_id) for object_id in gone))

    def state(self) -> dict[str, Any]:
        """What a successor needs after this process has died: small, plain, for JSON."""
        return state(self._scene.table, self.mode)

    def restore(self, document: Mapping[str, Any], now_s: float) -> None:
        """Go on from what a predecessor's `state` told: IDs, mode, what was pointed at. Memories begin anew."""
        scene = self._scene
        scene.at(now_s)
        mode = restore(scene.table, document)
        if mode is not None and not (scene.rules.detector_masks and mode.remembers):
            scene.mode = mode

    def to_dict(self) -> dict[str, Any]:
        """Counts for /health."""
        objects = self._scene.table.objects.values()
        return {
            "mode": self.mode,
            "objects": len(objects),
            "remembered": sum(held.remembers for held in objects),
            "lost": sum(held.lost_since_s is not None for held in objects),
            "protected": sorted(held.object_id for held in objects if held.protected),
            "requests": asdict(self.requests),
            "grid_sweeps": self._sweep.sweeps,
            "grid_surplus": self.surplus,
            "events_lost": self.events.overflow,
        }

    @property
    def _frame_waits(self) -> bool:
        """Whether there is a frame that was not segmented yet, and anybody to do it."""
        return self._scene.segments and self._newest_seq() > self._planned_seq

    def _newest_seq(self) -> int:
        return self._scene.latest[1].frame_seq if self._scene.latest is not None else -1

    def _wishes(self) -> list[Wish]:
        return wishes(self._scene.table, remember=self._scene.mode.remembers) if self._frame_waits else []

    def _take_forgets(self) -> tuple[int, ...]:
        table = self._scene.table
        forget, table.forgets = tuple(table.forgets), {}
        return forget

    def _take_off(self, job: KeyframeJob) -> None:
        """The job is under way: note how things stand on its frame."""
        scene = self._scene
        assert scene.latest is not None and scene.size_wh is not None
        tracks, table = scene.latest[0], scene.table
        then = tuple(
            TrackThen(int(track_id), table.identities.of(int(track_id)), int(class_id), box_xyxy.copy())
            for track_id, class_id, box_xyxy in zip(
                tracks.track_ids, tracks.class_ids, tracks.boxes_xyxy, strict=True
            )
            if track_id > 0
        )
        boxes = {track.object_id: track.box_xyxy for track in then}
        self._flights[job.frame_seq] = Flight(job, self._record_s, scene.size_wh, then, boxes)
        self.requests.planned += len(job.requests)
        self._planned_seq, self._planned_s = job.frame_seq, scene.table.now_s
