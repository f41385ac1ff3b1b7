"""A small sequence of MOTChallenge: two people who walk past each other, in the forms of 2015 and of 2017."""

from __future__ import annotations

from pathlib import Path

FRAMES = 10
INFO = "[Sequence]\nname=two\nimDir=img1\nframeRate=10\nseqLength={frames}\nimWidth=640\nimHeight=480\nimExt=.jpg\n"


def boxes(frame: int) -> dict[int, tuple[float, float, float, float]]:
    """Left, top, width, height of persons 1 and 2, counted from 1."""
    return {1: (100 + 20 * frame, 100, 40, 100), 2: (400 - 20 * frame, 250, 40, 100)}


def write_sequence(folder: Path, year: int = 2015, frames: int = FRAMES) -> Path:
    """The folder with truth and perfect detections."""
    for name in ("gt", "det"):
        (folder / name).mkdir(parents=True)
    (folder / "seqinfo.ini").write_text(INFO.format(frames=frames))
    tail = "1,-1,-1,-1" if year == 2015 else "1,1,1.0"
    truth = [
        f"{frame},{who},{','.join(map(str, box))},{tail}"
        for frame in range(1, frames + 1)
        for who, box in boxes(frame).items()
    ]
    (folder / "gt" / "gt.txt").write_text("\n".join(truth) + "\n")
    write_result(folder / "det" / "det.txt", frames=frames, who={1: -1, 2: -1}, score=0.9)
    return folder


def write_result(
    path: Path, *, frames: int = FRAMES, who: dict[int, int] | None = None, score: float = 1
) -> Path:
    """The true boxes, person n under the ID `who[n]`; people who are not in it are left out."""
    named = {1: 1, 2: 2} if who is None else who
    lines = [
        f"{frame},{named[person]},{','.join(map(str, box))},{score},-1,-1,-1"
        for frame in range(1, frames + 1)
        for person, box in boxes(frame).items()
        if person in named
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def add(path: Path, *lines: str) -> None:
    """More lines at the end of a file."""
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)
