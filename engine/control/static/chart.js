// @ts-check
/** A small line chart on a canvas, with a legend that is text. Knows series of numbers over time, not what they mean. */

import { element, fill, setText } from "./dom.js";

const HUES = [205, 30, 140, 350, 265, 55, 180, 310, 95, 235];
const HEIGHT_PX = 150;
const LEFT_PX = 44;
const BOTTOM_PX = 18;

/** @typedef {{label: string, series: import("./history.js").Series}} Line */

export class Chart {
  /**
   * @param {string} title
   * @param {string} unit
   */
  constructor(title, unit) {
    this.unit = unit;
    this.canvas = element("canvas", { role: "img", "aria-label": title });
    this.legend = element("ul", { class: "legend" });
    this.none = element("p", { class: "quiet" }, "nothing to show");
    this.root = element(
      "figure",
      { class: "panel chart" },
      element("figcaption", {}, `${title}, ${unit}`),
      this.canvas,
      this.legend,
      this.none,
    );
    /** @type {Line[]} */
    this.lines = [];
    /** @type {HTMLElement[]} */
    this.values = [];
    this.resizing = new ResizeObserver(() => this.#draw());
    this.resizing.observe(this.canvas);
  }

  close() {
    this.resizing.disconnect();
  }

  /** @param {Line[]} lines */
  show(lines) {
    const labels = (/** @type {Line[]} */ those) => those.map((line) => line.label).join("\n");
    const others = labels(lines) !== labels(this.lines);
    this.lines = lines;
    if (others) this.#makeLegend();
    lines.forEach(({ series }, index) => {
      const value = series.values.findLast((each) => each !== null);
      setText(this.values[index], value === undefined || value === null ? "–" : short(value));
    });
    this.none.hidden = lines.length > 0;
    this.#draw();
  }

  #makeLegend() {
    this.values = this.lines.map(() => element("b", {}));
    fill(
      this.legend,
      this.lines.map(({ label }, index) => {
        const swatch = element("span", { class: "swatch", "aria-hidden": "true" });
        swatch.style.background = colour(index);
        return element("li", {}, swatch, `${label} `, this.values[index]);
      }),
    );
  }

  #draw() {
    const width = this.canvas.clientWidth;
    const context = this.canvas.getContext("2d");
    if (!width || !context) return;
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(HEIGHT_PX * ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, HEIGHT_PX);
    const style = getComputedStyle(this.canvas);
    const all = this.lines.flatMap(({ series }) => series.values).filter((value) => value !== null);
    const top = niceTop(Math.max(0, .../** @type {number[]} */ (all)));
    const times = this.lines.flatMap(({ series }) => [series.times[0], series.times[series.times.length - 1]]);
    const [from, to] = [Math.min(...times), Math.max(...times)];
    this.#axes(context, width, top, style, to - from);
    if (to <= from) return;
    const x = (/** @type {number} */ time) => LEFT_PX + ((time - from) / (to - from)) * (width - LEFT_PX - 4);
    const y = (/** @type {number} */ value) => (HEIGHT_PX - BOTTOM_PX) * (1 - value / top) + 2;
    this.lines.forEach(({ series }, index) => {
      context.beginPath();
      let pen = false;
      series.values.forEach((value, sample) => {
        if (value === null) pen = false;
        else if (pen) context.lineTo(x(series.times[sample]), y(value));
        else context.moveTo(x(series.times[sample]), y(value));
        if (value !== null) pen = true;
      });
      context.strokeStyle = colour(index);
      context.lineWidth = 1.6;
      context.stroke();
    });
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} width
   * @param {number} top
   * @param {CSSStyleDeclaration} style
   * @param {number} seconds
   */
  #axes(context, width, top, style, seconds) {
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = style.color;
    context.strokeStyle = style.borderColor;
    context.lineWidth = 1;
    for (const share of [0, 0.5, 1]) {
      const y = (HEIGHT_PX - BOTTOM_PX) * (1 - share) + 2;
      context.globalAlpha = 0.35;
      context.beginPath();
      context.moveTo(LEFT_PX, y);
      context.lineTo(width, y);
      context.stroke();
      context.globalAlpha = 1;
      context.textAlign = "right";
      context.fillText(short(top * share), LEFT_PX - 6, y + (share === 1 ? 9 : 4));
    }
    if (!Number.isFinite(seconds)) return;
    context.textAlign = "left";
    context.fillText(`${Math.round(seconds)} s ago`, LEFT_PX, HEIGHT_PX - 3);
    context.textAlign = "right";
    context.fillText("now", width - 4, HEIGHT_PX - 3);
  }
}

/** @param {number} index */
function colour(index) {
  return `hsl(${HUES[index % HUES.length]} 75% ${index < HUES.length ? 52 : 70}%)`;
}

/**
 * @param {number} most
 * @returns {number} the next of 1, 2, 5, 10, 20, …
 */
export function niceTop(most) {
  if (!(most > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((step) => step * power).find((each) => each >= most) ?? 10 * power;
}

/** @param {number} value */
export function short(value) {
  if (value !== 0 && Math.abs(value) < 1) return value.toFixed(2);
  return Math.abs(value) < 10 ? value.toFixed(1) : String(Math.round(value));
}
