"""Identities as a user meets them: back under the old ID after a restart, forgotten over HTTP, alive after a kill."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.engine import EngineRun, clip, model, until
from tests.e2e.test_segment import ask

pytestmark = [pytest.mark.data, pytest.mark.slow]

Start = Callable[..., EngineRun]


def arguments(data_dir: Path) -> list[str]:
    """Two people at a tree: each is hidden for a while."""
    return [
        "--source", clip(data_dir, "et_12_hideandseek"), "--model", model(data_dir), "--no-overlay",
        "--reid", model(data_dir, "osnet_x0_25_msmt17_dynbatch"), "--identity", "camera",
    ]  # fmt: skip


def shown(line: dict[str, Any]) -> set[tuple[int, int]]:
    """(id, gid) of those with an ID."""
    return {(thing["id"], thing.get("gid")) for thing in line["objects"] if thing["id"]}


def test_a_saved_gallery_knows_them_in_the_next_run(
    engine_run: Start, data_dir: Path, tmp_path: Path
) -> None:
    environ = {"ENGINE_IDENTITY_FILE": str(tmp_path / "people.bin")}
    first = engine_run(*arguments(data_dir), "--offline", environ=environ)
    assert first.wait() == 0, first.text()
    known = set().union(*(shown(line) for line in first.lines()))
    assert shown(first.lines()[0]) == {(1, 1), (2, 2)}
    file = tmp_path / "people.bin"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    second = engine_run(*arguments(data_dir), "--offline", environ=environ)
    assert second.wait() == 0, second.text()
    assert f"identities remembered from before: {len(known)}" in second.text()
    beginning = second.lines()[:15]
    assert set().union(*(shown(line) for line in beginning)) == {(1, 1), (2, 2)}, "never under another ID"
    assert shown(beginning[-1]) == {(1, 1), (2, 2)}


def test_forgetting_scopes_and_a_kill_in_a_live_run(
    engine_run: Start, data_dir: Path, tmp_path: Path
) -> None:
    file = tmp_path / "people.bin"
    environ = {"ENGINE_IDENTITY_FILE": str(file), "ENGINE_IDENTITY_SAVE_S": "1"}
    run = engine_run(*arguments(data_dir), "--loop", environ=environ)

    def identity() -> dict[str, Any]:
        told: dict[str, Any] = (run.health() or {}).get("identity") or {}
        return told

    until(lambda: identity().get("known", 0) >= 2 and identity()["saved"], 60, "two people known and saved")
    status, page = ask(run, "GET", "/identities")
    assert status == 200 and page["scope"] == "camera" and page["total"] >= 2
    assert {"gid", "class", "ids", "present", "visits"} <= page["identities"][0].keys()
    assert page["identities"][0]["class"] == "person" and file.is_file()

    (track,) = [pid for pid, command in run.workers().items() if command == "track"]
    os.kill(track, signal.SIGKILL)
    until(lambda: "remembered from before: " in run.text(), 40, "the next worker has read the file")
    status, page = until(lambda: _answered(run), 40, "the next worker answers and knows them")
    gid = page["identities"][0]["gid"]
    assert ask(run, "DELETE", f"/identities/{gid}") == (200, {"forgotten": 1, "gid": gid})
    assert ask(run, "GET", f"/identities/{gid}")[0] == 404
    status, answer = ask(run, "PUT", "/identities", {"scope": "off"})
    assert (status, answer["scope"], answer["before"]) == (200, "off", "camera")
    assert not file.exists(), "off means that nothing is kept anywhere"
    assert ask(run, "GET", "/identities")[1]["total"] == 0
    count = len(run.lines())
    until(lambda: run.results_after(count + 10), 30, "results go on")
    assert {gid for line in run.lines()[count + 5 :] for _, gid in shown(line)} <= {None}
    assert run.stop() == 0 and not file.exists()


def _answered(run: EngineRun) -> tuple[int, dict[str, Any]] | None:
    status, page = ask(run, "GET", "/identities")
    return (status, page) if status == 200 and page["identities"] else None
