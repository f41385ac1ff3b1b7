"""How a command of the documents is tried without doing it: by the real parser, loader, `make` and route table.

What a command names and a stranger would have (clips, weights, a cameras file, passwords in the environment) is put
into a folder first. What cannot be tried here is in `NOT_HERE`, with the reason.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engine import cli
from tests.docs.reading import ROOT

NOT_HERE = {
    "apt-get": "changes the system",
    "aws": "needs an account",
    "brew": "is for a Mac",
    "cd": "is the shell's",
    "cp": "changes the system",
    "docker": "no container engine here; tests/docker checks the files, and what they name is looked for",
    "docker/build_image.sh": "no container engine here; tests/docker checks it",
    "docker/run_gpu_test.sh": "no container engine and no GPU here; tests/docker checks it",
    "docker/run_local.sh": "no container engine here; tests/docker checks it",
    "ffplay": "opens a window; tests/publish and tests/e2e play the same addresses with ffprobe",
    "git": "fetches from elsewhere",
    "gst-launch-1.0": "Debian has no `whepsrc`",
    "install": "changes the system",
    "journalctl": "needs systemd",
    "mosquitto_sub": "listens for ever; tests/bus listen to real brokers",
    "nats": "listens for ever; tests/bus listen to real brokers",
    "nvidia-smi": "needs a GPU",
    "openapi-python-client": "done by tests/control/test_generated_client.py",
    "redis-cli": "listens for ever; tests/bus listen to real brokers",
    "rsync": "needs another machine",
    "ssh": "needs another machine",
    "sudo": "changes the system",
    "systemctl": "needs systemd",
    "vlc": "opens a window",
}
"""Programs that no test runs, and why."""

FILES = (".mp4", ".onnx", ".jpg", ".png", ".pt", ".pth", ".jsonl", ".mkv")
CAMERAS = """
[[camera]]
name = "gate"
source = "test://?width=640&height=360"
"""


class Parsed(BaseException):
    """A command line was read to its end and found right."""


def without_dots(words: list[str]) -> list[str]:
    """`…` in a document: nothing, or a host or password of the reader's."""
    return [word.replace("…", "camera/stream") for word in words if word != "…"]


def furnish(folder: Path, words: list[str]) -> None:
    """Put down what the words name, empty, and a cameras file."""
    (folder / "cameras.toml").write_text(CAMERAS)
    for word in words:
        name = word.partition("=")[2] if re.match(r"\w+=[^&?]*$", word) else word
        path = folder / name
        if "://" in name or name.startswith(("-", "/", "~")):
            continue
        if name.endswith(FILES):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        elif name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)


def variables(words: list[str]) -> dict[str, str]:
    """A value for each `${NAME}`."""
    return {name: "a-secret-of-the-reader" for word in words for name in re.findall(r"\$\{(\w+)\}", word)}


def assignments(words: list[str]) -> dict[str, str]:
    """`NAME=value` before the program."""
    before = itertools.takewhile(lambda word: re.match(r"\w+=", word), words)
    return dict((word.partition("=")[0], word.partition("=")[2]) for word in before)


@contextmanager
def parsing_only(words: list[str]) -> Iterator[None]:
    """Within, every parser reads `words` and then stops the program that has asked it."""
    parse, argv = argparse.ArgumentParser.parse_args, sys.argv

    def read(self: argparse.ArgumentParser, *args: Any, **keywords: Any) -> Any:
        parse(self, *args, **keywords)
        raise Parsed

    setattr(argparse.ArgumentParser, "parse_args", read)  # noqa: B010 - mypy lets no method be assigned to
    sys.argv = words
    try:
        yield
    finally:
        setattr(argparse.ArgumentParser, "parse_args", parse)  # noqa: B010 - as above
        sys.argv = argv


def is_parsed(words: list[str], run: Callable[[], object]) -> None:
    """The program reads its command line to the end. `SystemExit` where it does not."""
    try:
        with parsing_only(words):
            run()
    except Parsed:
        return
    except SystemExit as end:
        if end.code == 0:
            return  # --help
        raise AssertionError(f"refused: {shlex.join(words)}") from end
    raise AssertionError(f"nothing has read {shlex.join(words)}")


def project() -> dict[str, Any]:
    """What `pyproject.toml` says of the package."""
    described: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return described


def try_engine_run(words: list[str], folder: Path) -> None:
    """`engine-run` loads its whole configuration; a new token is really made."""
    more = [] if {"--new-token", "--help", "--version"} & set(words) else ["--print-config"]
    status = cli.main([*words[1:], *more])
    assert status == 0, f"exit status {status}: {shlex.join(words)}"


def try_program(words: list[str], folder: Path) -> None:
    """One of the other commands that are installed."""
    module, _, name = project()["scripts"][words[0]].partition(":")
    is_parsed(words, getattr(importlib.import_module(module), name))


def try_python(words: list[str], folder: Path) -> None:
    """A tool, an example, or a module that is run."""
    if words[1] == "-m" and words[2] in ("venv", "pip", "hatchling"):
        return
    if words[1] == "-m":
        name = words[2]
        is_package = (ROOT / name.replace(".", "/") / "__main__.py").is_file()
        is_parsed(words[2:], importlib.import_module(f"{name}.__main__" if is_package else name).main)
        return
    script = ROOT / words[1]
    assert script.is_file(), f"there is no {words[1]}"
    if "argparse" in script.read_text() or script.parent.name == "tools":
        is_parsed(words[1:], lambda: runpy.run_path(str(script), run_name="__main__"))


def try_make(words: list[str], folder: Path) -> None:
    """`make` knows the target; an engine that it would start loads its configuration."""
    done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        if "/engine-run " in line:
            started = ["engine-run", *shlex.split(line)[1:]]
            furnish(folder, started)
            try_engine_run(started, folder)


def try_pip(words: list[str], folder: Path) -> None:
    """Extras and files of requirements that are named are there."""
    extras = project()["optional-dependencies"]
    for before, word in itertools.pairwise(words):
        if named := re.fullmatch(r"(?:\.|camring|\S*\.whl)\[([\w,-]+)\]", word):
            assert set(named[1].split(",")) <= set(extras), word
        if before in ("-r", "-c"):
            assert (ROOT / word).is_file(), word


def try_elsewhere(words: list[str], folder: Path) -> None:
    """What cannot be run here: files of this repository that it names are there."""
    for word in words:
        if re.match(r"(\./)?(docker|configs|tools|examples)/", word):
            assert (ROOT / word).exists(), f"there is no {word}"


def try_curl(words: list[str], folder: Path) -> None:
    """The body is JSON; `test_curl.py` sends it."""
    for before, word in itertools.pairwise(words):
        if before in ("-d", "--data"):
            json.loads(word)
    assert urls_of(words) or "--unix-socket" in words, words


def urls_of(words: list[str]) -> list[str]:
    """What curl is to ask for."""
    return [
        word for word in words[1:] if re.match(r"(https?://)?(localhost|127\.0\.0\.1|[\w.-]+):?\d*/", word)
    ]


def path_of(url: str) -> str:
    """Path and query of an address, which may lack its scheme."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    return parts.path + (f"?{parts.query}" if parts.query else "")


def try_step(words: list[str], folder: Path) -> None:
    """Find out whether one simple command is right. Raises `AssertionError`."""
    words = without_dots(words)[len(assignments(words)) :]
    program = words[0].removeprefix(".venv/bin/").removeprefix("./")
    words[0] = program
    furnish(folder, words)
    if program in NOT_HERE:
        try_elsewhere(words, folder)
        return
    ways = {
        "engine-run": try_engine_run, "python": try_python, "python3": try_python, "make": try_make,
        "pip": try_pip, "curl": try_curl,
    }  # fmt: skip
    way = ways.get(program, try_program if program.startswith("engine-") else None)
    assert way is not None, f"{program}: no way to try it; add one, or a reason to NOT_HERE"
    way(words, folder)


def has_make() -> bool:
    """Whether `make` is there."""
    return shutil.which("make") is not None
