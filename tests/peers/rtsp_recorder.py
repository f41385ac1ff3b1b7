"""A real RTSP server that takes publications (ANNOUNCE, RECORD): GStreamer's, with the system's Python.

    /usr/bin/python3 rtsp_recorder.py --port 8554 --folder DIR [--user NAME --password WORD [--auth basic]]

Whatever is published to /live is written to DIR/NUMBER.h264, as it comes. Ends on SIGTERM.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import Any

import gi  # type: ignore[import-not-found]  # only the system's Python has it

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # type: ignore[import-not-found]  # noqa: E402  # as above; versions are chosen before the import


class Recorder(GstRtspServer.RTSPMediaFactory):  # type: ignore[misc]  # no types
    """Makes a pipeline with a file of its own for each publication."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
        self.set_protocols(GstRtsp.RTSPLowerTrans.TCP)
        self.set_shared(False)

    def do_create_element(self, _url: Any) -> Any:
        """A pipeline for the next publication."""
        path = self._folder / f"{len(list(self._folder.glob('*.h264')))}.h264"
        path.touch()
        return Gst.parse_launch(
            "( rtph264depay name=depay0 ! h264parse ! video/x-h264,stream-format=byte-stream,alignment=au "
            f"! filesink location={path} buffer-mode=unbuffered sync=false async=false )"
        )


def require_login(server: Any, factory: Any, asked: argparse.Namespace) -> None:
    """Let in only who knows the password."""
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "publisher")
    auth = GstRtspServer.RTSPAuth()
    if asked.auth == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(asked.user, asked.password, token)
    else:
        basic = GstRtspServer.RTSPAuth.make_basic(asked.user, asked.password)
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(basic, token)
    server.set_auth(auth)
    rights = "publisher, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
    factory.add_role_from_structure(Gst.Structure.from_string(rights)[0])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8554)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--user")
    parser.add_argument("--password", default="")
    parser.add_argument("--auth", choices=("digest", "basic"), default="digest")
    asked = parser.parse_args()

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(asked.port))
    factory = Recorder(asked.folder)
    server.get_mount_points().add_factory("/live", factory)
    if asked.user:
        require_login(server, factory, asked)
    if server.attach(None) == 0:
        sys.exit(f"cannot listen on port {asked.port}")
    loop = GLib.MainLoop()
    for number in (signal.SIGTERM, signal.SIGINT):
        GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, number, loop.quit)
    loop.run()


main()
