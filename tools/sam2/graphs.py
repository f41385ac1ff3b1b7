"""SAM 2 as four graphs without state: image encoder, memory attention, mask decoder, memory encoder.

Each class takes the built model of Meta's `sam2` package and computes what its video predictor computes, for rows
of objects of several frames at once: F frames, N rows, `frame_index` says whose frame a row belongs to. The bank of
M memories and P pointers per row comes in as plain arrays with a validity each; nothing is kept in between. S is the
picture's side, r = S/16, L = r·r tokens in a memory.

Everything is written so that it exports without complex numbers, scattering and control flow, in standard ONNX. What
differs from the package is algebra and order of work; each module says what, docs/sam2_graphs.md what it gains.

Source: Ravi et al., "SAM 2: Segment Anything in Images and Videos", arXiv 2408.00714;
github.com/facebookresearch/sam2.
"""

from tools.sam2.graph_decoder import NO_OBJECT_SCORE, MaskDecoder
from tools.sam2.graph_encoder import ImageEncoder
from tools.sam2.graph_memory import MemoryAttention, MemoryEncoder, PointerAge, rotary_tables, rotate
from tools.sam2.graph_parts import Tensor

__all__ = [
    "NO_OBJECT_SCORE",
    "ImageEncoder",
    "MaskDecoder",
    "MemoryAttention",
    "MemoryEncoder",
    "PointerAge",
    "Tensor",
    "rotary_tables",
    "rotate",
]
