// @ts-check
/**
 * Joins pictures and records: what is drawn over a picture is the record of that very frame.
 *
 * The canvas tells what it shows, for tests and measurements: data-shown-frame, data-record-frame (equal when all is
 * well), data-record-time, data-objects, data-masks; and a `drawn` event for every picture.
 */

import { Painter } from "./draw.js";
import { place } from "./geometry.js";

const PATIENCE_S = 0.4; // a record that is older is not drawn over a picture whose own one is missing
const TOLERANCE_S = 0.05; // HLS tells the time of day in milliseconds, and only once a segment
const TRAIL_RECORDS = 45;
const FLASH_MS = 900;

/**
 * @param {import("./records.js").RecordBuffer} buffer
 * @param {import("./whep.js").Shown} shown
 * @returns {import("./records.js").FrameRecord | null}
 */
export function recordOf(buffer, shown) {
  if (shown.noSignal) return null;
  if (shown.frame !== null) {
    return buffer.ofFrame(shown.frame) ?? buffer.atOrBefore(shown.frame, shown.time ?? Infinity, PATIENCE_S);
  }
  return shown.time === null ? null : buffer.nearTime(shown.time, TOLERANCE_S);
}

export class Overlay {
  /**
   * @param {import("./player.js").Player} player
   * @param {import("./store.js").Store} store
   * @param {() => import("./draw.js").Layers} layers
   */
  constructor(player, store, layers) {
    this.player = player;
    this.store = store;
    this.layers = layers;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "overlay";
    this.painter = new Painter(this.canvas);
    /** @type {number | null} ID that stands out */
    this.chosen = null;
    /** @type {(painter: Painter, placement: import("./geometry.js").Placement) => void} drawn on top */
    this.ondecorate = () => {};
    /** @type {Array<{untilMs: number, point: [number, number] | null, region: string}>} */
    this.flashes = [];
    /** @type {import("./whep.js").Shown | null} */
    this.shown = null;
    /** @type {import("./records.js").FrameRecord | null} */
    this.record = null;
    this.box = { width: 0, height: 0 };
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.abort = new AbortController();
    const { signal } = this.abort;
    player.addEventListener("shown", (event) => this.#picture(/** @type {CustomEvent} */ (event).detail), { signal });
    player.addEventListener("state", () => this.#stateChanged(), { signal });
    store.addEventListener("record", (event) => this.#late(/** @type {CustomEvent} */ (event).detail), { signal });
    this.resizing = new ResizeObserver(([entry]) => {
      this.box = { width: entry.contentRect.width, height: entry.contentRect.height };
      this.draw();
    });
    this.resizing.observe(this.canvas);
  }

  close() {
    this.abort.abort();
    this.resizing.disconnect();
  }

  /** @returns {import("./geometry.js").Placement | null} where the picture lies */
  get placement() {
    const health = this.store.health?.cameras?.[this.player.camera];
    const source = { width: health?.width ?? 0, height: health?.height ?? 0 };
    return place(this.box, this.player.size, source);
  }

  /** @param {import("./whep.js").Shown} shown */
  #picture(shown) {
    // A picture whose name is still under way keeps what is drawn; the name comes within milliseconds.
    if (shown.frame === null && shown.time === null && !shown.noSignal) return;
    this.shown = shown;
    this.#draw();
  }

  /** A record that comes later than its picture. */
  #late(/** @type {import("./records.js").FrameRecord} */ record) {
    const { shown } = this;
    if (!shown || shown.noSignal || record.camera !== this.player.camera) return;
    const wanted =
      shown.frame !== null
        ? record.frame === shown.frame
        : Math.abs(record.time - (shown.time ?? Infinity)) <= TOLERANCE_S;
    if (wanted) this.#draw();
  }

  #stateChanged() {
    if (this.player.state.name === "playing") return;
    this.shown = null;
    this.#draw();
  }

  /** Draw again what is there: something else changed. */
  draw() {
    this.#draw();
  }

  #draw() {
    const { painter, shown } = this;
    painter.begin(this.box);
    const placement = this.placement;
    const buffer = this.store.buffer(this.player.camera);
    const record = shown ? recordOf(buffer, shown) : null;
    if (record && record !== this.record) this.#noteEvents(record);
    this.record = record;
    let masks = 0;
    if (placement) {
      const layers = this.layers();
      const settings = this.store.camera(this.player.camera)?.settings ?? {};
      if (layers.zones && shown) painter.regions(placement, settings, this.#flashing());
      if (record && layers.trails) painter.trails(placement, buffer.upTo(record.frame, TRAIL_RECORDS));
      if (record) masks = painter.objects(placement, record, layers, this.chosen);
      this.#drawFlashes(placement);
      this.ondecorate(painter, placement);
    }
    this.#tell(record, masks);
  }

  /** @param {import("./records.js").FrameRecord} record */
  #noteEvents(record) {
    const untilMs = performance.now() + FLASH_MS;
    for (const event of record.events ?? []) {
      this.flashes.push({ untilMs, point: event.point ?? null, region: event.zone ?? event.line ?? "" });
    }
    this.flashes = this.flashes.filter((flash) => flash.untilMs > performance.now()).slice(-32);
  }

  #flashing() {
    const now = performance.now();
    return new Set(this.flashes.filter((flash) => flash.untilMs > now).map((flash) => flash.region));
  }

  /** @param {import("./geometry.js").Placement} placement */
  #drawFlashes(placement) {
    const now = performance.now();
    for (const { untilMs, point } of this.flashes) {
      const left = (untilMs - now) / FLASH_MS;
      if (!point || left <= 0) continue;
      const radius = this.still.matches ? 14 : 8 + 20 * (1 - left);
      this.painter.ring(placement, point, `rgb(255 255 255 / ${this.still.matches ? 0.9 : left})`, radius);
    }
  }

  /**
   * @param {import("./records.js").FrameRecord | null} record
   * @param {number} masks
   */
  #tell(record, masks) {
    const { dataset } = this.canvas;
    dataset.shownFrame = String(this.shown?.frame ?? "");
    dataset.shownTime = String(this.shown?.time ?? "");
    dataset.recordFrame = String(record?.frame ?? "");
    dataset.recordTime = String(record?.time ?? "");
    dataset.objects = String(record?.objects.length ?? 0);
    dataset.masks = String(masks);
    this.canvas.dispatchEvent(new CustomEvent("drawn", { detail: { shown: this.shown, record } }));
  }
}
