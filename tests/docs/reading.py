"""The commands, links and pictures of the documents, as data. Knows nothing of how they are tried."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = frozenset(
    {
        "engine-run", "engine-view", "engine-models", "engine-eval", "engine-ptz", "engine-segment",
        "python", "python3", "pip", "make", "curl",
        "apt-get", "aws", "brew", "cd", "cp", "docker", "docker/build_image.sh", "docker/run_gpu_test.sh",
        "docker/run_local.sh", "ffplay", "git", "gst-launch-1.0", "install", "journalctl", "mosquitto_sub", "nats",
        "nvidia-smi", "openapi-python-client", "redis-cli", "rsync", "ssh", "sudo", "systemctl", "vlc",
    }
)  # fmt: skip
"""What a command of the documents begins with. An unknown word in a block of commands fails a test."""
SHELLS = ("sh", "bash", "shell", "console")
SEPARATORS = ("&&", ";", "|", "&")


@dataclass(frozen=True)
class Command:
    """One command line: continued lines are joined, a remark at its end is still there."""

    file: str
    line: int
    text: str

    @property
    def place(self) -> str:
        """Where it stands, as in a message of a compiler."""
        return f"{self.file}:{self.line}"

    @property
    def steps(self) -> list[list[str]]:
        """The simple commands that it is made of, as words."""
        lexer = shlex.shlex(self.text, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        steps: list[list[str]] = [[]]
        for word in lexer:
            if word in SEPARATORS:
                steps.append([])
            else:
                steps[-1].append(word)
        return [step for step in steps if step]


@dataclass(frozen=True)
class Block:
    """Lines between two fences, or indented lines in a row; `language` is None where they are indented."""

    file: str
    line: int
    language: str | None
    lines: tuple[str, ...]


def documents() -> list[Path]:
    """README, CONTRIBUTING and every page of docs/; not what benchmarks have printed."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [page for page in pages if page.name != "benchmarks.md"]


@cache
def blocks(path: Path) -> tuple[Block, ...]:
    """Every block of code of a page."""
    file = str(path.relative_to(ROOT))
    found: list[Block] = []
    held: list[str] = []
    begun, language, indent = 0, "", ""
    fenced = False

    def end() -> None:
        if held:
            found.append(Block(file, begun, language if fenced else None, tuple(held)))
        held.clear()

    for number, line in enumerate(path.read_text().splitlines(), 1):
        fence = re.match(r"(\s*)```(\w*)", line)
        if fence:
            end()
            fenced, begun, indent, language = not fenced, number + 1, fence[1], fence[2]
        elif fenced:
            held.append(line.removeprefix(indent))
        elif line.startswith("    "):
            begun = begun if held else number
            held.append(line[4:])
        else:
            end()
    end()
    return tuple(found)


def is_of_commands(block: Block) -> bool:
    """Whether somebody is to type it: it says so, or its first word is a program's name."""
    if block.language in SHELLS:
        return True
    first = next((line for line in block.lines if line.strip() and not line.startswith("#")), "")
    return block.language in (None, "") and program_of(first) in PROGRAMS


def program_of(line: str) -> str:
    """The first word that is no assignment."""
    words = [word for word in line.split() if not re.match(r"\w+=", word)]
    return words[0].removeprefix(".venv/bin/").removeprefix("./") if words else ""


def commands_of(block: Block) -> Iterator[Command]:
    """The command lines of a block."""
    text, begun, quoted = "", 0, False
    for number, line in enumerate(block.lines, block.line):
        if not text and (not line.strip() or line.lstrip().startswith("#")):
            continue
        if not text and block.language == "" and program_of(line) not in PROGRAMS:
            continue  # what was printed
        begun = begun if text else number
        bare = re.sub(r"(^|\s)# .*$", "", line).rstrip()
        text += bare.removesuffix("\\") if bare.endswith("\\") else f"{bare}\n"
        quoted = text.count("'") % 2 == 1
        if not quoted and not bare.endswith("\\"):
            yield Command(block.file, begun, text.strip())
            text = ""
    assert not text, f"{block.file}:{begun}: the command does not end"


@cache
def commands() -> tuple[Command, ...]:
    """Every command line of the documents."""
    return tuple(
        command
        for path in documents()
        for block in blocks(path)
        if is_of_commands(block)
        for command in commands_of(block)
    )


def fences(language: str) -> list[Block]:
    """All blocks of a language."""
    return [block for path in documents() for block in blocks(path) if block.language == language]


@cache
def anchors(path: Path) -> frozenset[str]:
    """What a link into a page may name: its headings, as forges spell them."""
    inside = {number for block in blocks(path) for number in range(block.line, block.line + len(block.lines))}
    names: dict[str, int] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        heading = re.match(r"#+ (.+?)\s*$", line)
        if heading and number not in inside:
            bare = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading[1])
            name = re.sub(r"[^\w -]", "", bare.lower()).replace(" ", "-")
            seen = names.get(name, -1) + 1
            names[name] = seen
            if seen:
                names[f"{name}-{seen}"] = 0
    return frozenset(names)


def links(path: Path) -> list[tuple[int, str]]:
    """Line and target of every link and picture."""
    inside = {number for block in blocks(path) for number in range(block.line, block.line + len(block.lines))}
    return [
        (number, target)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if number not in inside
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", line))
    ]
