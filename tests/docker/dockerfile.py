"""A Dockerfile as its instructions: enough of the format for ours, and an error for anything else.

https://docs.docker.com/reference/dockerfile/: continuation lines, comments, flags, variables of ARG and ENV.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_FLAG = re.compile(r"--([a-z]+)=(\S+)\s+")
_PAIR = re.compile(r'(\w[\w.]*)=("(?:[^"\\]|\\.)*"|\S*)')


@dataclass(frozen=True, slots=True)
class Instruction:
    """`keyword` in capitals, `value` without its flags, which are pairs of name and value."""

    line: int
    keyword: str
    value: str
    flags: tuple[tuple[str, str], ...]

    def words(self) -> list[str]:
        """The value of a command or list: of its JSON form, or split at blanks."""
        found: list[str] = json.loads(self.value) if self.value.startswith("[") else self.value.split()
        return found

    def pairs(self) -> dict[str, str]:
        """The value of ARG, ENV or LABEL."""
        return {name: value.strip('"') for name, value in _PAIR.findall(self.value)}


@dataclass(frozen=True, slots=True)
class Stage:
    """`base` as it is written; `name` empty where it has none."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]

    def all(self, keyword: str) -> list[Instruction]:
        """Every instruction of a keyword."""
        return [each for each in self.instructions if each.keyword == keyword]


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """`arguments`: those before the first stage, with their defaults."""

    arguments: Mapping[str, str]
    stages: tuple[Stage, ...]

    def stage(self, name: str) -> Stage:
        """The stage of a name."""
        return next(each for each in self.stages if each.name == name)


def read(path: Path) -> Dockerfile:
    """Parse a file."""
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    instructions: list[Instruction] = []
    for each in _instructions(path.read_text()):
        if each.keyword == "FROM":
            _close(stages, instructions)
            base, _, name = each.value.partition(" AS ")
            stages.append(Stage(name.strip(), base.strip(), ()))
        elif stages:
            instructions.append(each)
        else:
            arguments |= each.pairs()
    _close(stages, instructions)
    return Dockerfile(arguments, tuple(stages))


def substituted(text: str, variables: Mapping[str, str]) -> str:
    """`$NAME` and `${NAME}` replaced; what is not known becomes empty, as docker has it."""
    return _VARIABLE.sub(lambda match: variables.get(match[1] or match[2], ""), text)


def _close(stages: list[Stage], instructions: list[Instruction]) -> None:
    if stages:
        stages[-1] = Stage(stages[-1].name, stages[-1].base, tuple(instructions))
    instructions.clear()


def _instructions(text: str) -> Iterator[Instruction]:
    pending, began = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        began = began or number
        pending += line.strip().removesuffix("\\").rstrip() + " "
        if not line.rstrip().endswith("\\"):
            yield _instruction(began, pending.strip())
            pending, began = "", 0
    assert not pending, "the last line goes on nowhere"


def _instruction(line: int, text: str) -> Instruction:
    keyword, _, rest = text.partition(" ")
    rest = rest.strip() + " "
    flags = []
    while (match := _FLAG.match(rest)) is not None:
        flags.append((match[1], match[2]))
        rest = rest[match.end() :]
    return Instruction(line, keyword.upper(), rest.strip(), tuple(flags))
