"""A real RTSP server for the tests: GStreamer's, on the loopback, with the system's Python.

    /usr/bin/python3 rtsp_server.py --port 8554 [--user NAME --password WORD] [--width 320 --height 240]

    /live    H.264, a moving ball, one encoder for all viewers
    /h265    the same in H.265
    /mjpeg   the same in Motion JPEG, full range
    /short   50 pictures in H.264, then the server ends the stream
    /audio   a tone and no picture

Prints READY when it listens. Ends on SIGTERM. Asks for digest authentication where a user is named.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterable
from typing import Any

import gi  # type: ignore[import-not-found]  # only the system's Python has it

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # type: ignore[import-not-found]  # noqa: E402  # as above; versions are chosen before the import


def pipelines(width: int, height: int, fps: int) -> dict[str, str]:
    """A gst-launch line for each mount point."""
    size = f"video/x-raw,format=I420,width={width},height={height},framerate={fps}/1"
    picture = f"videotestsrc is-live=true do-timestamp=true pattern=ball {{}} ! {size}"
    # One encoder thread: with sliced threads each slice is sent as a picture of its own.
    h264 = f"x264enc threads=1 tune=zerolatency speed-preset=ultrafast bitrate=800 key-int-max={fps}"
    h264 += " ! video/x-h264,profile=baseline ! rtph264pay name=pay0 pt=96 config-interval=-1"
    h265 = f"x265enc tune=zerolatency speed-preset=ultrafast bitrate=800 key-int-max={fps}"
    h265 += " ! rtph265pay name=pay0 pt=96 config-interval=-1"
    return {
        "/live": f"( {picture.format('')} ! {h264} )",
        "/h265": f"( {picture.format('')} ! {h265} )",
        "/mjpeg": f"( {picture.format('')} ! jpegenc quality=80 ! rtpjpegpay name=pay0 pt=26 )",
        "/short": f"( {picture.format('num-buffers=50')} ! {h264} )",
        "/audio": "( audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay0 pt=8 )",
    }


def require_login(server: Any, factories: Iterable[Any], user: str, password: str) -> None:
    """Let in only who knows the password, by digest authentication."""
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    auth.add_digest(user, password, token)
    server.set_auth(auth)
    rights = "viewer, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
    for factory in factories:
        factory.add_role_from_structure(Gst.Structure.from_string(rights)[0])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8554)
    parser.add_argument("--user")
    parser.add_argument("--password", default="")
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--fps", type=int, default=25)
    asked = parser.parse_args()

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(asked.port))
    factories = []
    for path, pipeline in pipelines(asked.width, asked.height, asked.fps).items():
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(pipeline)
        factory.set_shared(path != "/short")
        server.get_mount_points().add_factory(path, factory)
        factories.append(factory)
    if asked.user:
        require_login(server, factories, asked.user, asked.password)
    if server.attach(None) == 0:
        sys.exit(f"cannot listen on port {asked.port}")
    loop = GLib.MainLoop()
    for number in (signal.SIGTERM, signal.SIGINT):
        GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, number, loop.quit)
    print("READY", flush=True)
    loop.run()


main()
