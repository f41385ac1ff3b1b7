"""Identities in the real tracking worker: back under the old ID, through restarts, kills, commands and bad files."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.config import CameraConfig, PoolConfig, RunConfig
from engine.config.identity import IdentityConfig, ReidConfig
from engine.types import Embeddings, ResultMeta, Trace, Tracks
from engine.workers import track
from engine.workers.track import Camera, advance, open_camera
from engine.workers.track_commands import Commands
from engine.workers.track_identity import CameraTime, Identities
from tests.identity.people import People
from tests.workers.house import House, Worker, detections_of, publish_frame, until

OpenHouse = Callable[[RunConfig], House]
STEP_S = 0.2
ANN, BEN = 1, 2


def config_of(
    folder: Path | None = None, cameras: str = "a", offline: bool = False, **identity: Any
) -> RunConfig:
    settings = {
        "similarity": 0.7,
        "file": str(folder / "people.bin") if folder else "off",
        "scope": "camera",
        **identity,
    }
    return RunConfig(
        "m3-cpu",
        tuple(CameraConfig(name, "test://") for name in cameras),
        reid=ReidConfig(model="made-up"),
        identity=IdentityConfig(**settings),
        pool=PoolConfig(history=30, result_history=30),
        offline=offline,
    )


class Scene:
    """People before cameras of a house; every frame is tracked as soon as it is there."""

    def __init__(
        self, house: House, people: People | None = None, before: dict[str, Any] | None = None
    ) -> None:
        self.house = house
        self.people = people or People()
        for camera in house.config.cameras:
            if house.pools.newest(f"frames:{camera.name}") is None:
                house.create_frame_pool(camera.name, 640, 480)
        self.worker: Worker = house.start("track", before)
        self.identities = Identities(self.worker.context)
        self.commands = Commands(self.worker.context, self.identities)
        self.cameras: dict[str, Camera] = {}
        for camera in house.config.cameras:
            self.cameras[camera.name] = open_camera(self.worker.context, camera.name, self.identities)

    def see(
        self, *persons: int, frames: int = 1, camera: str = "a", left: float = 0.0
    ) -> list[tuple[int, int]]:
        """(ID, gid) of these people in the newest of so many frames; `left` shifts them."""
        for _ in range(frames):
            self._publish(camera, persons, left)
            assert advance(self.worker.context, self.cameras[camera])
        lease = self.house.reader(f"tracks:{camera}").lease_newest(0)
        assert lease is not None
        with lease:
            meta = ResultMeta.unpack(lease.meta)
            tracks = Tracks.view(meta.count, lease.array()).seen()
            shown = list(zip(tracks.track_ids.tolist(), tracks.gids.tolist(), strict=True))
            del tracks
        return shown

    def _publish(self, camera: str, persons: tuple[int, ...], left: float) -> None:
        frames, results = self.house.producer(f"frames:{camera}"), self.house.producer(f"detections:{camera}")
        number = frames.newest_seq()
        seq = publish_frame(frames, number, size=(640, 480))
        found = detections_of(*((left + 100.0 * p, 50.0, left + 100.0 * p + 40, 170.0) for p in persons))
        slot = results.begin()
        assert slot is not None
        looks = np.zeros((len(persons), self.people.dims), np.float16)
        for row, person in enumerate(persons):
            looks[row] = self.people.look(person)
        captured_ns = self.house.clock.now_ns() + round(number * STEP_S * 1e9)
        embeddings = Embeddings(np.arange(len(persons), dtype=np.int32), looks)
        embeddings.write_at_end(slot.array())
        meta = ResultMeta(
            seq, number, captured_ns, 640, 480, round(number * STEP_S * 1e9), **asdict(found.write_into(slot.array())),
            trace=Trace(captured_ns, captured_ns, captured_ns, captured_ns),
            embedding_count=len(persons), embedding_dims=self.people.dims,
        )  # fmt: skip
        meta.pack_into(slot.meta)
        results.publish(slot)

    def ask(self, command: str, **fields: Any) -> dict[str, Any]:
        """The answer to a command."""
        known = len(self.worker.heard("answer"))
        self.worker.send({"type": "command", "id": f"c{known}", "to": "track", "command": command, **fields})
        self.worker.context.tend()

        def answered() -> bool:
            self.identities.tend()
            self.commands.handle()
            return len(self.worker.heard("answer")) > known

        until(answered, f"an answer to {command}")
        answer: dict[str, Any] = self.worker.heard("answer")[-1]
        return answer

    def told(self) -> list[str]:
        return [message["text"] for message in self.worker.heard("log")]

    def end(self) -> None:
        """As an ordered stop ends."""
        self.identities.close()
        self.house.kill("track")

    def kill(self) -> dict[str, Any]:
        """As kill -9 does; returns the last status."""
        status = {"identity": self.identities.told()}
        self.house.kill("track")
        return status


def come_and_go(scene: Scene) -> None:
    """Ann and Ben come; Ann leaves for four seconds."""
    assert scene.see(ANN, BEN, frames=15) == [(1, 1), (2, 2)]
    scene.see(BEN, frames=20)


def test_who_comes_back_has_the_old_id(open_house: OpenHouse) -> None:
    scene = Scene(open_house(config_of()))
    come_and_go(scene)
    shown = [scene.see(ANN, BEN, left=60.0 if frame < 0 else 0.0)[0] for frame in range(8)]
    assert {each for each, _ in shown} <= {0, 1} and shown[-1] == (1, 1)
    assert scene.cameras["a"].tracker.next_track_id == 4, "the number that was never seen is not used again"


def test_without_a_network_nothing_is_kept_and_nothing_can_be_asked(open_house: OpenHouse) -> None:
    config = replace(config_of(), reid=ReidConfig())
    scene = Scene(open_house(config))
    assert scene.see(ANN, BEN, frames=5) == [(1, 0), (2, 0)]
    assert scene.identities.told() == {} and not scene.identities.enabled
    answer = scene.ask("identities", after=0, limit=10)
    assert (answer["ok"], answer["failure"]) == (False, "conflict") and "reid.model" in answer["error"]


def test_off_is_as_before(open_house: OpenHouse) -> None:
    scene = Scene(open_house(config_of(scope="off")))
    assert scene.see(ANN, BEN, frames=15) == [(1, 0), (2, 0)]
    scene.see(BEN, frames=20)
    assert scene.see(ANN, BEN, frames=5) == [(3, 0), (2, 0)]


def test_identities_survive_the_end_of_a_run(open_house: OpenHouse, tmp_path: Path) -> None:
    scene = Scene(open_house(config_of(tmp_path)))
    come_and_go(scene)
    scene.end()
    again = Scene(open_house(config_of(tmp_path)), scene.people)
    assert (
        again.identities.file_state == "restored" and "identities remembered from before: 2" in again.told()
    )
    assert again.see(7, frames=8)[0][0] > 2, "a number that somebody remembered has had is nobody else's"
    assert again.see(7, ANN, frames=5)[1] == (1, 1)


def test_identities_survive_a_kill_of_the_worker_within_a_run(open_house: OpenHouse, tmp_path: Path) -> None:
    house = open_house(config_of(tmp_path, save_s=1.0))
    scene = Scene(house)
    assert scene.see(ANN, BEN, frames=15) == [(1, 1), (2, 2)]
    house.clock.advance(1.5)
    scene.identities.tend()
    until(lambda: scene.identities.tend(), "saved")
    before = scene.kill()
    again = Scene(house, scene.people, before)
    shown = again.see(ANN, BEN, frames=6)
    assert shown == [(1, 1), (2, 2)], "who is still there gets the ID again"


def test_without_a_file_a_kill_loses_them_and_says_so(open_house: OpenHouse) -> None:
    house = open_house(config_of())
    scene = Scene(house)
    come_and_go(scene)
    again = Scene(house, scene.people, scene.kill())
    shown = again.see(ANN, BEN, frames=6)
    assert min(track_id for track_id, _ in shown) > 2 and min(gid for _, gid in shown) > 1000
    assert any("went with the worker before" in text for text in again.told())


def test_what_was_switched_stays_switched_after_a_kill(open_house: OpenHouse, tmp_path: Path) -> None:
    house = open_house(config_of(tmp_path))
    scene = Scene(house)
    come_and_go(scene)
    assert scene.ask("identity-scope", scope="off")["result"] == {
        "scope": "off",
        "before": "camera",
        "forgotten": 2,
    }
    assert not (tmp_path / "people.bin").exists()
    again = Scene(house, scene.people, scene.kill())
    assert again.see(ANN, BEN, frames=6)[0][1] == 0


def test_somebody_who_is_to_be_forgotten_is_out_of_the_file_when_it_is_answered(
    open_house: OpenHouse, tmp_path: Path
) -> None:
    scene = Scene(open_house(config_of(tmp_path)))
    come_and_go(scene)
    page = scene.ask("identities", after=0, limit=1)["result"]
    assert (page["total"], page["next"], page["scope"]) == (2, 1, "camera")
    (ann,) = page["identities"]
    assert (ann["gid"], ann["ids"], ann["present"], ann["visits"]) == (1, {"a": 1}, [], 1) and ann[
        "looks"
    ] > 0
    (ben,) = scene.ask("identities", after=1, limit=1)["result"]["identities"]
    assert ben["present"] == ["a"]
    answer = scene.ask("forget-identity", gid=1)
    assert answer["ok"] and answer["result"] == {"forgotten": 1, "gid": 1}
    # Nothing else is saved: the next worker has only what the answer promised.
    again = Scene(open_house(config_of(tmp_path)), scene.people)
    assert [each["gid"] for each in again.ask("identities", after=0, limit=9)["result"]["identities"]] == [2]
    assert (
        again.ask("identity", gid=1)["failure"]
        == again.ask("forget-identity", gid=1)["failure"]
        == "not-found"
    )
    assert again.ask("identity", gid=2)["result"]["ids"] == {"a": 2}
    assert again.ask("forget-identities")["result"]["forgotten"] == 1
    assert (
        Scene(open_house(config_of(tmp_path)), scene.people).ask("identities", after=0, limit=9)["result"][
            "total"
        ]
        == 0
    )


@pytest.mark.parametrize(
    ("damage", "state", "said"),
    [
        (lambda content: content[:-5], "corrupt", "checksum"),
        (lambda content: b"GIF89a" + content, "foreign", "no file of identities"),
        (lambda content: content[:8] + b"\x09" + content[9:], "newer", "newer version"),
    ],
)
def test_a_bad_file_is_moved_aside_and_the_run_goes_on(
    open_house: OpenHouse, tmp_path: Path, damage: Callable[[bytes], bytes], state: str, said: str
) -> None:
    scene = Scene(open_house(config_of(tmp_path)))
    come_and_go(scene)
    scene.end()
    path = tmp_path / "people.bin"
    path.write_bytes(damage(path.read_bytes()))
    again = Scene(open_house(config_of(tmp_path)), scene.people)
    (line,) = again.told()
    assert said in line and "people.bin.bad" in line and "without identities" in line
    assert again.identities.told()["file"] == state
    assert again.see(ANN, frames=3) == [(1, 1)]
    again.end()
    assert sorted(os.listdir(tmp_path)) == ["people.bin", "people.bin.bad"]


def test_looks_of_another_network_are_refused_not_compared(open_house: OpenHouse, tmp_path: Path) -> None:
    scene = Scene(open_house(config_of(tmp_path)))
    come_and_go(scene)
    scene.end()
    config = config_of(tmp_path)
    again = Scene(open_house(replace(config, reid=ReidConfig(model="another"))), scene.people)
    assert (
        again.identities.file_state == "network"
        and "another network (made-up, now another)" in again.told()[0]
    )
    assert len(again.identities.gallery or ()) == 0


def test_a_scope_of_off_deletes_our_file_and_nobody_elses(open_house: OpenHouse, tmp_path: Path) -> None:
    scene = Scene(open_house(config_of(tmp_path)))
    come_and_go(scene)
    scene.end()
    path = tmp_path / "people.bin"
    Scene(open_house(config_of(tmp_path, scope="off"))).end()
    assert not path.exists()
    path.write_bytes(b"somebody's thesis")
    Scene(open_house(config_of(tmp_path, scope="off"))).end()
    assert sorted(os.listdir(tmp_path)) == ["people.bin.bad"]


def test_a_full_disk_does_not_stop_the_run(
    open_house: OpenHouse, small_disk: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small_disk(8192)
    (folder / "ballast").write_bytes(bytes(8192))
    house = open_house(config_of(folder, save_s=1.0))
    scene = Scene(house)
    come_and_go(scene)
    for _ in range(2):
        house.clock.advance(1.5)
        scene.identities.tend()
        until(lambda: scene.identities.tend(), "tried to save")
    assert [text for text in scene.told() if "cannot be saved" in text] == [scene.told()[-1]], "said once"
    assert "No space left" in scene.identities.degraded()[0]
    assert scene.see(ANN, BEN, frames=4)[0] == (1, 1)
    (folder / "ballast").unlink()
    house.clock.advance(1.5)
    scene.identities.tend()
    until(lambda: scene.identities.tend(), "saved")
    assert scene.identities.degraded() == [] and scene.identities.told()["saved"] == 1
    scene.end()


def test_all_cameras_know_them_in_a_global_scope(open_house: OpenHouse) -> None:
    scene = Scene(open_house(config_of(cameras="ab", scope="global")))
    assert scene.see(ANN, BEN, frames=15, camera="a") == [(1, 1), (2, 3)]
    scene.see(frames=20, camera="a")
    scene.see(7, frames=30, camera="b")
    assert scene.see(7, BEN, ANN, frames=6, camera="b") == [(1, 2), (2, 3), (3, 1)]


def test_the_same_records_give_the_same(open_house: OpenHouse) -> None:
    answers = []
    for _ in range(2):
        scene = Scene(open_house(config_of(similarity=0.0)))
        answers.append([scene.see(*range(1, 2 + (frame // 9) % 4)) for frame in range(60)])
    assert answers[0] == answers[1]


def test_a_files_own_time_goes_on_where_it_begins_again() -> None:
    time = CameraTime()
    assert [time.of_source(source_s) for source_s in (0.0, 1.0, 2.0, 0.5, 1.5, 1.5)] == [0, 1, 2, 2, 3, 3]


def test_the_whole_worker_tells_of_itself_saves_and_ends(open_house: OpenHouse, tmp_path: Path) -> None:
    house = open_house(config_of(tmp_path))
    house.create_frame_pool("a", 640, 480)
    worker = house.start("track")
    thread = threading.Thread(target=track.run, args=(worker.context,))
    thread.start()
    worker.send(
        {"type": "command", "id": "1", "to": "track", "command": "identities", "after": 0, "limit": 5}
    )
    until(lambda: bool(worker.heard("answer")), "an answer", worker)
    worker.send({"type": "command", "id": "2", "to": "track", "command": "dance"})
    until(lambda: len(worker.heard("answer")) == 2, "an answer", worker)
    assert not worker.heard("answer")[1]["ok"]
    worker.send({"type": "stop"})
    thread.join(10)
    assert not thread.is_alive() and (tmp_path / "people.bin").is_file()
    told = worker.context.status["identity"]
    assert (told["scope"], told["known"], told["file"]) == ("camera", 0, "none")
