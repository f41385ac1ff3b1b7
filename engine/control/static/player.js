// @ts-check
/**
 * Plays one camera: chooses a way, tells why, falls back, comes back after breaks. Owns the elements that show pictures.
 *
 * Events: `shown` (detail: Shown), `state` (playing, connecting, waiting, stopped; with way and reason).
 */

import { Backoff, pause } from "./backoff.js";
import { element } from "./dom.js";
import { HlsVideo, NativeHlsVideo } from "./hls.js";
import { MjpegVideo } from "./mjpeg.js";
import { WhepVideo } from "./whep.js";

/** @typedef {"whep" | "hls" | "mjpeg"} Way */

/** @type {Way[]} the best first */
export const WAYS = ["whep", "hls", "mjpeg"];
export const WAY_NAMES = { whep: "WebRTC", hls: "Low-latency HLS", mjpeg: "MJPEG" };

const FIRST_PICTURE_MS = { whep: 8000, hls: 12000, mjpeg: 8000 };
const BETTER_MS = { first: 15000, most: 600000 }; // after so long a better way is tried again
const IMPOSSIBLE = 501; // the engine has not got what this way needs
const SILENCE_MS = 7000; // pictures without signal come twice a second

export class Player extends EventTarget {
  /**
   * @param {string} camera
   * @param {string} view  clean or overlay
   * @param {Way | "auto"} wanted
   */
  constructor(camera, view, wanted) {
    super();
    this.camera = camera;
    this.view = view;
    this.wanted = wanted;
    this.video = element("video", { muted: true, playsinline: true, autoplay: true, tabindex: "-1" });
    this.video.muted = true;
    this.canvas = element("canvas", { class: "mjpeg", hidden: true });
    this.root = element("div", { class: "pictures", "aria-hidden": "true" }, this.video, this.canvas);
    /** @type {import("./whep.js").Transport | null} */
    this.transport = null;
    /** @type {AbortController | null} */
    this.run = null;
    this.state = { name: "stopped", way: /** @type {Way | null} */ (null), reason: "" };
    /** @type {import("./whep.js").Shown | null} */
    this.shown = null;
  }

  start() {
    if (this.run) return;
    this.run = new AbortController();
    this.#play(this.run.signal);
  }

  stop() {
    this.run?.abort();
    this.run = null;
    this.transport?.stop();
    this.transport = null;
    this.#become("stopped", null, "");
  }

  /**
   * @param {Way | "auto"} wanted
   * @param {string} view
   */
  choose(wanted, view) {
    if (wanted === this.wanted && view === this.view) return;
    this.wanted = wanted;
    this.view = view;
    if (this.run) {
      this.stop();
      this.start();
    }
  }

  /** @returns {{width: number, height: number}} of the picture as decoded */
  get size() {
    if (this.state.way === "mjpeg") return { width: this.canvas.width, height: this.canvas.height };
    return { width: this.video.videoWidth, height: this.video.videoHeight };
  }

  /** @param {AbortSignal} signal */
  async #play(signal) {
    const backoff = new Backoff(700, 15000);
    const ways = this.wanted === "auto" ? WAYS : [this.wanted];
    let reason = this.wanted === "auto" ? "" : "chosen by hand";
    let index = 0;
    let hopeful = false; // whether a better way may play later
    let betterMs = BETTER_MS.first;
    while (!signal.aborted) {
      const way = ways[index];
      const outcome = await this.#attempt(way, reason, signal, hopeful ? betterMs : Infinity);
      if (signal.aborted) return;
      if (outcome.reason === "") {
        [index, reason, hopeful, betterMs] = [0, "", false, Math.min(2 * betterMs, BETTER_MS.most)];
        continue;
      }
      const failure = `${WAY_NAMES[way]}: ${outcome.reason}`;
      if (outcome.played) backoff.reset();
      else index += 1;
      if (!outcome.played && index < ways.length) {
        hopeful ||= outcome.possible;
        reason = reason.startsWith("WebRTC") ? `${reason}; ${failure}` : failure;
        continue; // the next way at once
      }
      if (!outcome.played) [index, reason, hopeful] = [0, this.wanted === "auto" ? "" : "chosen by hand", false];
      this.#become("waiting", way, failure);
      if (!(await pause(backoff.next(), signal))) return;
    }
  }

  /**
   * @param {Way} way
   * @param {string} why
   * @param {AbortSignal} signal
   * @param {number} longestMs  to play, while something better may be had
   * @returns {Promise<{played: boolean, possible: boolean, reason: string}>} when it is over; reason "": for long enough
   */
  async #attempt(way, why, signal, longestMs) {
    const transport = this.#transportOf(way);
    if (!transport) return { played: false, possible: false, reason: "this browser cannot" };
    this.transport = transport;
    this.#become("connecting", way, why);
    this.video.hidden = way === "mjpeg";
    this.canvas.hidden = way !== "mjpeg";
    let played = false;
    let possible = true;
    let better = 0;
    const reason = await new Promise((resolve) => {
      let watchdog = window.setTimeout(() => resolve("no picture came"), FIRST_PICTURE_MS[way]);
      signal.addEventListener("abort", () => resolve("stopped"));
      transport.onended = resolve;
      transport.onshown = (shown) => {
        if (signal.aborted) return;
        clearTimeout(watchdog);
        watchdog = window.setTimeout(() => resolve("the pictures stopped"), SILENCE_MS);
        if (!played) this.#become("playing", way, why);
        if (!played && longestMs < Infinity) better = window.setTimeout(() => resolve(""), longestMs);
        played = true;
        this.shown = shown;
        this.dispatchEvent(new CustomEvent("shown", { detail: shown }));
      };
      transport.start().catch((error) => {
        possible = error.status !== IMPOSSIBLE;
        resolve(error.message || "failed");
      });
    });
    clearTimeout(better);
    transport.onshown = transport.onended = () => {};
    transport.stop();
    return { played, possible, reason };
  }

  /** @param {Way} way */
  #transportOf(way) {
    const camera = encodeURIComponent(this.camera);
    const playlist = `/hls/${camera}/${this.view}/index.m3u8`;
    if (way === "whep" && WhepVideo.possible) {
      return new WhepVideo(this.video, `/whep/${camera}?view=${this.view}`);
    }
    if (way === "hls" && HlsVideo.possible) return new HlsVideo(this.video, playlist);
    if (way === "hls" && NativeHlsVideo.possible) return new NativeHlsVideo(this.video, playlist);
    if (way === "mjpeg" && MjpegVideo.possible) {
      return new MjpegVideo(this.canvas, `/mjpeg/${camera}?view=${this.view}`);
    }
    return null;
  }

  /**
   * @param {string} name
   * @param {Way | null} way
   * @param {string} reason
   */
  #become(name, way, reason) {
    this.state = { name, way, reason };
    this.dispatchEvent(new CustomEvent("state", { detail: this.state }));
  }
}
