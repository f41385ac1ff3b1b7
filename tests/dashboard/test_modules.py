"""The dashboard's pure modules, run by the browser that they are for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page
from pycocotools import mask as coco
from starlette.applications import Starlette

from engine.control.listen import bind_socket
from engine.control.pages import page_routes
from engine.control.server import ControlServer
from tests.dashboard.browser import visiting


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """An empty page of the origin that serves the modules."""
    listening = bind_socket("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    stop = threading.Event()
    server = ControlServer(Starlette(routes=page_routes("")), listening)
    thread = threading.Thread(target=server.run, args=(lambda: not stop.is_set(),))
    thread.start()
    try:
        with visiting(browser, url) as visit:
            yield visit.go("static/icon.svg")
    finally:
        stop.set()
        thread.join(10)


def run(page: Page, module: str, body: str, argument: Any = None) -> Any:
    """The value of a function body that knows the module as `m` and its argument as `a`."""
    return page.evaluate(
        f"async (a) => {{ const m = await import('/static/{module}.js'); {body} }}", argument
    )


@pytest.mark.parametrize(
    ("box", "video", "left", "top", "width", "height"),
    [
        ((640, 360), (1920, 1080), 0, 0, 640, 360),
        ((640, 640), (1920, 1080), 0, 140, 640, 360),
        ((800, 360), (1280, 720), 80, 0, 640, 360),
        ((390, 219), (640, 480), 49, 0, 292, 219),
    ],
)
def test_a_picture_lies_in_the_middle_of_its_box(
    page: Page, box: Any, video: Any, left: float, top: float, width: float, height: float
) -> None:
    sizes = [dict(zip(("width", "height"), size, strict=True)) for size in (box, video)]
    found = run(page, "geometry", "return m.place(a[0], a[1], {width: 3840, height: 2160})", sizes)
    expected = {"left": left, "top": top, "width": width, "height": height}
    assert {key: found[key] for key in expected} == pytest.approx(expected)
    assert (found["sourceWidth"], found["sourceHeight"]) == (3840, 2160)


def test_there_and_back_is_the_same_point(page: Page) -> None:
    body = """
      const placement = m.place({width: 700, height: 500}, {width: 1280, height: 720}, {width: 1920, height: 1080});
      return a.map(([x, y]) => m.toSource(placement, ...m.toBox(placement, x, y)));
    """
    points = [[0.0, 0.0], [1919.0, 1079.0], [960.5, 17.25], [3.0, 1000.0]]
    assert np.allclose(run(page, "geometry", body, points), points)


def test_beside_the_picture_is_no_point_of_it(page: Page) -> None:
    body = """
      const placement = m.place({width: 800, height: 360}, {width: 1280, height: 720}, {width: 1280, height: 720});
      return [m.toSource(placement, 79, 100), m.toSource(placement, 721, 100), m.toSource(placement, 80, 0),
              m.toSource(placement, 720, 360), m.toSourceClamped(placement, 0, 400),
              m.place({width: 0, height: 5}, {width: 1, height: 1}, {width: 1, height: 1})];
    """
    outside, beyond, corner, last, clamped, nothing = run(page, "geometry", body)
    assert outside is None and beyond is None and nothing is None
    assert corner == [0, 0] and last == [1279, 719] and clamped == [0, 719]


def test_the_smallest_object_at_a_point_is_chosen(page: Page) -> None:
    objects = [
        {"id": 1, "bbox": [0, 0, 100, 100]},
        {"id": 2, "bbox": [40, 40, 20, 20]},
        {"id": None, "bbox": [49, 49, 2, 2]},
    ]
    body = "return [[50, 50], [10, 10], [200, 200]].map(p => m.objectAt(a, p)?.id ?? null)"
    assert run(page, "geometry", body, objects) == [2, 1, None]


def test_run_lengths_are_those_of_pycocotools(page: Page) -> None:
    random = np.random.default_rng(3)
    for height, width in ((7, 5), (180, 320), (33, 64)):
        mask = np.zeros((height, width), np.uint8)
        mask[2 : height - 1, 1 : width - 2] = random.random((height - 3, width - 3)) < 0.4
        packed = coco.encode(np.asfortranarray(mask))
        told = {"size": [height, width], "counts": packed["counts"].decode()}
        found = run(
            page,
            "rle",
            "const p = m.maskPixels(a, [1, 2, 3], 9); return {...p, rgba: [...p.rgba]}",
            told,
        )
        picture = np.array(found["rgba"], np.uint8).reshape(found["height"], found["width"], 4)
        whole = np.zeros((height, width), np.uint8)
        rows = slice(found["top"], found["top"] + found["height"])
        columns = slice(found["left"], found["left"] + found["width"])
        whole[rows, columns] = picture[..., 3] == 9
        assert np.array_equal(whole, mask)
        assert (picture[picture[..., 3] == 9] == [1, 2, 3, 9]).all()
    empty = coco.encode(np.zeros((4, 4), np.uint8, order="F"))["counts"].decode()
    assert run(page, "rle", "return m.maskPixels(a, [0, 0, 0], 1)", {"size": [4, 4], "counts": empty}) is None


def test_a_colour_is_the_same_as_text_and_as_numbers(page: Page) -> None:
    body = """
      const context = new OffscreenCanvas(1, 1).getContext('2d');
      return [1, 2, 7, 100, null].map(id => {
        context.fillStyle = m.colourOf(id);
        context.fillRect(0, 0, 1, 1);
        return [[...context.getImageData(0, 0, 1, 1).data.slice(0, 3)], m.rgbOf(id)];
      });
    """
    for drawn, told in run(page, "colours", body):
        assert np.abs(np.subtract(drawn, told)).max() <= 1


def test_records_are_found_by_frame_and_by_time_and_are_bounded(page: Page) -> None:
    body = """
      const buffer = new m.RecordBuffer(10);
      for (let n = 0; n < 40; n += 2) buffer.add({frame: n, time: n / 20, objects: []});
      const frame = (record) => record?.frame ?? null;
      const found = [frame(buffer.ofFrame(30)), frame(buffer.ofFrame(31)), frame(buffer.ofFrame(2)),
        frame(buffer.atOrBefore(31, 1.55, 0.4)), frame(buffer.atOrBefore(99, 4.95, 0.4)),
        frame(buffer.nearTime(1.54, 0.05)), frame(buffer.nearTime(1.56, 0.05)), frame(buffer.nearTime(9, 0.05)),
        buffer.upTo(33, 3).map(frame), buffer.records.length];
      buffer.add({frame: 5, time: 3, objects: []});
      return [...found, buffer.records.map(frame)];
    """
    assert run(page, "records", body) == [
        30, None, None, 30, None, 30, 32, None, [28, 30, 32], 10, [5]
    ]  # fmt: skip


def test_a_playlist_with_parts(page: Page) -> None:
    text = """#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.6
#EXT-X-MEDIA-SEQUENCE:41
#EXT-X-MAP:URI="init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.250Z
#EXTINF:2.0,
segment41.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:07.250Z
#EXT-X-PART:DURATION=0.2,URI="part42.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.2,URI="part42.1.m4s"
#EXTINF:0.4,
segment42.m4s
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:07.650Z
#EXT-X-PART:DURATION=0.2,URI="part43.0.m4s",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="part43.1.m4s"
"""
    found = run(page, "playlist", "return m.parsePlaylist(a)", text)
    assert (found["init"], found["blocking"], found["targetS"]) == ("init.mp4", True, 2)
    assert (found["nextMsn"], found["nextPart"], found["ended"]) == (43, 1, False)
    assert [part["key"] for part in found["parts"]] == ["41.whole", "42.0", "42.1", "43.0"]
    assert [part["time"] for part in found["parts"]] == [1767323045.25, 1767323047.25, None, 1767323047.65]
    assert [part["discontinuity"] for part in found["parts"]] == [False, False, False, True]


def test_multipart_in_pieces_of_any_size(page: Page) -> None:
    body = """
      const reader = new m.MultipartReader('multipart/x-mixed-replace; boundary=b');
      const bytes = new TextEncoder().encode(a.text);
      const parts = [];
      for (let at = 0; at < bytes.length; at += a.step) parts.push(...reader.push(bytes.slice(at, at + a.step)));
      return parts.map(part => [part.headers.get('x-frame'), new TextDecoder().decode(part.body)]);
    """
    text = "".join(
        f"--b\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\nX-Frame: {number}\r\n\r\n{content}\r\n"
        for number, content in enumerate(("first", "a\r\n--b\r\n\r\nb", ""))
    )
    for step in (1, 7, 1000):
        assert run(page, "multipart", body, {"text": text, "step": step}) == [
            ["0", "first"], ["1", "a\r\n--b\r\n\r\nb"], ["2", ""]
        ]  # fmt: skip


def test_counters_become_rates_and_a_restart_is_a_gap(page: Page) -> None:
    body = """
      const history = new m.History(4);
      const health = (cpu, dropped) => ({
        processes: {infer: {rss_bytes: 2 ** 20, cpu_s: cpu}},
        cameras: {gate: {fps_in: 30, fps_inferred: 15, latency_ms: {p50: 10, p95: null}, dropped: {rate: dropped}}},
      });
      [[0, 0], [1, 5], [2, 10], [0.5, 0], [1.5, 3], [2.5, 6]].forEach(([cpu, dropped], time) =>
        history.add(health(cpu, dropped), time));
      return Object.fromEntries([...history.series].map(([name, series]) => [name, series.values]));
    """
    found = run(page, "history", body)
    assert found["cpu/infer"] == [100, None, 100, 100]
    assert found["drops/gate: rate"] == [5, None, 3, 3]
    assert found["fps/gate"] == [15] * 4 and found["latency/gate p95"] == [None] * 4


def test_waiting_between_attempts_grows_to_a_bound(page: Page) -> None:
    body = "const b = new m.Backoff(100, 1000); return Array.from({length: 8}, () => b.next())"
    waits = run(page, "backoff", body)
    assert all(full / 2 <= wait <= full for wait, full in zip(waits, (100, 200, 400, 800), strict=False))
    assert all(500 <= wait <= 1000 for wait in waits[4:])


def test_outputs_are_told_in_words(page: Page) -> None:
    destination = {
        "state": "waiting", "reason": "connection refused", "since_s": 3.0, "connections": 1, "reconnects": 2,
        "packets": 90, "bytes": 9000, "dropped": {"disconnected": 7, "too_slow": 0}, "queue": 4, "lag_ms": 31.4,
    }  # fmt: skip
    rendition = {
        "encoder": "libx264", "reason": "configured", "running": True, "trouble": "", "watched": True,
        "fps": 14.96, "kbps": 801.2, "dropped": {},
    }  # fmt: skip
    health = {
        "publish": {"gate": {"destinations": {"rtmp://there/live": destination}}},
        "cameras": {
            "gate": {
                "video": {
                    "renditions": {"clean": rendition, "overlay": {**rendition, "running": False, "watched": False}},
                    "recording": {"state": "disk full", "trouble": "no room", "file": "", "frames": 5, "dropped": {}},
                }
            },
            "yard": {"video": None},
        },
        "bus": {"brokers": {"mqtt://broker": {
            "state": "connected", "reason": "", "sent": {"events": 3}, "dropped": {}, "queue": {"state": 0},
            "reconnects": 0,
        }}},
        "viewers": {"watching": {"clean": 2}, "skipped": {}},
        "streams": {"events": {"clients": 0, "sent": 0, "lost": 0}, "results": {"clients": 1, "sent": 9, "lost": 1}},
    }  # fmt: skip
    assert run(page, "outputs", "return m.outputRows(a)", health) == [
        ["gate → rtmp://there/live", "waiting",
         "connection refused · 90 packets · 2 reconnects · 4 waiting · 31 ms behind · dropped: disconnected 7"],
        ["gate: recording", "disk full", "no room · 5 frames"],
        ["gate: clean", "running", "libx264 (configured) · 15.0 fps, 801 kbit/s"],
        ["mqtt://broker", "connected", "sent: events 3"],
        ["live video", "running", "watching: clean 2"],
        ["WebSocket: results", "running", "1 clients, 9 sent, 1 lost"],
    ]  # fmt: skip
