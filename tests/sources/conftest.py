"""Peers that the tests of sources use."""

from __future__ import annotations

from tests.peers.fixtures import rtmp_url, rtsp_server, start_rtsp_server

__all__ = ["rtmp_url", "rtsp_server", "start_rtsp_server"]
