"""How much memory can still be had, by the machine and by the control groups that this process lives in.

Knows the text files of Linux. Elsewhere the answer is None: unknown.
"""

from __future__ import annotations

from pathlib import Path

_CGROUP_MOUNT = Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """Memory that can still be taken without swapping or being killed for it; None if unknown."""
    limits = [value for value in (_machine_available(), _cgroup_available()) if value is not None]
    return min(limits, default=None)


def cgroup_available(memberships: str, mount: Path = _CGROUP_MOUNT) -> int | None:
    """Room in the tightest memory control group, version 1 or 2; None if there is none.

    `memberships` is the text of `/proc/self/cgroup`. A container may not see the folders that it names, but
    then the top of the mount is the container's own group.
    """
    rooms = []
    for line in memberships.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, limit, used = mount, "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            top, limit, used = mount / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        group = top / path.lstrip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(top):
                rooms.append(_room(folder, limit, used))
    return min((room for room in rooms if room is not None), default=None)


def _machine_available() -> int | None:
    try:
        return _named_number(Path("/proc/meminfo"), ("MemAvailable:",)) * 1024
    except OSError:
        return None


def _cgroup_available() -> int | None:
    try:
        memberships = Path("/proc/self/cgroup").read_text()
    except OSError:
        return None
    return cgroup_available(memberships)


def _room(folder: Path, limit_name: str, used_name: str) -> int | None:
    """Limit less use; file cache counts as free because the kernel gives it up before it runs short."""
    try:
        limit = (folder / limit_name).read_text().strip()
        if limit == "max":
            return None
        used = int((folder / used_name).read_text())
        prefix = "total_" if limit_name == "memory.limit_in_bytes" else ""
        cached = _named_number(folder / "memory.stat", (f"{prefix}inactive_file", f"{prefix}active_file"))
    except OSError:
        return None
    return max(0, int(limit) - used + cached)


def _named_number(file: Path, names: tuple[str, ...]) -> int:
    """Sum of the numbers behind these names in a file of `name number` lines."""
    lines = (line.split() for line in file.read_text().splitlines())
    return sum(int(words[1]) for words in lines if words[0] in names)
