// @ts-check
/** Live pictures by MJPEG: the answer is read part by part and drawn on a canvas, so that each picture's frame is known. */

import { refusal } from "./api.js";
import { MultipartReader } from "./multipart.js";

/** @typedef {import("./whep.js").Transport} Transport */

/** @implements {Transport} */
export class MjpegVideo {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {string} url  /mjpeg/CAMERA?view=clean
   */
  constructor(canvas, url) {
    this.canvas = canvas;
    this.url = url;
    this.onshown = (/** @type {import("./whep.js").Shown} */ _shown) => {};
    this.onended = (/** @type {string} */ _reason) => {};
    this.abort = new AbortController();
    this.drawing = false;
  }

  static get possible() {
    return typeof createImageBitmap === "function";
  }

  async start() {
    const answer = await fetch(this.url, { credentials: "same-origin", signal: this.abort.signal });
    if (!answer.ok) throw await refusal(answer);
    if (!answer.body) throw new Error("MJPEG: the answer has no body");
    const reader = new MultipartReader(answer.headers.get("Content-Type") ?? "");
    this.#read(answer.body.getReader(), reader).catch((error) => {
      if (!this.abort.signal.aborted) this.onended(`MJPEG: ${error.message}`);
    });
  }

  stop() {
    this.abort.abort();
  }

  /**
   * @param {ReadableStreamDefaultReader<Uint8Array>} stream
   * @param {MultipartReader} reader
   */
  async #read(stream, reader) {
    for (;;) {
      const { done, value } = await stream.read();
      if (done) throw new Error("the stream has ended");
      const newest = reader.push(value).at(-1);
      if (newest && !this.drawing) await this.#draw(newest);
    }
  }

  /** @param {{headers: Map<string, string>, body: Uint8Array}} part */
  async #draw({ headers, body }) {
    this.drawing = true;
    try {
      const picture = await createImageBitmap(new Blob([body.slice().buffer], { type: "image/jpeg" }));
      if (this.abort.signal.aborted) return;
      if (this.canvas.width !== picture.width) this.canvas.width = picture.width;
      if (this.canvas.height !== picture.height) this.canvas.height = picture.height;
      this.canvas.getContext("2d")?.drawImage(picture, 0, 0);
      picture.close();
    } finally {
      this.drawing = false;
    }
    const [frame, time] = [Number(headers.get("x-frame") ?? -1), Number(headers.get("x-time") ?? NaN)];
    const noSignal = headers.get("x-no-signal") === "1" || !(frame >= 0);
    this.onshown({ frame: noSignal ? null : frame, time: Number.isFinite(time) ? time : null, noSignal });
  }
}
