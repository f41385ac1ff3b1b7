"""Configurations of the programs around the engine, held against those programs where they are at hand."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # ships no types

DOCKER = Path(__file__).resolve().parents[2] / "docker"


@pytest.mark.peer
def test_mosquitto_takes_its_configuration(tmp_path: Path) -> None:
    """The real broker starts with it, listens, and says nothing that is an error."""
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        pytest.skip("mosquitto is missing: apt-get install mosquitto")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    text = (DOCKER / "config/mosquitto.conf").read_text()
    assert "listener 1883\n" in text and "/mosquitto/data/" in text
    text = text.replace("listener 1883", f"listener {port} 127.0.0.1").replace(
        "/mosquitto/data/", f"{tmp_path}/"
    )
    (tmp_path / "mosquitto.conf").write_text(text + "user root\n")
    broker = subprocess.Popen(
        [program, "-c", str(tmp_path / "mosquitto.conf")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        for _ in range(100):
            assert broker.poll() is None, broker.communicate()[0]
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        else:
            pytest.fail("it does not listen")
    finally:
        broker.terminate()
        said, _ = broker.communicate(timeout=10)
    assert "Error" not in said, said
    assert (tmp_path / "mosquitto.db").is_file(), "retained states would not outlive a restart"


def test_the_media_server_is_told_no_more_than_it_needs() -> None:
    """The program itself is not to be had from a package index; names are those of its own mediamtx.yml, 1.19."""
    config = yaml.safe_load((DOCKER / "config/mediamtx.yml").read_text())
    assert config.keys() == {
        "logLevel", "logDestinations", "authMethod", "authInternalUsers", "rtsp", "rtspTransports", "rtspAddress",
        "rtmp", "hls", "webrtc", "srt", "api", "metrics", "paths",
    }  # fmt: skip
    assert config["rtspTransports"] == ["tcp"] and config["rtspAddress"] == ":8554"
    on = [name for name in ("rtsp", "rtmp", "hls", "webrtc", "srt", "api", "metrics") if config[name]]
    assert on == ["rtsp"]
    [user] = config["authInternalUsers"]
    assert {each["action"] for each in user["permissions"]} == {"publish", "read"}
    assert list(config["paths"]) == ["all_others"]


def test_grafana_finds_its_data_source_and_dashboards() -> None:
    [source] = yaml.safe_load((DOCKER / "grafana/provisioning/datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    [provider] = yaml.safe_load((DOCKER / "grafana/provisioning/dashboards/camring.yml").read_text())[
        "providers"
    ]
    volumes = yaml.safe_load((DOCKER / "compose.yml").read_text())["services"]["grafana"]["volumes"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in volumes
