// @ts-check
/** Live video by low-latency HLS: parts are fetched as they are made and played through Media Source Extensions. */

import { refusal } from "./api.js";
import { decodeTime, readInit } from "./mp4.js";
import { parsePlaylist } from "./playlist.js";

/** @typedef {import("./whep.js").Transport} Transport */

const BEHIND_S = 0.6; // wanted distance to the newest picture
const FAR_BEHIND_S = 3;
const KEPT_S = 10;

/** @implements {Transport} */
export class HlsVideo {
  /**
   * @param {HTMLVideoElement} video
   * @param {string} url  of the media playlist
   */
  constructor(video, url) {
    this.video = video;
    this.url = new URL(url, location.href);
    this.onshown = (/** @type {import("./whep.js").Shown} */ _shown) => {};
    this.onended = (/** @type {string} */ _reason) => {};
    this.abort = new AbortController();
    /** @type {Array<{from: number, offset: number}>} media time from which on: time of day less media time */
    this.clocks = [];
    this.lastMsn = -1;
    this.lastPart = -1;
    this.init = "";
    this.timescale = 90000;
    /** @type {SourceBuffer | null} */
    this.buffer = null;
    this.objectUrl = "";
  }

  static get possible() {
    return "MediaSource" in window && "requestVideoFrameCallback" in HTMLVideoElement.prototype;
  }

  async start() {
    const playlist = parsePlaylist(await (await this.#get(this.url)).text());
    const source = new MediaSource();
    this.objectUrl = URL.createObjectURL(source);
    this.video.src = this.objectUrl;
    await happens(source, "sourceopen", this.abort.signal);
    source.duration = Infinity;
    const begin = playlist.parts.findLastIndex((part) => part.time !== null);
    if (begin < 0) throw new Error("the playlist has no segments yet");
    await this.#take(source, { ...playlist, parts: playlist.parts.slice(begin) });
    this.#goLive();
    this.video.play().catch(() => {}); // refused while the page was never touched: the first picture is shown
    this.#nextPicture();
    this.#follow(source, playlist).catch((error) => {
      if (!this.abort.signal.aborted) this.onended(`HLS: ${error.message}`);
    });
  }

  stop() {
    this.abort.abort();
    this.video.removeAttribute("src");
    this.video.load();
    if (this.objectUrl) URL.revokeObjectURL(this.objectUrl);
    this.objectUrl = "";
  }

  /**
   * @param {MediaSource} source
   * @param {import("./playlist.js").Playlist} playlist
   */
  async #follow(source, playlist) {
    while (!this.abort.signal.aborted && !playlist.ended) {
      const next = new URL(this.url);
      if (playlist.blocking) {
        next.searchParams.set("_HLS_msn", String(playlist.nextMsn));
        next.searchParams.set("_HLS_part", String(playlist.nextPart));
      } else {
        await new Promise((resolve) => setTimeout(resolve, playlist.targetS * 500));
      }
      playlist = parsePlaylist(await (await this.#get(next)).text());
      await this.#take(source, playlist);
      this.#goLive();
    }
    if (!this.abort.signal.aborted) throw new Error("the stream has ended");
  }

  /**
   * Append what is new.
   *
   * @param {MediaSource} source
   * @param {import("./playlist.js").Playlist} playlist
   */
  async #take(source, playlist) {
    for (const part of playlist.parts) {
      const number = part.key.endsWith("whole") ? Infinity : Number(part.key.split(".")[1]);
      const old = part.msn < this.lastMsn || (part.msn === this.lastMsn && number <= this.lastPart);
      if (old || (part.msn === this.lastMsn && number === Infinity)) continue;
      if (playlist.init !== this.init) await this.#begin(source, playlist.init);
      const data = await (await this.#get(new URL(part.uri, this.url))).arrayBuffer();
      this.#learnClock(part, data);
      await this.#append(data);
      this.lastMsn = part.msn;
      this.lastPart = number;
    }
  }

  /**
   * @param {MediaSource} source
   * @param {string} init  address of the init segment
   */
  async #begin(source, init) {
    const data = await (await this.#get(new URL(init, this.url))).arrayBuffer();
    const { mime, timescale } = readInit(data);
    if (!MediaSource.isTypeSupported(mime)) throw new Error(`this browser does not play ${mime}`);
    if (this.buffer) this.buffer.changeType(mime);
    else this.buffer = source.addSourceBuffer(mime);
    this.init = init;
    this.timescale = timescale;
    await this.#append(data);
  }

  /**
   * @param {import("./playlist.js").Part} part
   * @param {ArrayBuffer} data
   */
  #learnClock(part, data) {
    const ticks = decodeTime(data);
    if (part.time === null || ticks === null) return;
    const from = ticks / this.timescale;
    this.clocks.push({ from, offset: part.time - from });
    if (this.clocks.length > 64) this.clocks.shift();
  }

  /** @param {ArrayBuffer} data */
  async #append(data) {
    const buffer = this.buffer;
    if (!buffer) return;
    buffer.appendBuffer(data);
    await happens(buffer, "updateend", this.abort.signal);
    const old = this.video.currentTime - KEPT_S;
    if (buffer.buffered.length && buffer.buffered.start(0) < old - KEPT_S) {
      buffer.remove(0, old);
      await happens(buffer, "updateend", this.abort.signal);
    }
  }

  /** Stay near the newest picture: a little faster where it is behind, a jump where it is far behind. */
  #goLive() {
    const buffered = this.buffer?.buffered;
    if (!buffered?.length) return;
    const end = buffered.end(buffered.length - 1);
    const begin = buffered.start(buffered.length - 1);
    const behind = end - this.video.currentTime;
    if (behind > FAR_BEHIND_S || this.video.currentTime < begin) {
      this.video.currentTime = Math.max(begin, end - BEHIND_S);
    }
    this.video.playbackRate = behind > 2 * BEHIND_S ? 1.1 : 1;
  }

  #nextPicture() {
    this.video.requestVideoFrameCallback((_now, metadata) => {
      if (this.abort.signal.aborted) return;
      const clock = this.clocks.findLast((each) => each.from <= metadata.mediaTime + 1e-3) ?? this.clocks[0];
      this.onshown({ frame: null, time: clock ? metadata.mediaTime + clock.offset : null, noSignal: false });
      this.#nextPicture();
    });
  }

  /** @param {URL} url */
  async #get(url) {
    const answer = await fetch(url, { credentials: "same-origin", signal: this.abort.signal });
    if (!answer.ok) throw await refusal(answer);
    return answer;
  }
}

/**
 * HLS by the browser itself (Safari on a phone has no Media Source Extensions).
 *
 * @implements {Transport}
 */
export class NativeHlsVideo {
  /**
   * @param {HTMLVideoElement} video
   * @param {string} url
   */
  constructor(video, url) {
    this.video = video;
    this.url = url;
    this.onshown = (/** @type {import("./whep.js").Shown} */ _shown) => {};
    this.onended = (/** @type {string} */ _reason) => {};
    this.abort = new AbortController();
  }

  static get possible() {
    return document.createElement("video").canPlayType("application/vnd.apple.mpegurl") !== "";
  }

  async start() {
    const { signal } = this.abort;
    this.video.src = this.url;
    this.video.addEventListener("error", () => this.onended("HLS: the browser gave up"), { signal });
    await happens(this.video, "loadedmetadata", signal);
    this.video.play().catch(() => {}); // refused while the page was never touched
    this.#nextPicture();
  }

  stop() {
    this.abort.abort();
    this.video.removeAttribute("src");
    this.video.load();
  }

  #nextPicture() {
    this.video.requestVideoFrameCallback?.((_now, metadata) => {
      if (this.abort.signal.aborted) return;
      // Safari tells the time of day of media time 0.
      const begin = /** @type {any} */ (this.video).getStartDate?.()?.getTime();
      const time = Number.isFinite(begin) ? begin / 1000 + metadata.mediaTime : null;
      this.onshown({ frame: null, time, noSignal: false });
      this.#nextPicture();
    });
  }
}

/**
 * @param {EventTarget} target
 * @param {string} type
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function happens(target, type, signal) {
  return new Promise((resolve, reject) => {
    const fail = () => reject(new Error(signal.aborted ? "stopped" : `no ${type}: media error`));
    target.addEventListener(type, () => resolve(), { once: true, signal });
    target.addEventListener("error", fail, { once: true, signal });
    signal.addEventListener("abort", fail, { once: true });
  });
}
