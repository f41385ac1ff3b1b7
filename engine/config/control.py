"""Settings of the HTTP side: where it listens."""

from __future__ import annotations

from dataclasses import dataclass

from engine.config.values import setting


@dataclass(frozen=True, slots=True)
class ControlConfig:
    """The HTTP side: dashboard, API, /health and /metrics."""

    host: str = setting(
        "127.0.0.1", "address to listen on; only this machine, because there is no login", flag="--host"
    )
    port: int = setting(8080, "TCP port; 0 = any free one", bounds=(0, 65535), flag="--port")
    enabled: bool = setting(True, "run the HTTP side at all")
