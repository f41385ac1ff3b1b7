"""Implementations found by name: a new source, head, tracker or output is one new file and no edit elsewhere.

And those of somebody else's, found by where they are: `package.module:Name` or `path/to/file.py:Name`.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from engine.errors import ConfigError


def import_siblings(package: str) -> None:
    """Import every module of `package`, so that its classes have registered themselves."""
    module = importlib.import_module(package)
    for info in pkgutil.iter_modules(module.__path__):
        importlib.import_module(f"{package}.{info.name}")


def nearest(name: str, known: Iterable[str]) -> str:
    """A ` (did you mean 'x'?)` hint for error messages, empty when nothing is near."""
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {matches[0]!r}?)" if matches else ""


def is_reference(name: str) -> bool:
    """Whether a name says where something is, instead of how it is registered."""
    return ":" in name


def load_reference(reference: str) -> object:
    """What `package.module:Name` or `path/to/file.py:Name` stands for; runs the module's code.

    A relative path starts at the working directory. Raises `ConfigError`.
    """
    place, _, name = reference.rpartition(":")
    try:
        module = _module_of_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except (ImportError, SyntaxError, OSError) as error:
        raise ConfigError(
            f"{reference!r} cannot be loaded: {error} (looked from {os.getcwd()}); write path/to/file.py:Name, or "
            "package.module:Name of a package that is installed"
        ) from error
    try:
        found: object = getattr(module, name)
    except AttributeError:
        raise ConfigError(f"{reference!r}: {place} has no {name}{nearest(name, vars(module))}") from None
    return found


def _module_of_file(path: Path) -> ModuleType:
    """The module in a file, run once in a process."""
    path = path.expanduser().resolve(strict=True)
    name = f"camring_loaded.{path}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None, "a path that ends in .py"
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[name] = module
    return sys.modules[name]
