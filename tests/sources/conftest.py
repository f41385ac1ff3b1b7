"""Peers that the tests of sources use."""

from __future__ import annotations

from tests.peers.fixtures import rtsp_server, start_rtsp_server

__all__ = ["rtsp_server", "start_rtsp_server"]
