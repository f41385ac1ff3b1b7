"""docker/compose.yml and the .env files: the real schema, and what we ask of them beyond."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml  # type: ignore[import-untyped]  # ships no types

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
ENVIRONMENTS = ("dev", "prod")
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)\}")
OURS = ("engine", "engine-gpu", "cameras", "head")


@cache
def compose() -> dict[str, Any]:
    """The file as it stands, with anchors merged and variables not replaced."""
    found: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yml").read_text())
    return found


def services() -> dict[str, Any]:
    found: dict[str, Any] = compose()["services"]
    return found


@cache
def settings(name: str) -> dict[str, str]:
    """An .env file's variables."""
    found: dict[str, str] = {}
    for line in (DOCKER / f".env.{name}").read_text().splitlines():
        if line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals and re.fullmatch(r"[A-Z][A-Z0-9_]*", key) and key not in found, line
            found[key] = value
    return found


def resolved(value: Any, name: str) -> Any:
    """The same with an .env file's values, as compose puts them in."""
    if isinstance(value, dict):
        return {key: resolved(each, name) for key, each in value.items()}
    if isinstance(value, list):
        return [resolved(each, name) for each in value]
    if isinstance(value, str):
        return VARIABLE.sub(lambda match: settings(name)[match[1]], value).replace("$$", "$")
    return value


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_it_follows_the_schema_of_compose_files(name: str) -> None:
    schemas = pytest.importorskip("check_jsonschema", reason="make test installs check-jsonschema")
    schema = json.loads((files(schemas) / "builtin_schemas/vendor/compose-spec.json").read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    for document in (compose(), resolved(compose(), name)):
        faults = [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(document)]
        assert not faults
    assert list(validator.iter_errors({"services": {"a": {"imgae": "b"}}})), "a schema that refuses nothing"


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_variable_is_set_and_none_is_left_over(name: str) -> None:
    text = re.sub(r"(^|\s)#.*", "", (DOCKER / "compose.yml").read_text())
    used = set(VARIABLE.findall(text))
    assert "${" not in VARIABLE.sub("", text), "a form of variables that is not looked for here"
    of_scripts = {"DEVICE", "COMPOSE_PROFILES"}
    assert used | of_scripts == set(settings(name))


def test_both_files_have_the_same_variables_in_the_same_order() -> None:
    assert list(settings("dev")) == list(settings("prod"))


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_device_chooses_the_engine(name: str) -> None:
    chosen = settings(name)
    engines = {"cpu": "cpu", "cuda": "gpu"}
    profiles = chosen["COMPOSE_PROFILES"].split(",")
    assert [each for each in profiles if each in engines.values()] == [engines[chosen["DEVICE"]]]
    assert set(profiles) <= {profile for service in services().values() for profile in service["profiles"]}
    assert (ROOT / "configs/profiles" / f"{chosen['PROFILE']}.toml").is_file()
    assert services()["engine"]["profiles"] == ["cpu"] and services()["engine-gpu"]["profiles"] == ["gpu"]
    assert services()["engine-gpu"]["build"]["dockerfile"] == "docker/Dockerfile.gpu"


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_no_secret_stands_in_an_env_file(name: str) -> None:
    for key, value in settings(name).items():
        assert not re.search(r"PASSWORD|TOKEN|SECRET$|KEY", key), key
        assert not re.search(r"://[^/]*@", value), f"{key} has a login in its address"
        assert len(value) < 24 or re.search(r"[/:,]", value), f"{key} looks like a secret"


@pytest.mark.parametrize("name", services())
def test_every_container_is_confined(name: str) -> None:
    service = services()[name]
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "devices", "pid", "ipc", "network_mode"} & set(service)
    limits = service["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory", "pids"}
    for port in resolved(service, "dev").get("ports", ()):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port), f"{port} is open to others"
    assert service["restart"] == "unless-stopped" and service["logging"]["options"]["max-size"]
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", ()))


@pytest.mark.parametrize("name", services())
def test_every_container_has_a_user_a_version_and_a_check(name: str) -> None:
    service = resolved(services()[name], "prod")
    if name in OURS:
        assert service["image"].startswith("camring:") and (ROOT / service["build"]["dockerfile"]).is_file()
        assert "user" not in service, "the image has its own"
    else:
        assert re.fullmatch(r"[\w/-]+:v?\d+\.\d+\.\d+", service["image"]), service["image"]
        assert re.fullmatch(r"[1-9]\d*:\d+", service["user"])
        assert "healthcheck" in service or name == "media", (
            "the image of the media server has nothing to ask it with"
        )


def test_what_is_mounted_is_there() -> None:
    for name, service in services().items():
        for volume in service.get("volumes", ()):
            source, _, *mode = volume.split(":")
            if source.startswith("./"):
                assert (DOCKER / source).exists(), f"{name}: {volume}"
                assert mode == ["ro"], f"{name} may write to {source}"
            elif not source.startswith("${"):
                assert source in compose()["volumes"], f"{name}: {volume}"
        assert set(service.get("secrets", ())) <= set(compose()["secrets"])
        networks = service["networks"]
        assert set(networks) <= set(compose()["networks"])
    assert compose()["networks"]["inside"] == {"internal": True}
    assert all("outside" not in services()[name]["networks"] for name in ("cameras", "head"))


def test_secrets_are_files_that_run_local_makes() -> None:
    script = (DOCKER / "run_local.sh").read_text()
    for name, secret in compose()["secrets"].items():
        assert secret.keys() == {"file"}, f"{name}: compose gives no other kind to a read-only container"
        assert f"make_secret {Path(secret['file']).name}\n" in script


def test_prometheus_scrapes_the_engine_whichever_it_is() -> None:
    target = yaml.safe_load((DOCKER / "prometheus/prometheus.yml").read_text())["scrape_configs"][0]
    assert target["static_configs"][0]["targets"] == ["engine:8080"]
    assert target["authorization"]["credentials_file"] == "/run/secrets/camring_token"
    for name in ("engine", "engine-gpu"):
        service = services()[name]
        # Its host name, or the engine would refuse the request (docs/security.md, other sites).
        assert service["hostname"] == "engine" and service["networks"]["inside"]["aliases"] == ["engine"]
    assert "camring_token" in services()["prometheus"]["secrets"]


def environment_of(service: dict[str, Any]) -> dict[str, str]:
    """The variables that the image and compose give to a service."""
    ours = {
        key: str(value) for key, value in service["environment"].items() if not key.startswith("CAMRING_")
    }
    token = {"ENGINE_TOKEN_ADMIN": "of-a-test-only-0123456789"}
    return {**ours, **token, "ENGINE_CONTROL_HOST": "0.0.0.0", "ENGINE_OUTPUT_DIRECTORY": "/tmp/out"}


@pytest.mark.parametrize("name", ENVIRONMENTS)
@pytest.mark.parametrize("service", ("engine", "engine-gpu", "cameras"))
def test_the_engine_takes_flags_and_settings(service: str, name: str, tmp_path: Path) -> None:
    found = resolved(services()[service], name)
    command = [re.sub(r"^/cameras/", f"{DOCKER}/cameras/", word) for word in found["command"]]
    if settings(name)["CAMERAS"] == "cameras.toml" and service != "cameras":
        (tmp_path / "cameras.toml").write_text(
            '[[camera]]\nname = "gate"\nsource = "rtsp://192.0.2.1/live"\n'
        )
        command[-1] = str(tmp_path / "cameras.toml")
    engine = [sys.executable, "-m", "engine.cli", *command, "--print-config"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environment_of(found)}
    done = subprocess.run(engine, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    if service == "cameras":
        assert 'view = "clean"' in done.stdout and "jsonl = false" in done.stdout


def test_the_simulated_head_takes_its_flags() -> None:
    script, command, *flags = services()["head"]["command"]
    assert (script, command) == ("engine-ptz", "simulate")
    from ptz.simulator.__main__ import build_parser
    from ptz.simulator.scenes import SCENES

    parser = build_parser()
    parser.add_argument("--scene")
    found = parser.parse_args(flags)
    assert found.scene in SCENES and found.host == "0.0.0.0"
    cameras = (DOCKER / "cameras/simulated.toml").read_text()
    assert f"head:{found.http}/ISAPI" in cameras and f"http://head:{found.http}" in cameras
