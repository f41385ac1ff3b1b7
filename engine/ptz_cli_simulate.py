"""`engine-ptz simulate`: a simulated camera on the network that also sees something: a head of a rendered scene."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

import cv2
import numpy as np

from engine.config.files import unknown_name
from engine.errors import ConfigError
from engine.sources.scene_render import SceneRenderer, Shot
from ptz.simulator.__main__ import build_parser, camera_of
from ptz.simulator.__main__ import simulate as serve_camera
from ptz.simulator.device import Device
from ptz.simulator.pictures import Picture
from ptz.simulator.profiles import DEFAULT_PROFILE
from ptz.simulator.scenes import SCENES
from ptz.simulator.world import CameraMount, Scene, World
from ptz.types import View

JPEG_QUALITY = 80


def simulate(argv: Sequence[str]) -> int:
    """Serve until a signal comes; returns the exit status. Raises `ConfigError`."""
    parser = build_parser("engine-ptz simulate")
    parser.add_argument(
        "--scene", metavar="NAME", help=f"what it sees, of {', '.join(SCENES)} (default: grey)"
    )
    parser.add_argument("--width", type=int, default=640, metavar="PX", help="of its pictures (default: 640)")
    parser.add_argument(
        "--height", type=int, default=360, metavar="PX", help="of its pictures (default: 360)"
    )
    parser.set_defaults(profile=None)
    args = parser.parse_args(argv)
    if args.scene is None:
        args.profile = args.profile or DEFAULT_PROFILE
        return serve_camera(args, partial(camera_of, args))
    if args.scene not in SCENES:
        raise unknown_name("flag --scene", "scene", args.scene, SCENES)
    if not (64 <= args.width <= 3840 and 64 <= args.height <= 2160) or args.width % 2 or args.height % 2:
        raise ConfigError(
            f"--width {args.width} --height {args.height}: even numbers from 64 × 64 to 3840 × 2160"
        )
    scene = SCENES[args.scene]
    mount = scene.heads[0]
    args.profile = args.profile or mount.profile
    home = (mount.pan_deg % 360.0, mount.tilt_deg, mount.zoom)
    return serve_camera(
        args, lambda: camera_of(args, home, partial(picture_of, scene, mount, (args.width, args.height)))
    )


def picture_of(scene: Scene, mount: CameraMount, size_wh: tuple[int, int], device: Device) -> Picture:
    """What the head's lens sees, as JPEG. The world goes on with the machine's clock, as for other cameras of it."""
    world, optics = World(scene), device.profile.optics
    renderer = SceneRenderer(world, mount)
    width, height = size_wh
    y, uv = np.zeros((height, width), np.uint8), np.zeros((height // 2, width // 2, 2), np.uint8)

    def picture(now_s: float) -> bytes:
        pose, velocity = device.true_pose(now_s), device.velocity(now_s)
        view = View(width, height, pose.pan_deg, pose.tilt_deg, optics.hfov_deg(pose.zoom))
        scene_s = world.scene_time_s(time.monotonic())
        renderer.draw(
            Shot(view, scene_s, round(now_s * 1000), velocity.pan_deg_s, velocity.tilt_deg_s), y, uv
        )
        bgr = cv2.cvtColorTwoPlane(y, uv, cv2.COLOR_YUV2BGR_NV12)
        _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        return jpeg.tobytes()

    return picture
