"""ipycam as an ONVIF device, without its streams: prints its port, then its head's state for each line it is sent.

Run from a folder of its own: it keeps its presets in a file beside it.
"""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import asdict

from ipycam import CameraConfig, IPCamera
from ipycam.camera import ReusableThreadingTCPServer
from ipycam.discovery import WSDiscoveryServer
from ipycam.http import IPCameraHTTPHandler


def main() -> None:
    """Serve ONVIF on a free port of the loopback, and answer probes, until the input ends."""
    user, password = sys.argv[1:3]
    camera = IPCamera(CameraConfig(local_ip="127.0.0.1", username=user, password=password))
    IPCameraHTTPHandler.camera = camera
    server = ReusableThreadingTCPServer(("127.0.0.1", 0), IPCameraHTTPHandler)
    camera.config.onvif_port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    WSDiscoveryServer(camera.onvif).start()
    print(server.server_address[1], flush=True)
    for _ in sys.stdin:
        print(json.dumps(asdict(camera.ptz.state) | asdict(camera.ptz.velocity)), flush=True)
    server.shutdown()


if __name__ == "__main__":
    main()
