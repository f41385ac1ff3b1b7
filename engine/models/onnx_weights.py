"""Weights of an ONNX file that are as good as nothing, made nothing: they cost a CPU more than all others.

Training with weight decay leaves channels that do nothing with weights of 10⁻²⁰ and less. They, or their products, are
subnormal numbers, which processors compute many times slower than others: the published OSNet x0.25 takes five times
as long because of them. Telling the processor to flush such numbers would do as well, but that holds for a whole
thread and whatever else is computed in it.

Walks the file's protocol buffer (onnx/onnx.proto: graph = 7, initializer = 5; dims = 1, data_type = 2,
float_data = 4, raw_data = 9, data_location = 14) and changes numbers in place, so that the package onnx is not
needed. What cannot be read is left alone: the runtime says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_NOTHING = 1e-15
"""A weight below this share of its tensor's largest is far below what rounding does to a sum with the others."""
_SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)
_GRAPH, _INITIALIZER = 7, 5
_DIMS, _DATA_TYPE, _FLOAT_DATA, _RAW_DATA, _LOCATION = 1, 2, 4, 9, 14
_FLOAT32 = 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_Span = tuple[int, int]


def without_tiny_weights(content: bytes) -> tuple[bytes, int]:
    """The file with the tiny weights of its matrices and filters set to zero, and how many these were.

    The very content that was given, and 0, where there are none, and where weights lie in other files.
    """
    changed = bytearray(content)
    count = 0
    try:
        for start, stop in _tensors(memoryview(content)):
            count += _clean(changed, start, stop)
    except (ValueError, IndexError):
        return content, 0
    return (bytes(changed), count) if count else (content, 0)


def _clean(content: bytearray, start: int, stop: int) -> int:
    """Set the tiny numbers between these bytes to zero; how many they were."""
    weights = np.frombuffer(content, "<f4", (stop - start) // 4, start)
    sizes = np.abs(weights)
    limit = max(_SMALLEST_NORMAL, _NOTHING * float(sizes.max(initial=0.0)))
    tiny = (sizes < limit) & (weights != 0)
    weights[tiny] = 0
    return int(np.count_nonzero(tiny))


def _tensors(content: memoryview) -> Iterator[_Span]:
    """Where the numbers of every float32 initialiser with two axes or more begin and end."""
    for graph in _fields(content, (0, len(content)), _GRAPH):
        for tensor in _fields(content, graph, _INITIALIZER):
            axes, kind, numbers = 0, 0, None
            for field, span, value in _walk(content, tensor):
                if field == _DIMS:
                    axes += 1 if span is None else _varints(content, span)
                elif field == _DATA_TYPE:
                    kind = value
                elif field == _LOCATION and value:
                    # Other files are found by the path of this one, which a copy in memory does not have.
                    raise ValueError("weights in other files")
                elif field in (_FLOAT_DATA, _RAW_DATA) and span is not None and span[1] > span[0]:
                    numbers = span
            if kind == _FLOAT32 and axes >= 2 and numbers is not None and (numbers[1] - numbers[0]) % 4 == 0:
                yield numbers


def _fields(content: memoryview, span: _Span, wanted: int) -> Iterator[_Span]:
    for field, inner, _ in _walk(content, span):
        if field == wanted and inner is not None:
            yield inner


def _walk(content: memoryview, span: _Span) -> Iterator[tuple[int, _Span | None, int]]:
    """Field number, the bytes of the value (None for numbers), and the value of a varint."""
    at, end = span
    while at < end:
        key, at = _varint(content, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(content, at)
            yield key >> 3, None, value
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        elif kind == _BYTES:
            length, at = _varint(content, at)
            if at + length > end:
                raise ValueError("cut short")
            yield key >> 3, (at, at + length), 0
            at += length
        else:
            raise ValueError(f"wire type {kind}")


def _varints(content: memoryview, span: _Span) -> int:
    """How many varints are packed between these bytes: one for each byte without its highest bit."""
    return sum(byte < 128 for byte in content[span[0] : span[1]])


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
