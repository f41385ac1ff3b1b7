"""Real servers that take a published stream: nginx with its RTMP module, and GStreamer's RTSP server.

They can be killed, frozen and started again on the same port. Use the fixtures with
`from tests.peers.media_servers import rtmp_server, rtsp_recorder  # noqa: F401` in a conftest.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.peers.fixtures import INSTALL, SYSTEM_PYTHON, free_port, missing_gstreamer

MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
INSTALL_NGINX = "apt-get install -y --no-install-recommends nginx libnginx-mod-rtmp"

_NGINX = """
load_module {module};
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log info;
events {{ worker_connections 64; }}
rtmp {{ server {{ listen 127.0.0.1:{port}; ping 5s;
  application live {{ live on; wait_key on; idle_streams off;
    record all; record_path {folder}; record_unique on; }}
  application closed {{ live on; deny publish all; }}
}} }}
"""


class MediaServer:
    """A server process on a port of its own. `command` is called anew for each start."""

    def __init__(self, command: Callable[[int], list[str]]) -> None:
        self.port = free_port()
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        self._process = subprocess.Popen(
            self._command(self.port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline_s = time.monotonic() + 20
        while time.monotonic() < deadline_s:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self._process.poll() is None, "the media server ended at once"
            time.sleep(0.02)
        raise AssertionError("the media server does not listen")

    def kill(self) -> None:
        """SIGKILL: connections break without a word."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
        self._process = None

    def freeze(self) -> None:
        """SIGSTOP: connections stay open, and nothing is taken from them."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)


class RtmpServer(MediaServer):
    """nginx: `rtmp://…/live/NAME` records each publication as FLV into `folder`; `/closed/NAME` refuses."""

    def __init__(self, folder: Path) -> None:
        super().__init__(self._nginx)
        self.folder = folder

    def url(self, name: str = "camera", app: str = "live") -> str:
        """Where to publish to."""
        return f"rtmp://127.0.0.1:{self.port}/{app}/{name}"

    def recordings(self) -> list[Path]:
        """What was published, oldest first."""
        return sorted(self.folder.glob("*.flv"), key=lambda path: path.stat().st_mtime_ns)

    def _nginx(self, port: int) -> list[str]:
        configuration = self.folder / "nginx.conf"
        configuration.write_text(_NGINX.format(module=MODULE, folder=self.folder, port=port))
        return [_nginx_path() or "nginx", "-p", str(self.folder), "-c", str(configuration), "-e", "stderr"]


class RtspRecorder(MediaServer):
    """GStreamer's server in RECORD mode: each publication to `/live` becomes `NUMBER.h264` in `folder`."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        super().__init__(self._gstreamer)
        self.folder = folder
        self._arguments = arguments

    def url(self, path: str = "/live", login: str = "") -> str:
        """Where to publish to; `login` is `user:password@`."""
        return f"rtsp://{login}127.0.0.1:{self.port}{path}"

    def recordings(self) -> list[Path]:
        """What was published, oldest first."""
        return sorted(self.folder.glob("*.h264"), key=lambda path: path.stat().st_mtime_ns)

    def _gstreamer(self, port: int) -> list[str]:
        script = Path(__file__).with_name("rtsp_recorder.py")
        return [
            SYSTEM_PYTHON,
            str(script),
            "--port",
            str(port),
            "--folder",
            str(self.folder),
            *self._arguments,
        ]


def _nginx_path() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def missing_nginx() -> str:
    """Why nginx cannot be used here, empty if it can."""
    if _nginx_path() is None or not MODULE.exists():
        return f"nginx with its RTMP module is missing: {INSTALL_NGINX}"
    return ""


@pytest.fixture
def rtmp_server(tmp_path: Path) -> Iterator[RtmpServer]:
    """A running RTMP server."""
    if reason := missing_nginx():
        pytest.skip(reason)
    folder = tmp_path / "nginx"
    folder.mkdir()
    server = RtmpServer(folder)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def start_rtsp_recorder(tmp_path: Path) -> Iterator[Callable[..., RtspRecorder]]:
    """Starts an RTSP server that takes publications, with the given arguments of `rtsp_recorder.py`."""
    if reason := missing_gstreamer():
        pytest.skip(f"no GStreamer RTSP server ({reason}): {INSTALL}")
    servers: list[RtspRecorder] = []

    def start(*arguments: str) -> RtspRecorder:
        folder = tmp_path / f"recorder-{len(servers)}"
        folder.mkdir()
        servers.append(RtspRecorder(folder, *arguments))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def rtsp_recorder(start_rtsp_recorder: Callable[..., RtspRecorder]) -> RtspRecorder:
    """A running one without a password."""
    return start_rtsp_recorder()
