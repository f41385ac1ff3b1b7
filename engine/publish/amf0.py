"""Values as RTMP commands carry them: Action Message Format 0 (Adobe, amf0-file-format-specification).

Numbers, booleans, texts, None, dictionaries, and lists in what is read.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from engine.errors import PublishError

Value = float | bool | str | None | Mapping[str, "Value"] | list["Value"]

_NUMBER, _BOOLEAN, _STRING, _OBJECT, _NULL, _UNDEFINED, _ECMA_ARRAY, _OBJECT_END, _STRICT_ARRAY, _DATE, _LONG = (
    0, 1, 2, 3, 5, 6, 8, 9, 10, 11, 12,
)  # fmt: skip


def encode(*values: Value) -> bytes:
    """Values one after the other."""
    return b"".join(_encoded(value) for value in values)


def _encoded(value: Value) -> bytes:
    if value is None:
        return bytes((_NULL,))
    if isinstance(value, bool):
        return bytes((_BOOLEAN, value))
    if isinstance(value, int | float):
        return struct.pack(">Bd", _NUMBER, value)
    if isinstance(value, str):
        return bytes((_STRING,)) + _text(value)
    if isinstance(value, Mapping):
        entries = b"".join(_text(key) + _encoded(each) for key, each in value.items())
        return bytes((_OBJECT,)) + entries + bytes((0, 0, _OBJECT_END))
    raise TypeError(f"no way to send a {type(value).__name__}")


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def decode(data: bytes) -> list[Value]:
    """The values in a command. Raises `PublishError` for what is none."""
    reader = _Reader(data)
    values = []
    try:
        while reader.at < len(data):
            values.append(reader.value())
    except (struct.error, IndexError, RecursionError):
        raise PublishError("the server sent a command that cannot be read") from None
    return values


class _Reader:
    """A place in the data."""

    def __init__(self, data: bytes) -> None:
        self.at = 0
        self._data = data

    def value(self) -> Value:
        kind = self._data[self.at]
        self.at += 1
        if kind == _NUMBER:
            return float(self._unpack(">d"))
        if kind == _BOOLEAN:
            return bool(self._unpack(">B"))
        if kind in (_STRING, _LONG):
            return self._string(">H" if kind == _STRING else ">I")
        if kind in (_OBJECT, _ECMA_ARRAY):
            if kind == _ECMA_ARRAY:
                self._unpack(">I")
            return self._entries()
        if kind == _STRICT_ARRAY:
            return [self.value() for _ in range(min(self._unpack(">I"), len(self._data)))]
        if kind == _DATE:
            milliseconds = float(self._unpack(">d"))
            self._unpack(">h")
            return milliseconds
        if kind in (_NULL, _UNDEFINED):
            return None
        raise IndexError(kind)

    def _entries(self) -> dict[str, Value]:
        entries: dict[str, Value] = {}
        while True:
            key = self._string(">H")
            if not key and self._data[self.at] == _OBJECT_END:
                self.at += 1
                return entries
            entries[key] = self.value()

    def _string(self, layout: str) -> str:
        length = self._unpack(layout)
        text = self._data[self.at : self.at + length]
        self.at += length
        return text.decode(errors="replace")

    def _unpack(self, layout: str) -> int:
        (number,) = struct.unpack_from(layout, self._data, self.at)
        self.at += struct.calcsize(layout)
        return number  # type: ignore[no-any-return]  # struct knows no types
