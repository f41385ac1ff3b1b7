"""A result drawn on the NV12 planes of its frame, in place: masks, trails, boxes, labels, zones, a status line.

Brightness is drawn on the Y plane at full size, colour on the UV plane at half size, so nothing is converted to RGB
and back. Works for any frame size: line width and letters follow the height, what reaches over the border is cut off.
What was before this frame lies in an `OverlayMemory` that the caller owns. Does not know where planes come from or
where they go.
"""

from __future__ import annotations

from engine.outputs.base import FrameResult
from engine.outputs.overlay_masks import dim_surroundings, draw_masks, draw_outlines, pixelate
from engine.outputs.overlay_regions import Tally, draw_regions
from engine.outputs.overlay_shapes import (
    draw_box,
    draw_corners,
    draw_dashed_box,
    draw_dot,
    draw_label,
    strip_size,
    write_text,
)
from engine.outputs.overlay_style import OverlayStyle, style_for
from engine.outputs.overlay_trails import Trails, draw_trails
from engine.types import U8, Tracks, TrackState

__all__ = ["OverlayMemory", "OverlayStyle", "draw_result", "status_text", "style_for"]

_PERSONS = frozenset({"person", "people", "pedestrian", "man", "woman", "child", "face", "head"})
_HIDDEN_FOR_S = 1.0
"""How long a person that is not found any more stays hidden where it was last."""


class OverlayMemory:
    """What the overlay knows of one camera from the frames before: trails, counts at zones and lines, who was there.

    known  whether a zone that nothing was said of is empty; not so where somebody goes on with another's video
    """

    def __init__(self, known: bool = True) -> None:
        self.tally = Tally(known)
        self.trails = Trails()
        self._last_seq = 0
        self._persons: dict[int, tuple[float, list[float]]] = {}

    def take(self, result: FrameResult) -> None:
        """Remember a result, in order; the same one twice counts once.

        `draw_result` does so by itself. Call it for results that are not drawn, too.
        """
        meta = result.meta
        if meta.frame_seq == self._last_seq:
            return
        self._last_seq = meta.frame_seq
        self.tally.add(result.events)
        self.trails.take(meta, result.tracks)
        self._remember_persons(result)

    def _remember_persons(self, result: FrameResult) -> None:
        now_s, boxes = result.meta.time_s, result.tracks.boxes_xyxy.tolist()
        for index in persons_of(result):
            if track_id := int(result.tracks.track_ids[index]):
                self._persons[track_id] = now_s, self._box_in(boxes[index], to_scene=True)
        for track_id, (seen_s, _) in list(self._persons.items()):
            if not now_s - _HIDDEN_FOR_S <= seen_s <= now_s:
                del self._persons[track_id]

    def _box_in(self, box_xyxy: list[float], *, to_scene: bool) -> list[float]:
        scene = self.trails.scene
        (x, y), scale = scene.offset_xy.tolist(), scene.scale
        if to_scene:
            return [(edge - start) / scale for edge, start in zip(box_xyxy, (x, y, x, y), strict=True)]
        return [edge * scale + start for edge, start in zip(box_xyxy, (x, y, x, y), strict=True)]

    def lost_persons(self, tracks: Tracks) -> list[list[float]]:
        """Boxes of persons that were there a moment ago and are not among these objects."""
        present = set(tracks.track_ids.tolist())
        return [
            self._box_in(box, to_scene=False)
            for track_id, (_, box) in self._persons.items()
            if track_id not in present
        ]


def draw_result(
    y: U8, uv: U8, result: FrameResult, style: OverlayStyle, memory: OverlayMemory | None = None
) -> None:
    """Draw a result on its frame, in place: what the style asks for, in the order in which it has to lie.

    y       uint8 (height, width), rows may be strided
    uv      uint8 (⌈height/2⌉, ⌈width/2⌉, 2): Cb, Cr
    memory  the camera's, owned by the caller; None for a single picture, which has no past
    """
    look = style.look
    memory = OverlayMemory() if memory is None else memory
    memory.take(result)
    if look.hide:
        boxes = result.tracks.boxes_xyxy.tolist()
        hidden = [boxes[index] for index in persons_of(result)]
        pixelate(y, uv, hidden + memory.lost_persons(result.tracks))
    if look.dim:
        dim_surroundings(y, uv, result.tracks)
    if look.regions:
        draw_regions(y, uv, result, style, memory.tally)
    if look.fill:
        draw_masks(y, uv, result.tracks, style)
    if look.trails:
        draw_trails(y, uv, memory.trails, style)
    _draw_objects(y, uv, result, style)
    if look.status:
        draw_status(y, uv, status_text(result), style)


def _draw_objects(y: U8, uv: U8, result: FrameResult, style: OverlayStyle) -> None:
    tracks = result.tracks
    boxes_xyxy = tracks.boxes_xyxy.round().astype(int).tolist()
    track_ids = tracks.track_ids.tolist()
    _draw_borders(y, uv, tracks, boxes_xyxy, style)
    if style.look.dots:
        for (left, _, right, bottom), track_id in zip(boxes_xyxy, track_ids, strict=True):
            draw_dot(y, uv, ((left + right) // 2, bottom), style.colour_of(track_id), 2 * style.line_px)
    if style.look.label == "none":
        return
    # Labels come after all boxes, so that no box runs through a label.
    for box, track_id, class_id, score in zip(
        boxes_xyxy, track_ids, tracks.class_ids.tolist(), tracks.scores.tolist(), strict=True
    ):
        if track_id:
            full = style.look.label == "full"
            text = f"{result.label_of(class_id)} {track_id} {score:.2f}" if full else str(track_id)
            draw_label(y, uv, box, text, style.colour_of(track_id), style)


def _draw_borders(y: U8, uv: U8, tracks: Tracks, boxes_xyxy: list[list[int]], style: OverlayStyle) -> None:
    border = style.look.border
    if border == "none":
        return
    outlined = draw_outlines(y, uv, tracks, style) if border == "outline" else set()
    coasting = (tracks.states == TrackState.COASTING).tolist()
    for index, (box, track_id) in enumerate(zip(boxes_xyxy, tracks.track_ids.tolist(), strict=True)):
        colour = style.colour_of(track_id)
        line_px = style.line_px if track_id else style.thin_px
        if index in outlined:
            continue
        if coasting[index]:
            draw_dashed_box(y, uv, box, colour, style)
        elif border == "corners":
            draw_corners(y, uv, box, colour, line_px)
        else:
            draw_box(y, uv, box, colour, line_px)


def persons_of(result: FrameResult) -> list[int]:
    """Places of the objects that may be persons: by their class; all of them where the model knows no such class."""
    persons = {index for index, label in enumerate(result.labels) if label.lower() in _PERSONS}
    classes = result.tracks.class_ids.tolist()
    # What somebody pointed at has no class and may be anybody.
    return [index for index, each in enumerate(classes) if not persons or each in persons or each < 0]


def status_text(result: FrameResult) -> str:
    """The status line of a frame: camera, frame number, where it looks, time since capture and in each stage."""
    parts = [result.camera, f"frame {result.meta.index}"]
    if (pose := result.meta.pose) is not None:
        parts.append(f"pan {pose.pan_deg:.1f} tilt {pose.tilt_deg:.1f} fov {pose.hfov_deg:.1f}")
    spans_ms = result.latency_ms()
    total_ms = spans_ms.pop("total")
    if total_ms is not None:
        stages = " ".join(f"{stage} {span:.0f}" for stage, span in spans_ms.items() if span is not None)
        parts.append(f"{total_ms:.0f} ms" + (f" ({stages})" if stages else ""))
    return "  ".join(parts)


def draw_status(y: U8, uv: U8, text: str, style: OverlayStyle) -> None:
    """Write light text on a dark strip in the lower left corner."""
    _, height = strip_size(text, style)
    write_text(y, uv, (0, max(0, y.shape[0] - height)), text, (style.paper, style.ink), style)
