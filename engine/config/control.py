"""Settings of the HTTP side: where it listens, who may ask what, TLS. What they mean is in docs/security.md."""

from __future__ import annotations

from dataclasses import dataclass

from engine.config.identity import OFF
from engine.config.values import setting


@dataclass(frozen=True, slots=True)
class ControlConfig:
    """The HTTP side: dashboard, API, /health and /metrics."""

    host: str = setting(
        "127.0.0.1", "address to listen on; any but this machine's own needs a token", flag="--host"
    )
    port: int = setting(8080, "TCP port; 0 = any free one", bounds=(0, 65535), flag="--port")
    enabled: bool = setting(True, "run the HTTP side at all")
    tokens: str = setting(
        OFF,
        "file of who may log in, a line `role:name:SHA-256 of the token` each, as `engine-run --new-token` writes; "
        "`off` = nobody has to, on this machine's own address only",
        flag="--tokens",
    )
    tls_cert: str = setting(OFF, "PEM file with the certificate, and those that lead to it, for https")
    tls_key: str = setting(OFF, "PEM file with its key, without a password and readable by this user alone")
    allowed_hosts: tuple[str, ...] = setting(
        (), "names that this machine is called by, besides its addresses, its own name and localhost"
    )
    allowed_origins: tuple[str, ...] = setting(
        (), "other sites whose pages may ask here, with a token of their own (CORS): `https://site.example`"
    )
    requests_per_s: float = setting(
        200.0,
        "requests that one client may make, twice as many at once; a wall of 16 cameras over HLS asks for 100; "
        "0 = no limit",
        bounds=(0.0, 1e6),
    )
    clients: int = setting(
        256,
        "WebSocket clients at the same time; each may cost 1 MiB while it does not read",
        bounds=(1, 10000),
    )
