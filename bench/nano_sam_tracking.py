"""How well the embedded segmenter follows people of rendered scenes, through the engine's own classes and graphs.

The tracking part of `bench.nano_sam`. A *take* is 150 frames of a fixed camera that begin where somebody stands free
and later is hidden, by a thing or by somebody else, and comes back. Everybody who stands free in the first frame gets
one box there, the exact one, and is followed by memory, all at once. Masks are made pixels as the engine's outputs make
them and compared with the exact ones. *Anew* gives every frame its exact box and no memory.

On DAVIS the first frame's boxes of the annotation are given: things that the model was never shown, in real pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.evaluation.annotations import read_objects
from engine.evaluation.measures import contour_accuracy, jaccard
from engine.models.sam2 import Segmenter, SegmenterOptions
from engine.models.sam2_grids import grid_of
from engine.models.sam2_step import Action, Ask, step
from engine.outputs.masks import full_size
from engine.sources.scene_render import SceneRenderer, Shot
from engine.types import F32, U8, Bools, FrameMeta, FrameNv12, Masks, Prompt, nv12_geometry
from ptz.simulator.scenes import SCENES
from ptz.simulator.truth import Truth, truth
from ptz.simulator.world import World
from ptz.types import View
from tools.frames import read_frames

FRAMES, FPS, WIDTH, HEIGHT = 150, 20, 640, 360
PLACES = (
    ("court", "overview"),
    ("court", "ptz"),
    ("plaza", "overview"),
    ("occlude_2s", ""),
    ("cross_two", ""),
)
"""Scene and camera, "" its first one."""
TAKES_EACH = 2
LEAST_TALL_PX, FREE, HIDDEN = 60, 0.9, 0.1
LEAST_PX = 60
"""Frames in which fewer pixels of somebody are to be seen are left out of the mean, those with none are *absent*."""
_LOOKED_AT_S = 0.25
_STARTS_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Take:
    """Where and when, and who is hidden for how long in it."""

    scene: str
    camera: str
    start_s: float
    person: int
    hidden_s: float

    def view(self) -> View:
        """Where the camera looks."""
        return _view(World(SCENES[self.scene]), self.camera)


@dataclass(frozen=True, slots=True)
class Followed:
    """One person of a take.

    iou, worst      mean overlap over the frames in which enough is to be seen, and over the tenth that is worst
    after           the same from the first frame on after having been hidden; NaN where that never was
    anew            mean overlap from each frame's exact box
    absent          share of the frames without a pixel of the person of which there was no mask; NaN without such
    hidden_frames   how many those are
    """

    take: Take
    person: int
    iou: float
    worst: float
    after: float
    anew: float
    absent: float
    hidden_frames: int


def takes(scene: str, camera: str, most: int = TAKES_EACH) -> list[Take]:
    """Those in which somebody is hidden for longest, at most three seconds, and is seen again; one for each person."""
    world = World(SCENES[scene])
    mount, view = world.mount(camera or world.scene.heads[0].name), _view(world, camera)
    lasts_s = FRAMES / FPS
    found: dict[int, Take] = {}
    moments = np.arange(0, world.scene.duration_s, _LOOKED_AT_S)
    seen = [truth(world, mount, view, float(time_s)) for time_s in moments]
    count, span = int(lasts_s / _LOOKED_AT_S), int(_STARTS_EVERY_S / _LOOKED_AT_S)
    for start in range(0, len(moments) - count, span):
        for at, person in enumerate(seen[start].ids):
            shares = [_share(each, int(person)) for each in seen[start : start + count]]
            hidden = np.array(shares) <= HIDDEN
            tall = float(np.diff(seen[start].visible_boxes_xyxy[at, [1, 3]])[0])
            # Seen in its last second as well, and free in the first moment.
            if shares[0] < FREE or tall < LEAST_TALL_PX or not hidden.any() or max(shares[-4:]) < FREE:
                continue
            hidden_s = float(hidden.sum()) * _LOOKED_AT_S
            if hidden_s <= 3.0 and hidden_s > getattr(found.get(int(person)), "hidden_s", 0.0):
                found[int(person)] = Take(scene, camera, float(moments[start]), int(person), hidden_s)
    return sorted(found.values(), key=lambda take: (-take.hidden_s, take.person))[:most]


def _share(seen: Truth, person: int) -> float:
    """Visible share of somebody, 0 for who is not there."""
    at = np.flatnonzero(seen.ids == person)
    return float(seen.visibility[at[0]]) if len(at) else 0.0


def _view(world: World, camera: str) -> View:
    mount = world.mount(camera or world.scene.heads[0].name)
    return View(WIDTH, HEIGHT, mount.pan_deg, mount.tilt_deg, mount.hfov_wide_deg)


def shots(take: Take, frames: int = FRAMES) -> Iterator[tuple[FrameNv12, U8]]:
    """Frames of a take and who is seen at each pixel; each frame is memory of its own."""
    world = World(SCENES[take.scene])
    renderer = SceneRenderer(world, world.mount(take.camera or world.scene.heads[0].name))
    view = take.view()
    stride, offset_uv, slot_bytes = nv12_geometry(WIDTH, HEIGHT)
    for number in range(frames):
        pts_ns = int(number / FPS * 1e9)
        meta = FrameMeta(0, number, pts_ns, WIDTH, HEIGHT, stride, stride, offset_uv)
        frame = FrameNv12.view(meta, np.zeros(slot_bytes, np.uint8))
        ids = np.zeros((HEIGHT, WIDTH), np.uint8)
        renderer.draw(Shot(view, take.start_s + number / FPS, number), frame.y, frame.uv, ids)
        yield frame, ids


def follow(segmenter: Segmenter, take: Take) -> list[Followed]:
    """Everybody who stands free in the first frame of a take."""
    bank = segmenter.new_bank(16)
    people: list[int] = []
    known: dict[int, list[tuple[int, float, bool]]] = {}
    anew: dict[int, list[float]] = {}
    for number, (frame, ids) in enumerate(shots(take)):
        people = free_people(take, ids) if number == 0 else people
        features = segmenter.encode([frame])
        boxed = [person for person in people if int((ids == person).sum()) >= LEAST_PX]
        asks = [_boxed(person, ids, Action.START) if number == 0 else _by_memory(person) for person in people]
        found = step(segmenter, bank, features, asks).predictions.low_res_masks
        for person, logits in zip(people, found, strict=True):
            mask, wanted = pixels(logits), ids == person
            known.setdefault(person, []).append((int(wanted.sum()), jaccard(mask, wanted), bool(mask.any())))
        asks = [_boxed(person, ids, Action.NONE) for person in boxed]
        found = step(segmenter, bank, features, asks).predictions.low_res_masks
        for person, logits in zip(boxed, found, strict=True):
            anew.setdefault(person, []).append(jaccard(pixels(logits), ids == person))
    return [_judged(take, person, known[person], anew[person]) for person in people]


def free_people(take: Take, ids: U8) -> list[int]:
    """Who stands free and tall enough in the first frame."""
    world = World(SCENES[take.scene])
    seen = truth(world, world.mount(take.camera or world.scene.heads[0].name), take.view(), take.start_s)
    return [
        int(person)
        for person, share, box in zip(seen.ids, seen.visibility, seen.visible_boxes_xyxy, strict=True)
        if share >= FREE and box[3] - box[1] >= LEAST_TALL_PX and (ids == person).any()
    ]


def _boxed(person: int, ids: U8, action: Action) -> Ask:
    return Ask(("", person), action, Prompt.of_box(tight_box(ids == person)))


def _by_memory(person: int) -> Ask:
    return Ask(("", person), Action.GO_ON)


def _judged(
    take: Take, person: int, frames: Sequence[tuple[int, float, bool]], anew: Sequence[float]
) -> Followed:
    later = frames[1:]
    counted = [overlap for count, overlap, _ in later if count >= LEAST_PX]
    empty = [not said for count, _, said in later if count == 0]
    hidden_at = [at for at, (count, _, _) in enumerate(later) if count < LEAST_PX]
    after = [overlap for count, overlap, _ in later[hidden_at[0] :] if count >= LEAST_PX] if hidden_at else []
    tenth = sorted(counted)[: max(1, len(counted) // 10)]
    return Followed(
        take, person, _mean(counted), _mean(tenth), _mean(after), _mean(anew), _mean(empty), len(empty)
    )  # fmt: skip


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def pixels(logits: F32, width: int = WIDTH, height: int = HEIGHT) -> Bools:
    """bool (height, width): a mask as the engine's outputs show it."""
    grid, rect_xyxy = grid_of(logits, (width, height))
    return full_size(Masks.of_grids(rect_xyxy[None], [grid]), 0, width, height)


def tight_box(mask: Bools) -> F32:
    """The box of what is set, right and bottom exclusive."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


@dataclass(frozen=True, slots=True)
class OnDavis:
    """An object of a DAVIS sequence, followed from the box of its first frame: overlap J and contour accuracy F."""

    sequence: str
    object_id: int
    overlap: float
    contour: float


def on_davis(segmenter: Segmenter, data: Path) -> list[OnDavis]:
    """All objects of the sequences in the data folder; the first and the last frame do not count, as DAVIS has it."""
    found = []
    for folder in sorted(path for path in (data / "davis").iterdir() if (path / "ann").is_dir()):
        files = sorted((folder / "ann").glob("*.png"))
        objects = [read_objects(file) for file in files]
        bank = segmenter.new_bank(32)
        overlaps: dict[int, list[float]] = {}
        contours: dict[int, list[float]] = {}
        ids = [int(each) for each in np.unique(objects[0]) if each]
        for number, frame in enumerate(read_frames([str(folder / "img")], len(files))):
            truths = [objects[number] == each for each in ids]
            features = segmenter.encode([frame])
            asks = [
                Ask(("", each), Action.START, Prompt.of_box(tight_box(wanted))) if number == 0
                else Ask(("", each), Action.GO_ON)
                for each, wanted in zip(ids, truths, strict=True)
            ]  # fmt: skip
            predictions = step(segmenter, bank, features, asks).predictions
            height, width = objects[number].shape
            for row, (each, wanted) in enumerate(zip(ids, truths, strict=True)):
                mask = pixels(predictions.low_res_masks[row], width, height)
                overlaps.setdefault(each, []).append(jaccard(mask, wanted))
                contours.setdefault(each, []).append(contour_accuracy(mask, wanted))
        for each in ids:
            middle = slice(1, -1)
            found.append(
                OnDavis(folder.name, each, _mean(overlaps[each][middle]), _mean(contours[each][middle]))
            )
    return found


def tracking(model: Path, places: Sequence[tuple[str, str]] = PLACES) -> list[Followed]:
    """Everybody of all takes."""
    segmenter = Segmenter.load(model, SegmenterOptions(threads=1))
    try:
        return [
            each
            for scene, camera in places
            for take in takes(scene, camera)
            for each in follow(segmenter, take)
        ]
    finally:
        segmenter.close()


def said(found: Sequence[Followed]) -> str:
    """The line that a goal is judged by: those who were hidden, from one box each."""
    hidden = [each for each in found if each.hidden_frames]
    mean, worst = _mean([each.iou for each in hidden]), min(each.iou for each in hidden)
    return (
        f"{mean:.2f} over {len(hidden)} people who are hidden meanwhile (least {worst:.2f}), "
        f"{_mean([each.iou for each in found]):.2f} over all {len(found)}"
    )
