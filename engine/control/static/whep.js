// @ts-check
/** Live video by WebRTC: one WHEP session (draft-ietf-wish-whep), its pictures named by the data channel `frames`. */

import { refusal } from "./api.js";

const GATHERING_MS = 1000;
const MOST_NAMES = 600;

/**
 * @typedef {object} Shown  which picture is on the screen
 * @property {number | null} frame  number of the frame in its source; null: not known (yet)
 * @property {number | null} time   seconds since the epoch, as in records
 * @property {boolean} noSignal
 */

/**
 * @typedef {object} Transport  a way in which live video comes
 * @property {() => Promise<void>} start  done when it is connected; throws where it cannot be
 * @property {() => void} stop
 * @property {(shown: Shown) => void} onshown  a new picture is on the screen
 * @property {(reason: string) => void} onended  it has broken off
 */

/** @implements {Transport} */
export class WhepVideo {
  /**
   * @param {HTMLVideoElement} video
   * @param {string} url  /whep/CAMERA?view=clean
   */
  constructor(video, url) {
    this.video = video;
    this.url = url;
    this.onshown = (/** @type {Shown} */ _shown) => {};
    this.onended = (/** @type {string} */ _reason) => {};
    /** @type {Map<number, Shown>} by RTP time stamp */
    this.names = new Map();
    /** @type {number | null} RTP time stamp of the picture on the screen */
    this.rtp = null;
    this.session = "";
    this.stopped = false;
    this.peer = new RTCPeerConnection();
  }

  static get possible() {
    return typeof RTCPeerConnection === "function" && "requestVideoFrameCallback" in HTMLVideoElement.prototype;
  }

  async start() {
    const transceiver = this.peer.addTransceiver("video", { direction: "recvonly" });
    if ("jitterBufferTarget" in transceiver.receiver) transceiver.receiver.jitterBufferTarget = 0;
    this.peer.createDataChannel("frames").addEventListener("message", (event) => this.#named(event.data));
    this.peer.addEventListener("track", (event) => {
      this.video.srcObject = event.streams[0] ?? new MediaStream([event.track]);
      this.video.play().catch(() => {}); // refused while the page was never touched: the picture is still shown
    });
    this.peer.addEventListener("connectionstatechange", () => this.#stateChanged());
    await this.peer.setLocalDescription(await this.peer.createOffer());
    await this.#gathered();
    const answer = await fetch(this.url, {
      method: "POST",
      credentials: "same-origin",
      headers: { "Content-Type": "application/sdp" },
      body: this.peer.localDescription?.sdp ?? "",
    });
    if (!answer.ok) throw await refusal(answer);
    this.session = answer.headers.get("Location") ?? "";
    const sdp = await answer.text();
    if (this.stopped) {
      this.#leave();
      return;
    }
    await this.peer.setRemoteDescription({ type: "answer", sdp });
    this.#nextPicture();
  }

  stop() {
    if (this.stopped) return;
    this.stopped = true;
    this.#leave(); // before the connection is closed: the server would end the session by itself then
    this.peer.close();
    this.video.srcObject = null;
  }

  /** The session is given back; nothing waits for the answer. */
  #leave() {
    if (this.session) fetch(this.session, { method: "DELETE", keepalive: true }).catch(() => {});
    this.session = "";
  }

  /** There is no trickling: an offer holds every address of this browser. */
  #gathered() {
    return new Promise((resolve) => {
      const done = () => resolve(undefined);
      if (this.peer.iceGatheringState === "complete") done();
      setTimeout(done, GATHERING_MS);
      this.peer.addEventListener("icegatheringstatechange", () => {
        if (this.peer.iceGatheringState === "complete") done();
      });
    });
  }

  #stateChanged() {
    const state = this.peer.connectionState;
    if (!this.stopped && (state === "failed" || state === "disconnected" || state === "closed")) {
      this.onended(`WebRTC connection ${state}`);
    }
  }

  /** @param {string} text  {"rtp", "frame", "time", "no_signal"} */
  #named(text) {
    const { rtp, frame, time, no_signal } = JSON.parse(text);
    const shown = { frame: no_signal || frame < 0 ? null : frame, time, noSignal: Boolean(no_signal) };
    this.names.set(rtp, shown);
    if (this.names.size > MOST_NAMES) this.names.delete(this.names.keys().next().value ?? 0);
    if (rtp === this.rtp) this.onshown(shown); // the picture was faster than its name
  }

  #nextPicture() {
    if (this.stopped) return;
    this.video.requestVideoFrameCallback((_now, metadata) => {
      if (this.stopped) return;
      this.rtp = metadata.rtpTimestamp ?? null;
      const name = this.rtp === null ? undefined : this.names.get(this.rtp);
      this.onshown(name ?? { frame: null, time: null, noSignal: false });
      this.#nextPicture();
    });
  }
}
