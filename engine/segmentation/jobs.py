"""What the policy asks of a segmenter for one keyframe, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from engine.types import F32, Bools, MaskSource, Prompt


class Memory(StrEnum):
    """What a request does to the memory of its object."""

    NONE = "none"
    """Nothing is remembered: the mask comes from the prompt alone."""
    START = "start"
    """The prompt's mask is the object's first, or replaces its conditioning frame; what else was known is forgotten."""
    REFINE = "refine"
    """The prompt corrects the object on this frame: its mask becomes the conditioning frame, the rest is kept."""
    GO_ON = "go-on"
    """No prompt: the mask comes from the memory, which grows by this frame if the mask is sure enough."""
    LOOK = "look"
    """No prompt: the mask comes from the memory, and nothing is remembered. For objects that may have come back."""


@dataclass(frozen=True, slots=True)
class ObjectRequest:
    """One object of a keyframe. `source` is what its mask will be said to come from."""

    object_id: int
    memory: Memory
    source: MaskSource
    prompt: Prompt | None = None


@dataclass(frozen=True, slots=True)
class KeyframeJob:
    """What is to be segmented on one frame of one camera.

    forget     objects whose memories are given back before anything else
    freed      camera and ID of objects of any camera that had to give way since the last job: the same for them
    automatic  where to look for everything: points float32 (k, 2) in source pixels, each a prompt of its own
    """

    camera: str
    frame_seq: int
    requests: tuple[ObjectRequest, ...]
    forget: tuple[int, ...] = ()
    automatic_points_xy: F32 | None = None
    freed: tuple[tuple[str, int], ...] = ()

    def given_back(self) -> tuple[tuple[str, int], ...]:
        """Camera and ID of all memories to give back before anything else; some may have none."""
        return (*self.freed, *((self.camera, object_id) for object_id in self.forget))


@dataclass(frozen=True, slots=True)
class ObjectMask:
    """The answer to one request.

    grid          bool (rows, columns) over `rect_xyxy`, cut out around the object; no cells where it is not seen
    rect_xyxy     float32 (4,): the source rectangle that the grid covers
    confidence    predicted IoU, 0..1
    object_score  logit of the object being there at all; not above 0: it is occluded or gone
    pointer       float32 (C,): the segmenter's own description of the object, for finding it again
    remembered    whether the frame went into the memory; not where the mask was unsure
    failure       why there is no answer (the graph gave NaN, no room in the bank), "" for an answer
    """

    object_id: int
    source: MaskSource
    grid: Bools
    rect_xyxy: F32
    confidence: float
    object_score: float
    pointer: F32
    remembered: bool = False
    failure: str = ""


@dataclass(frozen=True, slots=True)
class KeyframeResult:
    """What became of a job.

    masks      one for each request, in its order; behind them, with id 0, what `automatic_points_xy` found
    evicted    objects that lost their memory because the bank was full, oldest unprotected first
    encode_s, objects_s   what the picture and what its objects took, for the budget
    """

    camera: str
    frame_seq: int
    masks: tuple[ObjectMask, ...]
    evicted: tuple[int, ...] = ()
    encode_s: float = 0.0
    objects_s: float = 0.0
    problems: tuple[str, ...] = field(default=())
