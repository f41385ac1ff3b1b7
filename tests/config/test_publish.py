"""Addresses of published video: what they mean, and one clear line for each that cannot work."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.config.publish import SCHEMES, check_live, check_publish, publish_address, put_camera_in
from engine.config.stream import StreamConfig
from engine.errors import ConfigError

ENVIRON = {"KEY": "abc/d@e", "PASSWORD": "p@ss:/word", "ALL": "rtsp://u:p@host/x"}


def test_every_scheme_has_a_sink() -> None:
    from engine.publish.base import SINKS
    from engine.registry import import_siblings

    import_siblings("engine.publish")
    assert set(SINKS) == set(SCHEMES)


def test_parts_of_an_address() -> None:
    address = publish_address("rtsp://me:${PASSWORD}@[::1]:8554/live?x=${KEY}", ENVIRON)
    assert (address.scheme, address.host, address.port, address.place) == ("rtsp", "::1", 8554, "[::1]:8554")
    assert (address.user, address.password) == ("me", "p@ss:/word")
    assert (address.path, address.query) == ("/live", "x=abc/d@e")
    assert address.shown == "rtsp://***@[::1]:8554/live?x=${KEY}"
    assert "p@ss" not in repr(address) and "abc" not in repr(address)
    assert publish_address("${ALL}", ENVIRON).host == "host"
    assert publish_address("rtmps://host/app/${KEY}", ENVIRON).port == 443
    assert publish_address("RTMP://host/app/instance/key", ENVIRON).place == "host"
    assert str(publish_address("hls:/var/www/x", {}).folder) == "/var/www/x"


def test_names_of_cameras_are_made_fit() -> None:
    assert put_camera_in("rtmp://h/live/{camera}", "front door/1") == "rtmp://h/live/front%20door%2F1"
    assert put_camera_in("hls:/srv/{camera}", "front door") == "hls:/srv/front door"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("rtnp://h/a/b", r"unknown scheme 'rtnp' \(did you mean 'rt"),
        ("/srv/hls", "unknown scheme"),
        ("rtmp://h/app", "write rtmp://HOST/APP/STREAM"),
        ("rtmp:///app/key", "write rtmp://HOST/APP/STREAM"),
        ("rtmp://me:secret@h/app/key", "RTMP knows no user and password"),
        ("rtsp://h", r"write rtsp://\[USER:PASSWORD@\]HOST/PATH"),
        ("rtsp://h:port/x", "no host and port"),
        ("rtsp://${MISSING}@h/x", "MISSING is not set"),
        ("hls:", "write hls:FOLDER"),
        ("hls://srv/x", "write hls:FOLDER"),
    ],
)
def test_what_cannot_work(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as refused:
        check_publish([url], ["a"], "flag --publish", {})
    assert str(refused.value).startswith("flag --publish: ") and "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_several_cameras_need_names() -> None:
    check_publish(["hls:/srv/{camera}"], ["a", "b"], "here", {})
    check_publish(["hls:/srv/x"], ["a"], "here", {})
    with pytest.raises(ConfigError, match=r"put \{camera\} where"):
        check_publish(["hls:/srv/x"], ["a", "b"], "here", {})
    with pytest.raises(ConfigError, match="named twice"):
        check_publish(["hls:/srv/x", "hls:/srv/x"], ["a"], "here", {})


def test_a_run_that_shows_nothing_publishes_nothing() -> None:
    destinations = StreamConfig(publish=("hls:/srv/x",))
    check_live(destinations, offline=False, where="here")
    check_live(StreamConfig(), offline=True, where="here")
    with pytest.raises(ConfigError, match="an offline run publishes no video"):
        check_live(destinations, offline=True, where="here")
    with pytest.raises(ConfigError, match="enabled = false"):
        check_live(replace(destinations, enabled=False), offline=False, where="here")
