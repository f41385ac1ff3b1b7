"""Addresses that processed video is published to: what of them can be checked before anything is opened.

Schemes, hosts, ports, paths, references to environment variables. Does not know how a server is spoken to.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from engine.config.files import unknown_name
from engine.config.stream import StreamConfig
from engine.errors import ConfigError
from engine.secrets import mask_url, resolve_references

PORTS = {"rtmp": 1935, "rtmps": 443, "rtsp": 554, "rtsps": 322, "whip": 80, "whips": 443}
"""Schemes of servers, and the port of each where the address names none."""
FOLDER = "hls"
SCHEMES = (*PORTS, FOLDER)
CAMERA = "{camera}"


@dataclass(frozen=True, slots=True)
class PublishAddress:
    """A server as a URL names it, or a folder, secrets resolved. `repr` and `shown` are without them.

    path   with its leading slash, and the query behind it; of a folder, the folder
    shown  how messages and statuses name it
    """

    scheme: str
    host: str
    port: int
    user: str = field(repr=False)
    password: str = field(repr=False)
    path: str = field(repr=False)
    query: str = field(repr=False)
    shown: str

    @property
    def place(self) -> str:
        """`HOST[:PORT]` as in a URL, the port only where it is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS.get(self.scheme) else f"{host}:{self.port}"

    @property
    def folder(self) -> Path:
        """The folder of `hls:FOLDER`."""
        return Path(os.path.expanduser(self.path))


def publish_address(url: str, environ: Mapping[str, str] | None = None) -> PublishAddress:
    """What a URL means, `{camera}` in it already put in. Raises `ConfigError`, without its credentials.

    What a variable holds is taken as it is, `@` and `/` in it included; it may also hold the whole URL.
    """
    shown = mask_url(url)
    text = resolve_references(url, environ) if url.startswith("${") else url
    scheme = text.partition(":")[0].lower() if ":" in text else ""
    if scheme not in SCHEMES:
        raise unknown_name(f"publish {shown}", "scheme", scheme, SCHEMES)
    if scheme == FOLDER:
        path = resolve_references(text.partition(":")[2], environ)
        if not path or (path.startswith("//") and not path.startswith("///")):
            raise ConfigError(f"publish {shown}: write hls:FOLDER, as in hls:/var/www/hls/{CAMERA}")
        return PublishAddress(scheme, "", 0, "", "", path, "", shown)
    try:
        parts = urlsplit(text)
        login, _, place = parts.netloc.rpartition("@")
        server = urlsplit(f"//{resolve_references(place, environ)}")
        host, port = server.hostname or "", server.port or PORTS[scheme]
    except ValueError:
        raise ConfigError(f"publish {shown}: no host and port can be found in it") from None
    user, _, password = login.partition(":")
    user, password, path, query = (
        resolve_references(part, environ)
        for part in (unquote(user), unquote(password), parts.path, parts.query)
    )
    address = PublishAddress(scheme, host, port, user, password, path, query, shown)
    if wrong := _what_is_wrong(address):
        raise ConfigError(f"publish {shown}: {wrong}")
    return address


def put_camera_in(url: str, camera: str) -> str:
    """The URL of one camera: its name for `{camera}`, as a path of a folder or of a URL has it."""
    return url.replace(CAMERA, camera if url.lower().startswith(f"{FOLDER}:") else quote(camera, safe=""))


def _what_is_wrong(address: PublishAddress) -> str:
    scheme = address.scheme
    if scheme in ("rtmp", "rtmps"):
        if address.user:
            return "RTMP knows no user and password: servers take them as ?user=…&pass=… or as a stream key"
        app, _, stream = address.path.lstrip("/").rpartition("/")
        return "" if address.host and app and stream else f"write {scheme}://HOST/APP/STREAM"
    if address.host and (address.path.strip("/") or scheme.startswith("whip")):
        return ""
    return f"write {scheme}://[USER:PASSWORD@]HOST/PATH"


def check_live(config: StreamConfig, *, offline: bool, where: str) -> None:
    """Raise `ConfigError` where destinations are named in a run that shows nobody anything."""
    if not config.publish:
        return
    if offline:
        raise ConfigError(
            f"{where}: an offline run publishes no video; leave out --offline or the destinations"
        )
    if not config.enabled:
        raise ConfigError(f"{where}: nothing is published with stream.enabled = false")


def check_publish(
    urls: Sequence[str], cameras: Sequence[str], where: str, environ: Mapping[str, str] | None = None
) -> None:
    """Raise `ConfigError` for the first destination that cannot work. `where` tells the origin of the setting."""
    for index, url in enumerate(urls):
        shown = mask_url(url)
        if url in urls[:index]:
            raise ConfigError(f"{where}: publish {shown}: is named twice")
        if len(cameras) > 1 and CAMERA not in url:
            raise ConfigError(
                f"{where}: publish {shown}: several cameras cannot share it; put {CAMERA} where each has its name"
            )
        for camera in cameras or ("camera",):
            try:
                publish_address(put_camera_in(url, camera), environ)
            except ConfigError as error:
                raise ConfigError(f"{where}: {error}") from None
