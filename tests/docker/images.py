"""The CPU image built and run for real, on a base that debootstrap makes: Debian's Python 3.11 and pip.

Two ways, the same tests for both:

podman     builds docker/Dockerfile as it stands and runs it with a read-only root, limits and without capabilities
chroot     where podman cannot work: the instructions of the Dockerfile one by one in copies of the base, then the
           engine in namespaces of its own, as the image's user, with a read-only root and without capabilities

Both need root and the network's package index. pip takes what it has on this machine's cache.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import pip

from tests.docker import dockerfile

ROOT = Path(__file__).resolve().parents[2]
SUITE = "bookworm"
USER = 10001
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_WITHOUT_CGROUP2 = "mount --make-rprivate /; umount -l /sys/fs/cgroup/unified 2>/dev/null; exec "
"""A mount namespace without the second hierarchy of control groups, beside which crun does not start anything."""


class Unusable(Exception):
    """This way of building and running images does not work on this machine."""


class Running(ABC):
    """An engine in its container."""

    @abstractmethod
    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command beside it, as its user."""

    @abstractmethod
    def stop(self) -> tuple[int, str]:
        """SIGTERM, as `docker stop` sends it: exit status and everything it said."""

    @abstractmethod
    def finished(self, timeout_s: float) -> tuple[int, str]:
        """The same of one that ends by itself."""


class Image(ABC):
    """The built image."""

    way: str

    @abstractmethod
    def run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Running:
        """Start it with a read-only root, /tmp, /out and /cache in memory, and no capabilities."""

    @abstractmethod
    def close(self) -> None:
        """Remove it, and whatever of it still runs."""


def base_archive() -> Path:
    """A tar of the base image's root, made once and kept in the user's cache."""
    version = "".join(_debootstrap("ROOT")) + pip.__version__
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "camring-tests"
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{SUITE}-{hashlib.sha256(version.encode()).hexdigest()[:12]}.tar"
    with open(folder / f"{SUITE}.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.is_file():
            for old in folder.glob(f"{SUITE}-*.tar*"):
                old.unlink()
            _make_base(archive)
    return archive


def _debootstrap(root: str) -> list[str]:
    return ["debootstrap", "--variant=minbase", "--include=python3,ca-certificates", SUITE, root]


def _make_base(archive: Path) -> None:
    root = archive.with_suffix(".root")
    shutil.rmtree(root, ignore_errors=True)
    try:
        _checked(_debootstrap(str(root)), timeout_s=600)
        # The official image has pip as well; it is the one that runs here, so that both share what pip has fetched.
        target = root / "usr/local/lib/python3.11/dist-packages"
        pip_here = [sys.executable, "-m", "pip", "install", "--quiet", "--no-warn-conflicts"]
        _checked([*pip_here, "--target", str(target), f"pip=={pip.__version__}"], timeout_s=600)
        for each in (root / "var/cache/apt/archives").glob("*.deb"):
            each.unlink()
        _checked(["tar", "-C", str(root), "-cf", f"{archive}.part", "."], timeout_s=600)
        os.replace(f"{archive}.part", archive)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def pip_settings(folder: Path) -> list[tuple[Path, str]]:
    """What makes pip in a container fetch as it does here: pairs of a file or folder and its place there."""
    listed = _checked([sys.executable, "-m", "pip", "config", "list"], timeout_s=60)
    lines = ["[global]", "cache-dir = /pip-cache"]
    for name in ("index-url", "trusted-host", "timeout", "proxy"):
        if (match := re.search(rf"^global\.{name}='(.*)'$", listed, re.MULTILINE)) is not None:
            lines.append(f"{name} = {match[1]}")
    mounts = []
    if _CERTIFICATES.is_file():
        lines.append(f"cert = {_CERTIFICATES}")
        mounts.append((_CERTIFICATES, str(_CERTIFICATES)))
    settings = folder / "pip.conf"
    settings.write_text("\n".join(lines) + "\n")
    cache = Path(_checked([sys.executable, "-m", "pip", "cache", "dir"], timeout_s=60).strip())
    cache.mkdir(parents=True, exist_ok=True)
    return [*mounts, (settings, "/etc/pip.conf"), (cache, "/pip-cache")]


class PodmanImage(Image):
    """Built and run by podman, with a store of its own."""

    def __init__(self, folder: Path) -> None:
        self._store = [
            "--root",
            str(folder / "store"),
            "--runroot",
            str(folder / "run"),
            "--storage-driver",
            "overlay",
        ]
        self._folder = folder
        if os.environ.get("CAMRING_TEST_IMAGES") == "chroot":
            raise Unusable("CAMRING_TEST_IMAGES asks for it")
        if shutil.which("podman") is None or shutil.which("crun") is None:
            raise Unusable("podman or crun is missing")
        self.way = self.podman("--version").strip()
        self.podman("import", str(base_archive()), "base:test")
        self.podman("run", "--rm", *self._confined(), "base:test", "true")

    def build(self) -> None:
        """docker/Dockerfile as it stands, but for its base."""
        options = ["--isolation", "chroot", "--network", "host", "--format", "docker", "--layers=false"]
        for here, there in pip_settings(self._folder):
            options += ["--volume", f"{here}:{there}"]
        options += ["--build-arg", "PYTHON_IMAGE=localhost/base:test", "--build-arg", "REVISION=test"]
        command = [
            "build",
            *options,
            "--file",
            str(ROOT / "docker/Dockerfile"),
            "--tag",
            "camring:test",
            str(ROOT),
        ]
        _checked(self._command(*command), timeout_s=1500)

    def run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Running:
        options = [item for name, value in environment.items() for item in ("--env", f"{name}={value}")]
        options += ["--tmpfs", "/out:mode=1777", "--tmpfs", "/cache:mode=1777"]
        name = self.podman("run", "--detach", *self._confined(), *options, "camring:test", *arguments)
        return PodmanRunning(self, name.strip().splitlines()[-1])

    def close(self) -> None:
        self.podman("rm", "--all", "--force", "--time", "2")
        self.podman("rmi", "--all", "--force")

    def podman(self, *arguments: str) -> str:
        """Its standard output. Raises `Unusable`."""
        done = subprocess.run(self._command(*arguments), capture_output=True, text=True, timeout=600)
        if done.returncode:
            raise Unusable(f"podman {arguments[0]}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The same, whatever comes of it; error output first, as logs have both."""
        return subprocess.run(
            self._command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )

    def _command(self, *arguments: str) -> list[str]:
        line = shlex.join(["podman", *self._store, *arguments])
        return ["unshare", "--mount", "sh", "-c", _WITHOUT_CGROUP2 + line]

    def _confined(self) -> list[str]:
        return [
            "--network", "host", "--read-only", "--tmpfs", "/tmp:mode=1777", "--cap-drop", "ALL", "--memory", "2g",
            "--security-opt", "no-new-privileges", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=2048:2048",
        ]  # fmt: skip


class PodmanRunning(Running):
    def __init__(self, image: PodmanImage, name: str) -> None:
        self._image = image
        self._name = name

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        return self._image.call("exec", self._name, *command)

    def stop(self) -> tuple[int, str]:
        self._image.podman("stop", "--time", "10", self._name)
        return self._outcome()

    def finished(self, timeout_s: float) -> tuple[int, str]:
        command = self._image._command("wait", self._name)
        subprocess.run(command, capture_output=True, timeout=timeout_s, check=True)
        return self._outcome()

    def _outcome(self) -> tuple[int, str]:
        status = self._image.podman("inspect", "--format", "{{.State.ExitCode}}", self._name)
        return int(status), self._image.call("logs", self._name).stdout


class ChrootImage(Image):
    """The Dockerfile's instructions carried out in folders."""

    way = "chroot"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = dockerfile.read(ROOT / "docker/Dockerfile")
        self._environment: dict[str, str] = {}
        self._user, self._workdir = "0:0", "/"
        self._entrypoint: list[str] = []
        self._default: list[str] = []
        self._running: list[ChrootRunning] = []

    def build(self) -> None:
        """All stages, each in a copy of the base."""
        for stage in self._file.stages:
            root = self._folder / stage.name
            root.mkdir()
            _checked(["tar", "-C", str(root), "-xf", str(base_archive())], timeout_s=600)
            for name in ("/etc/resolv.conf", "/etc/hosts"):
                shutil.copyfile(name, root / name[1:])
            self._environment = {"PATH": _PATH}
            self._user, self._workdir = "0:0", "/"
            arguments = {**self._file.arguments, "REVISION": "test"}
            for each in stage.instructions:
                self._carry_out(root, each, arguments)

    def _carry_out(self, root: Path, each: dockerfile.Instruction, arguments: dict[str, str]) -> None:
        known = {**arguments, **self._environment}
        if each.keyword == "ARG":
            arguments |= {name: arguments.get(name, value) for name, value in each.pairs().items()}
        elif each.keyword == "ENV":
            pairs = each.pairs().items()
            self._environment |= {name: dockerfile.substituted(value, known) for name, value in pairs}
        elif each.keyword == "WORKDIR":
            self._workdir = each.value
            (root / each.value[1:]).mkdir(parents=True, exist_ok=True)
        elif each.keyword == "COPY":
            self._copy(root, each)
        elif each.keyword == "RUN":
            self._build_step(root, each, known)
        elif each.keyword == "USER":
            self._user = each.value
        elif each.keyword == "ENTRYPOINT":
            self._entrypoint = each.words()
        elif each.keyword == "CMD":
            self._default = each.words()
        else:
            assert each.keyword in ("LABEL", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"), each

    def _copy(self, root: Path, each: dockerfile.Instruction) -> None:
        *sources, target = each.words()
        stage = dict(each.flags).get("from")
        here = self._folder / stage if stage else ROOT
        there = root / Path(self._workdir, target).relative_to("/")
        for source in sources:
            found = here / source.lstrip("/")
            place = there / found.name if target.endswith("/") and found.is_file() else there
            place.parent.mkdir(parents=True, exist_ok=True)
            # A folder's contents are copied, not the folder.
            origin = f"{found}/." if found.is_dir() else str(found)
            if found.is_dir():
                place.mkdir(parents=True, exist_ok=True)
            _checked(["cp", "-a", origin, str(place)], timeout_s=600)

    def _build_step(self, root: Path, each: dockerfile.Instruction, known: Mapping[str, str]) -> None:
        mounts = [(str(here), there) for here, there in pip_settings(self._folder)]
        for flag, value in each.flags:
            assert flag == "mount", each
            settings = dict(part.partition("=")[::2] for part in value.split(","))
            if settings["type"] == "bind":
                mounts.append((str(ROOT / settings["source"]), settings["target"]))
            else:
                assert settings["type"] == "cache", each
        script = [f"cd {shlex.quote(self._workdir)} && {each.value}"]
        _checked(self._inside(root, mounts, ["sh", "-c", *script], known), timeout_s=600)

    def run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Running:
        started = ChrootRunning(self, [*self._entrypoint, *(arguments or self._default)], environment)
        self._running.append(started)
        return started

    def confined(self, command: Sequence[str], environment: Mapping[str, str]) -> list[str]:
        """The command as the image's user, in a read-only root."""
        user, group = self._user.split(":")
        dropped = [
            "setpriv",
            f"--reuid={user}",
            f"--regid={group}",
            "--clear-groups",
            "--no-new-privs",
            "--bounding-set=-all",
        ]
        there = {**self._environment, **environment}
        return self._inside(self._folder / "runtime", [], [*dropped, *command], there, read_only=True)

    def _inside(
        self,
        root: Path,
        mounts: Sequence[tuple[str, str]],
        command: Sequence[str],
        environment: Mapping[str, str],
        read_only: bool = False,
    ) -> list[str]:
        lines = ["set -e", "mount --make-rprivate /", f"mount --bind {root} {root}"]
        for here, there in mounts:
            place = root / there.lstrip("/")
            make = f"mkdir -p {place}" if Path(here).is_dir() else f"mkdir -p {place.parent}; touch {place}"
            lines += [make, f"mount --bind {here} {place}"]
        if read_only:
            lines.append(f"mount -o remount,bind,ro {root}")
            lines += [f"mount -t tmpfs -o mode=1777 none {root}/{name}" for name in ("tmp", "out", "cache")]
        lines += [f"mount -t proc proc {root}/proc", f"mount --rbind /dev {root}/dev"]
        variables = [f"{name}={value}" for name, value in environment.items()]
        lines.append("exec " + shlex.join(["chroot", str(root), "env", "-i", *variables, *command]))
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", "\n".join(lines)]

    def close(self) -> None:
        for each in self._running:
            each.kill()


class ChrootRunning(Running):
    def __init__(self, image: ChrootImage, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._image = image
        self._environment = environment
        self._process = subprocess.Popen(
            image.confined(command, environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        enter = ["nsenter", "--target", str(self._first()), "--mount", "--pid", "--root", "--wd=/"]
        return subprocess.run(
            [*enter, *self._as_user(command)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
        )  # fmt: skip

    def _as_user(self, command: Sequence[str]) -> list[str]:
        variables = {**self._image._environment, **self._environment}
        return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups",
                "env", "-i", *(f"{name}={value}" for name, value in variables.items()), *command]  # fmt: skip

    def _first(self) -> int:
        """Process 1 of the container, as seen from here."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        for _ in range(100):
            if listed := children.read_text().split():
                return int(listed[0])
            time.sleep(0.05)
        raise AssertionError("the container has no process")

    def stop(self) -> tuple[int, str]:
        os.kill(self._first(), signal.SIGTERM)
        return self.finished(15)

    def finished(self, timeout_s: float) -> tuple[int, str]:
        said, _ = self._process.communicate(timeout=timeout_s)
        return self._process.returncode, said

    def kill(self) -> None:
        """End what a failed test has left."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate(timeout=10)


def _checked(command: Sequence[str], timeout_s: float) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0, f"{shlex.join(command)[:300]}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    return done.stdout


def built(folder: Path) -> PodmanImage | ChrootImage:
    """The image, by podman where it works; `way` says how."""
    try:
        image: PodmanImage | ChrootImage = PodmanImage(folder)
    except Unusable as reason:
        image = ChrootImage(folder)
        image.way = f"chroot ({reason})"
    image.build()
    return image
