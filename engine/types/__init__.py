"""The vocabulary: what travels between the parts. Imports numpy and nothing of ours.

Frames travel as NV12 planes in a pool slot with a `FrameMeta` in the slot's meta block; results travel as
arrays in a slot with a `ResultMeta`. Both meta blocks have a fixed little-endian layout of at most 256 bytes.
Readers get numpy views of the slot, never copies.
"""

from engine.types.arrays import F16, F32, I32, I64, U8, Bools
from engine.types.embeddings import Embeddings
from engine.types.events import EventKind, Events
from engine.types.frame import (
    ROW_ALIGNMENT_BYTES,
    ColourMatrix,
    FrameFlag,
    FrameMeta,
    FrameNv12,
    Surface,
    nv12_geometry,
)
from engine.types.masks import Masks, MaskSource
from engine.types.objects import Detections, Tracks, TrackState, Written
from engine.types.packet import Packet, PacketFlag, PacketMeta, Rendition
from engine.types.pose import PoseSample, PtzPose
from engine.types.prompts import Prompt
from engine.types.result import PictureShift, ResultMeta, Trace

__all__ = [
    "F16",
    "F32",
    "I32",
    "I64",
    "ROW_ALIGNMENT_BYTES",
    "U8",
    "Bools",
    "ColourMatrix",
    "Detections",
    "Embeddings",
    "EventKind",
    "Events",
    "FrameFlag",
    "FrameMeta",
    "FrameNv12",
    "MaskSource",
    "Masks",
    "Packet",
    "PacketFlag",
    "PacketMeta",
    "PictureShift",
    "PoseSample",
    "Prompt",
    "PtzPose",
    "Rendition",
    "ResultMeta",
    "Surface",
    "Trace",
    "TrackState",
    "Tracks",
    "Written",
    "nv12_geometry",
]
