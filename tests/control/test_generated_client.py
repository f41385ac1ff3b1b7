"""A client that openapi-python-client has made from the document works the cameras of a server with logins."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from engine.control.app import create_app
from engine.control.listen import bind_socket
from engine.control.roles import Role
from engine.control.security import Security
from engine.control.server import ControlServer
from tests.control.asking import SECRETS, TOKENS
from tests.control.test_openapi import DOCUMENT
from tests.control.workers import EngineInMemory

NAME = "camring_generated_client"
Asker = Callable[..., Any]


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Any]]:
    """Imports a module of the client."""
    folder = tmp_path_factory.mktemp("generated")
    document = folder / "openapi.json"
    document.write_text(json.dumps(DOCUMENT))
    config = folder / "config.json"
    config.write_text(json.dumps({"post_hooks": []}))
    command = [
        sys.executable, "-m", "openapi_python_client", "generate", "--path", str(document), "--meta", "none",
        "--config", str(config), "--output-path", str(folder / NAME),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    sys.path.insert(0, str(folder))
    yield lambda module: importlib.import_module(f"{NAME}.{module}" if module else NAME)
    sys.path.remove(str(folder))


@pytest.fixture
def url() -> Iterator[str]:
    engine, stop = EngineInMemory(), threading.Event()
    app = create_app(lambda: engine.status, engine.commands, security=Security(TOKENS))
    listening = bind_socket("127.0.0.1", 0)
    port = listening.getsockname()[1]
    thread = threading.Thread(target=ControlServer(app, listening).run, args=(lambda: not stop.is_set(),))
    thread.start()
    yield f"http://127.0.0.1:{port}"
    stop.set()
    thread.join(5)


@pytest.fixture
def asker_of(generated: Callable[[str], Any], url: str) -> Iterator[Callable[[Role], Asker]]:
    """The client's functions, with the token of a role."""
    with ExitStack() as clients:

        def asker_of(role: Role) -> Asker:
            client = clients.enter_context(
                generated("").AuthenticatedClient(base_url=url, token=SECRETS[role])
            )
            return lambda operation, *path, **fields: generated(f"api.{operation}").sync(
                *path, client=client, **fields
            )

        yield asker_of


def test_a_generated_client_works_the_cameras(
    generated: Callable[[str], Any], asker_of: Callable[[Role], Asker]
) -> None:
    models, admin, viewer = generated("models"), asker_of(Role.ADMIN), asker_of(Role.VIEWER)
    assert [each.name for each in viewer("cameras.list_cameras").cameras] == ["gate", 'odd "name"\\']
    added = admin("cameras.add_camera", body=models.NewCamera(name="yard 1", source="test://", infer_fps=5.0))
    assert (added.camera.name, added.camera.state) == ("yard 1", "running")
    (stopped,) = admin("run.stop_cameras", body=models.Which(cameras=["yard 1"])).cameras
    assert stopped.state == "stopped"
    (started,) = admin("run.start_cameras", body=models.Which(cameras=["yard 1"])).cameras
    assert started.state == "running"
    changed = admin("cameras.change_camera", "yard 1", body=models.CameraChange(loop=True))
    assert changed.camera.settings.to_dict()["loop"] is True
    assert admin("cameras.remove_camera", "yard 1").removed is True
    missing = viewer("cameras.show_camera", "yard 1")
    assert (missing.status, missing.type_) == (404, "urn:camring:problem:not-found")
    refused = viewer("run.stop_cameras", body=models.Which())
    assert refused.status == 403 and "operator" in refused.detail
    assert viewer("state.health").status.value == "ok"
    assert viewer("events.list_events", limit=5).events == []
    session = viewer("login.session")
    assert (str(session.role), session.login_required) == ("viewer", True)
