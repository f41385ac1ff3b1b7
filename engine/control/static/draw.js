// @ts-check
/** Draws one frame record on a canvas: masks, boxes, labels, trails, zones and lines. Knows no time and no video. */

import { colourOf, rgbOf } from "./colours.js";
import { toBox } from "./geometry.js";
import { maskPixels } from "./rle.js";

/**
 * @typedef {import("./records.js").FrameRecord} FrameRecord
 * @typedef {import("./records.js").FrameObject} FrameObject
 * @typedef {import("./geometry.js").Placement} Placement
 */

/** @typedef {{masks: boolean, boxes: boolean, labels: boolean, trails: boolean, zones: boolean}} Layers */

/** @type {Layers} */
export const ALL_LAYERS = { masks: true, boxes: true, labels: true, trails: true, zones: true };

/** @type {Layers} */
export const NO_LAYERS = { masks: false, boxes: false, labels: false, trails: false, zones: false };

export class Painter {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.scratch = document.createElement("canvas");
  }

  /**
   * Begin a picture: empty, at the size of its box.
   *
   * @param {{width: number, height: number}} box  CSS px
   */
  begin(box) {
    this.ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(box.width * this.ratio), Math.round(box.height * this.ratio)];
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    this.context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    this.context.clearRect(0, 0, box.width, box.height);
    this.context.lineJoin = "round";
  }

  /**
   * @param {Placement} placement
   * @param {FrameRecord} record
   * @param {Layers} layers
   * @param {number | null} chosen  ID that stands out
   * @returns {number} masks drawn
   */
  objects(placement, record, layers, chosen) {
    let masks = 0;
    for (const object of record.objects) {
      if (layers.masks) masks += Number(this.#mask(placement, object, object.id === chosen && chosen !== null));
    }
    for (const object of record.objects) {
      const stands = object.id === chosen && chosen !== null;
      if (layers.boxes || stands) this.#box(placement, object, stands);
    }
    if (layers.labels) for (const object of record.objects) this.#label(placement, object);
    return masks;
  }

  /**
   * @param {Placement} placement
   * @param {FrameObject} object
   * @param {boolean} stands
   */
  #mask(placement, object, stands) {
    const alpha = stands ? 0.55 : 0.38;
    if (object.polygon) {
      const path = new Path2D();
      for (const ring of object.polygon.flat()) {
        ring.forEach((point, index) => {
          const [x, y] = toBox(placement, point[0], point[1]);
          if (index === 0) path.moveTo(x, y);
          else path.lineTo(x, y);
        });
        path.closePath();
      }
      this.context.fillStyle = colourOf(object.id, alpha);
      this.context.fill(path, "evenodd");
      this.context.strokeStyle = colourOf(object.id, 0.9);
      this.context.lineWidth = 1;
      this.context.stroke(path);
      return object.polygon.length > 0;
    }
    return object.mask ? this.#maskOfPixels(placement, object.mask, object.id, alpha) : false;
  }

  /**
   * @param {Placement} placement
   * @param {{size: [number, number], counts: string}} mask
   * @param {number | null} id
   * @param {number} alpha
   */
  #maskOfPixels(placement, mask, id, alpha) {
    const pixels = maskPixels(mask, rgbOf(id), Math.round(alpha * 255));
    if (!pixels) return false;
    const { scratch } = this;
    if (scratch.width < pixels.width) scratch.width = pixels.width;
    if (scratch.height < pixels.height) scratch.height = pixels.height;
    const context = scratch.getContext("2d", { willReadFrequently: true });
    const rgba = /** @type {Uint8ClampedArray<ArrayBuffer>} */ (pixels.rgba);
    context?.putImageData(new ImageData(rgba, pixels.width, pixels.height), 0, 0);
    // A mask may be smaller than the source; it covers the whole picture all the same.
    const scaleX = placement.sourceWidth / mask.size[1];
    const scaleY = placement.sourceHeight / mask.size[0];
    const [left, top] = toBox(placement, pixels.left * scaleX, pixels.top * scaleY);
    const right = (pixels.left + pixels.width) * scaleX;
    const [x, y] = toBox(placement, right, (pixels.top + pixels.height) * scaleY);
    this.context.drawImage(scratch, 0, 0, pixels.width, pixels.height, left, top, x - left, y - top);
    return true;
  }

  /**
   * @param {Placement} placement
   * @param {FrameObject} object
   * @param {boolean} stands
   */
  #box(placement, object, stands) {
    const [left, top, right, bottom] = this.#corners(placement, object);
    this.context.lineWidth = stands ? 3.5 : 2;
    this.context.strokeStyle = colourOf(object.id);
    this.context.setLineDash(object.state && object.state !== "confirmed" ? [5, 4] : []);
    this.context.strokeRect(left, top, right - left, bottom - top);
    this.context.setLineDash([]);
  }

  /**
   * @param {Placement} placement
   * @param {FrameObject} object
   */
  #label(placement, object) {
    const [left, top] = this.#corners(placement, object);
    const parts = [object.id === null ? "" : `#${object.id}`, object.label];
    if (object.gid !== undefined) parts.push(`g${object.gid}`);
    this.tag(parts.filter(Boolean).join(" "), left, top, colourOf(object.id));
  }

  /**
   * Text on a dark ground above a point.
   *
   * @param {string} text
   * @param {number} x  CSS px
   * @param {number} y
   * @param {string} colour
   */
  tag(text, x, y, colour) {
    this.context.font = "600 12px system-ui, sans-serif";
    const width = this.context.measureText(text).width + 8;
    const left = Math.max(0, Math.min(x - 1, this.canvas.width / (this.ratio ?? 1) - width));
    const top = Math.max(0, y - 17);
    this.context.fillStyle = "rgb(10 12 16 / 0.75)";
    this.context.fillRect(left, top, width, 16);
    this.context.fillStyle = colour;
    this.context.fillText(text, left + 4, top + 12);
  }

  /**
   * The way that objects came: where their feet were in the records before.
   *
   * @param {Placement} placement
   * @param {FrameRecord[]} records  oldest first, the present one last
   */
  trails(placement, records) {
    const present = new Set((records.at(-1)?.objects ?? []).map((object) => object.id));
    /** @type {Map<number, Array<[number, number]>>} */
    const ways = new Map();
    for (const record of records) {
      for (const { id, bbox } of record.objects) {
        if (id === null || !present.has(id)) continue;
        const feet = toBox(placement, bbox[0] + bbox[2] / 2, bbox[1] + bbox[3]);
        const way = ways.get(id);
        if (way) way.push(feet);
        else ways.set(id, [feet]);
      }
    }
    this.context.lineWidth = 2;
    for (const [id, way] of ways) {
      this.context.strokeStyle = colourOf(id, 0.7);
      this.#line(way, false);
      this.context.stroke();
    }
  }

  /**
   * @param {Placement} placement
   * @param {Record<string, any>} settings  of a camera: zone and line, 0..1
   * @param {Set<string>} flashing  names of those where something has just happened
   */
  regions(placement, settings, flashing) {
    for (const zone of settings.zone ?? settings.zones ?? []) {
      this.#region(placement, zone.name, zone.polygon, true, flashing.has(zone.name));
    }
    for (const line of settings.line ?? settings.lines ?? []) {
      this.#region(placement, line.name, line.points, false, flashing.has(line.name));
    }
  }

  /**
   * @param {Placement} placement
   * @param {string} name
   * @param {Array<[number, number]>} points
   * @param {boolean} closed
   * @param {boolean} flashes
   */
  #region(placement, name, points, closed, flashes) {
    const corners = points.map(([x, y]) =>
      toBox(placement, x * placement.sourceWidth, y * placement.sourceHeight),
    );
    this.#line(corners, closed);
    const colour = closed ? "80 200 255" : "255 210 80";
    if (closed) {
      this.context.fillStyle = `rgb(${colour} / ${flashes ? 0.3 : 0.07})`;
      this.context.fill();
    }
    this.context.lineWidth = flashes ? 4 : 1.5;
    this.context.strokeStyle = `rgb(${colour} / 0.9)`;
    this.context.stroke();
    this.tag(name, corners[0][0], corners[0][1], `rgb(${colour})`);
  }

  /**
   * @param {Array<[number, number]>} points
   * @param {boolean} closed
   */
  #line(points, closed) {
    this.context.beginPath();
    points.forEach(([x, y], index) => {
      if (index === 0) this.context.moveTo(x, y);
      else this.context.lineTo(x, y);
    });
    if (closed) this.context.closePath();
  }

  /**
   * A ring round a place where something happens.
   *
   * @param {Placement} placement
   * @param {[number, number]} point  pixels of the source
   * @param {string} colour
   * @param {number} radius  CSS px
   */
  ring(placement, point, colour, radius) {
    const [x, y] = toBox(placement, point[0], point[1]);
    this.context.beginPath();
    this.context.arc(x, y, radius, 0, 2 * Math.PI);
    this.context.lineWidth = 3;
    this.context.strokeStyle = colour;
    this.context.stroke();
  }

  /**
   * @param {Placement} placement
   * @param {[number, number, number, number]} box  left, top, right, bottom, pixels of the source
   * @param {string} colour
   */
  rectangle(placement, box, colour) {
    const [left, top] = toBox(placement, box[0], box[1]);
    const [right, bottom] = toBox(placement, box[2], box[3]);
    this.context.lineWidth = 2;
    this.context.setLineDash([6, 4]);
    this.context.strokeStyle = colour;
    this.context.strokeRect(left, top, right - left, bottom - top);
    this.context.setLineDash([]);
  }

  /**
   * A plus or a minus at a point of a prompt.
   *
   * @param {Placement} placement
   * @param {[number, number, number]} point  x, y, label (1 = on the object, 0 = not)
   * @param {string} colour
   */
  promptPoint(placement, [x, y, label], colour) {
    this.ring(placement, [x, y], colour, 9);
    const [left, top] = toBox(placement, x, y);
    this.context.beginPath();
    this.context.moveTo(left - 5, top);
    this.context.lineTo(left + 5, top);
    if (label === 1) {
      this.context.moveTo(left, top - 5);
      this.context.lineTo(left, top + 5);
    }
    this.context.stroke();
  }

  /**
   * @param {Placement} placement
   * @param {FrameObject} object
   */
  #corners(placement, { bbox: [left, top, width, height] }) {
    return [...toBox(placement, left, top), ...toBox(placement, left + width, top + height)];
  }
}
