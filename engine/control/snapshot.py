"""One picture of now as a JPEG."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from starlette.responses import Response

from engine.control.bodies import must
from engine.control.operations import Answer, Call, Media, Operation
from engine.control.roles import Role
from engine.control.video import PICTURES, VideoHub
from engine.types.packet import PacketFlag


class SnapshotQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which picture, and how well it is encoded."""

    view: Literal["clean", "overlay"] = "overlay"
    quality: Annotated[int, must("a whole number from 1 to 100", ge=1, le=100)] = 85


def snapshot_operations(hub: VideoHub, check_camera: Callable[[str], None]) -> list[Operation]:
    """The operation. `check_camera` raises `CommandFailed` for a camera that is not there."""

    async def snapshot(call: Call) -> Response:
        check_camera(call.camera)
        packet = await hub.snapshot(call.camera, PICTURES[call.query.view], call.query.quality)
        meta = packet.meta
        headers = {
            "Cache-Control": "no-store",
            "X-Frame": str(meta.frame_index),
            "X-Time": f"{meta.wall_ns / 1e9:.6f}",
            "X-No-Signal": str(int(bool(meta.flags & PacketFlag.NO_SIGNAL))),
        }
        return Response(packet.data, 200, headers, "image/jpeg")

    return [
        Operation(
            method="GET",
            path="/snapshot/{camera}.jpg",
            name="snapshot",
            tag="video",
            summary="the newest picture of a camera",
            role=Role.VIEWER,
            handler=snapshot,
            query=SnapshotQuery,
            answers={
                200: Answer(
                    "the picture",
                    Media("image/jpeg"),
                    {"X-Frame": "frame number", "X-Time": "seconds since the epoch, as in records"},
                )
            },
        )
    ]
