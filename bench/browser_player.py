"""A real Chromium that plays a camera's video and reads the clock in every frame that it shows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip

_PLAYER = """
() => {
  const video = document.createElement('video');
  video.muted = true; video.autoplay = true; video.playsInline = true;
  document.body.prepend(video);
  const canvas = document.createElement('canvas');
  const pen = canvas.getContext('2d', {willReadFrequently: true});
  const state = window.player = {video, told: {}, shown: [], states: [], errors: [], block: 0};
  const look = (now, meta) => {
    canvas.width = meta.width; canvas.height = 16;
    pen.drawImage(video, 0, 0, meta.width, 16, 0, 0, meta.width, 16);
    const data = pen.getImageData(0, 0, meta.width, 16).data;
    const block = state.block || Math.floor(meta.width / 64);
    let number = 0, painted = 0;
    for (let bit = 0; bit < 64; bit++) {
      const at = (8 * meta.width + Math.floor(bit * block + block / 2)) * 4;
      const one = data[at] > 128 ? 1 : 0;
      if (bit < 32) number = (number * 2 + one) >>> 0; else painted = (painted * 2 + one) >>> 0;
    }
    const at = performance.timeOrigin + meta.expectedDisplayTime;
    const told = state.told[meta.rtpTimestamp];
    state.shown.push({number, painted, at, read: performance.timeOrigin + performance.now(),
                      frame: told ? told.frame : null, rtp: meta.rtpTimestamp ?? null});
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
}
"""
_WHEP = """
async (url) => {
  const peer = player.peer = new RTCPeerConnection();
  peer.addTransceiver('video', {direction: 'recvonly'});
  const channel = peer.createDataChannel('frames', {ordered: false, maxRetransmits: 0});
  channel.onmessage = (event) => { const told = JSON.parse(event.data); player.told[told.rtp] = told; };
  peer.ontrack = (event) => { player.video.srcObject = new MediaStream([event.track]); };
  peer.onconnectionstatechange = () => player.states.push(peer.connectionState);
  await peer.setLocalDescription(await peer.createOffer());
  const answer = await fetch(url, {method: 'POST', headers: {'Content-Type': 'application/sdp'},
                                   body: peer.localDescription.sdp});
  const text = await answer.text();
  if (answer.status !== 201) throw new Error(text);
  await peer.setRemoteDescription({type: 'answer', sdp: text});
  return answer.headers.get('location');
}
"""
_HLS = """
async (url) => {
  const base = url.replace(/[^/]*$/, '');
  const source = new MediaSource();
  player.video.src = URL.createObjectURL(source);
  await new Promise((done) => source.addEventListener('sourceopen', done, {once: true}));
  const get = async (name) => {
    const answer = await fetch(base + name);
    if (!answer.ok) throw new Error(name + ' ' + answer.status);
    return answer;
  };
  const first = await (await get('index.m3u8')).text();
  const init = await (await get(first.match(/#EXT-X-MAP:URI="([^"]+)"/)[1])).arrayBuffer();
  const bytes = new Uint8Array(init);
  let codec = 'avc1.42C01F';
  for (let at = 0; at + 8 < bytes.length; at++)
    if (String.fromCharCode(...bytes.slice(at, at + 4)) === 'avcC')
      codec = 'avc1.' + [...bytes.slice(at + 5, at + 8)].map((x) => x.toString(16).padStart(2, '0')).join('');
  const buffer = source.addSourceBuffer(`video/mp4; codecs="${codec}"`);
  buffer.mode = 'segments';
  const append = (data) => new Promise((done, fail) => {
    buffer.addEventListener('updateend', done, {once: true});
    buffer.addEventListener('error', () => fail(new Error('append')), {once: true});
    buffer.appendBuffer(data);
  });
  await append(init);
  const seen = new Set();
  let started = false;
  (async () => {
    let text = first;
    while (!player.stop) {
      const parts = [...text.matchAll(/#EXT-X-PART:[^\\n]*/g)].map((match) => match[0]);
      const names = parts.map((line) => line.match(/URI="([^"]+)"/)[1]);
      if (!started) {
        let from = parts.map((line) => line.includes('INDEPENDENT=YES')).lastIndexOf(true);
        names.slice(0, Math.max(0, from)).forEach((name) => seen.add(name));
        started = true;
      }
      for (const name of names) if (!seen.has(name)) {
        seen.add(name);
        await append(await (await get(name)).arrayBuffer());
      }
      const buffered = player.video.buffered;
      if (buffered.length) {
        const end = buffered.end(buffered.length - 1);
        if (end - player.video.currentTime > player.lag + 0.5 || player.video.currentTime < buffered.start(0))
          player.video.currentTime = Math.max(buffered.start(0), end - player.lag);
        if (player.video.paused) player.video.play();
      }
      const sequence = +text.match(/#EXT-X-MEDIA-SEQUENCE:(\\d+)/)[1];
      const body = text.split('\\n');
      let number = sequence, part = 0;
      for (const line of body) {
        if (line.startsWith('#EXT-X-PART:')) part++;
        if (line && !line.startsWith('#')) { number++; part = 0; }
      }
      text = await (await get(`index.m3u8?_HLS_msn=${number}&_HLS_part=${part}`)).text();
    }
  })().catch((error) => player.errors.push(String(error)));
}
"""
_STATISTICS = """
async () => {
  const found = {};
  if (player.peer) for (const each of (await player.peer.getStats()).values()) {
    if (each.type === 'inbound-rtp') Object.assign(found, {
      framesDecoded: each.framesDecoded, framesDropped: each.framesDropped, packetsLost: each.packetsLost,
      freezeCount: each.freezeCount, pliCount: each.pliCount,
      jitterBufferMs: 1000 * each.jitterBufferDelay / Math.max(1, each.jitterBufferEmittedCount)});
  }
  return {...found, states: player.states, errors: player.errors, connection: player.peer?.connectionState ?? null};
}
"""


@dataclass(frozen=True)
class Shown:
    """One frame as the browser showed it.

    number      read from the picture
    painted_ms  time in the picture, CLOCK_MONOTONIC in ms modulo 2³²
    shown_s     seconds since the epoch when the browser expected it on the screen
    told        frame number of the data channel for its RTP timestamp, None where it was not told of
    """

    number: int
    painted_ms: int
    shown_s: float
    told: int | None


class Player:
    """A page of the server's own origin that plays one video. `page` is playwright's."""

    def __init__(self, page: Any, block: int = 0) -> None:
        self.page = page
        page.evaluate(_PLAYER)
        page.evaluate("(block) => { player.block = block }", block)

    def whep(self, path: str) -> str:
        """Play over WebRTC; the session's location."""
        location: str = self.page.evaluate(_WHEP, path)
        return location

    def hls(self, path: str, lag_s: float) -> None:
        """Play low-latency HLS, so far behind the newest part."""
        self.page.evaluate("(lag) => { player.lag = lag }", lag_s)
        self.page.evaluate(_HLS, path)

    def wait(self, seconds: float) -> None:
        """Let it play."""
        self.page.wait_for_timeout(seconds * 1000)

    def statistics(self) -> dict[str, Any]:
        """What getStats says of the video."""
        found: dict[str, Any] = self.page.evaluate(_STATISTICS)
        return found

    def shown(self) -> list[Shown]:
        """Every frame so far."""
        rows = self.page.evaluate("() => player.shown")
        return [
            Shown(row["number"], row["painted"], max(row["at"], row["read"]) / 1000, row["frame"])
            for row in rows
        ]


@contextmanager
def browser_page(url: str) -> Iterator[Any]:
    """A page of this origin. Its policy is not in the way: what is evaluated here is not the server's."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        try:
            page = browser.new_context(bypass_csp=True).new_page()
            page.goto(url)
            yield page
        finally:
            browser.close()
