"""Real peers as fixtures: started on a free port, ended after the test, skipped with the command that installs them.

Use them with `from tests.peers.fixtures import rtsp_server  # noqa: F401` in a conftest.
"""

from __future__ import annotations

import functools
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SYSTEM_PYTHON = "/usr/bin/python3"
INSTALL = (
    "apt-get install -y --no-install-recommends python3-gi gir1.2-gst-rtsp-server-1.0 gir1.2-gst-plugins-base-1.0 "
    "gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly"
)
_CHECK = """
import gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
need = ["x264enc", "x265enc", "jpegenc", "rtph264pay", "rtph265pay", "rtpjpegpay"]
raise SystemExit(", ".join(n for n in need if not Gst.ElementFactory.find(n)))
"""


@functools.cache
def missing_gstreamer() -> str:
    """Why the GStreamer peers cannot run here, empty if they can."""
    if not Path(SYSTEM_PYTHON).exists():
        return f"{SYSTEM_PYTHON} is missing"
    check = subprocess.run([SYSTEM_PYTHON, "-c", _CHECK], capture_output=True, text=True, check=False)
    return check.stderr.strip().rpartition("\n")[2] if check.returncode else ""


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RtspServer:
    """The RTSP server of `rtsp_server.py`; it can be killed, frozen and started again on the same port."""

    def __init__(self, *arguments: str) -> None:
        self.port = free_port()
        self._arguments = arguments
        self._process: subprocess.Popen[str] | None = None

    def url(self, path: str = "/live", login: str = "") -> str:
        """The URL of a mount point; `login` is `user:password@`."""
        return f"rtsp://{login}127.0.0.1:{self.port}{path}"

    def start(self) -> None:
        """Start it and wait until it listens."""
        script = Path(__file__).with_name("rtsp_server.py")
        self._process = subprocess.Popen(
            [SYSTEM_PYTHON, str(script), "--port", str(self.port), *self._arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "READY\n", "the RTSP server did not start"

    def kill(self) -> None:
        """SIGKILL: connections break without a word."""
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
        self._process = None

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing comes."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it goes on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)


@pytest.fixture
def start_rtsp_server() -> Iterator[Callable[..., RtspServer]]:
    """Starts an RTSP server with the given arguments of `rtsp_server.py`."""
    if reason := missing_gstreamer():
        pytest.skip(f"no GStreamer RTSP server ({reason}): {INSTALL}")
    servers: list[RtspServer] = []

    def start(*arguments: str) -> RtspServer:
        servers.append(RtspServer(*arguments))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def rtsp_server(start_rtsp_server: Callable[..., RtspServer]) -> RtspServer:
    """A running RTSP server without a password."""
    return start_rtsp_server()


@pytest.fixture
def rtmp_url() -> Iterator[str]:
    """An RTMP stream that ffmpeg serves to its first viewer: a test pattern of 320 x 240 at 25 fps."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("ffmpeg is missing: apt-get install ffmpeg (or: brew install ffmpeg)")
    port = free_port()
    url = f"rtmp://127.0.0.1:{port}/live/camera"
    pattern = ["-re", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25"]
    coding = ["-c:v", "libx264", "-threads", "1", "-tune", "zerolatency", "-g", "25", "-f", "flv"]
    command = [ffmpeg, "-v", "error", *pattern, *coding, "-listen", "1", url]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL) as process:
        _wait_for_listener(port)
        yield url
        process.kill()


def _wait_for_listener(port: int, patience_s: float = 20.0) -> None:
    # A probing connection would be taken for the viewer, so ask the system instead: the port is taken.
    deadline_s = time.monotonic() + patience_s
    while time.monotonic() < deadline_s:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return
        time.sleep(0.05)
    raise AssertionError(f"nobody listens on port {port}")
