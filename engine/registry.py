"""Implementations found by name: a new source, head, tracker or output is one new file and no edit elsewhere."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterable


def import_siblings(package: str) -> None:
    """Import every module of `package`, so that its classes have registered themselves."""
    module = importlib.import_module(package)
    for info in pkgutil.iter_modules(module.__path__):
        importlib.import_module(f"{package}.{info.name}")


def nearest(name: str, known: Iterable[str]) -> str:
    """A ` (did you mean 'x'?)` hint for error messages, empty when nothing is near."""
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {matches[0]!r}?)" if matches else ""
