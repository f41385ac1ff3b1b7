// @ts-check
/**
 * Click, drag and keys on a camera's picture: they choose an object or prompt the segmenter.
 *
 * A click on an object chooses it; elsewhere it is a point prompt, with Shift or Alt one that says "not this", with
 * Ctrl or ⌘ one that adds to the chosen object. A drag is a box. With the keyboard: arrows move a cross, Enter clicks.
 */

import { boxAround, objectAt, toBox, toSource, toSourceClamped } from "./geometry.js";

const DRAG_PX = 8;
const STEP_PX = 12;

/** @typedef {"choose" | "add" | "not" | "box"} Tool */
/** @typedef {{points: Array<[number, number, number]>, box: [number, number, number, number] | null, object: number | null, frame: number | null}} Wish */

export class Pointing {
  /**
   * @param {import("./sync.js").Overlay} overlay
   * @param {{choose: (id: number | null) => void, prompt: (wish: Wish) => void}} actions
   */
  constructor(overlay, actions) {
    this.overlay = overlay;
    this.actions = actions;
    /** @type {Tool} */
    this.tool = "choose";
    this.enabled = true;
    /** @type {{from: [number, number], to: [number, number], id: number} | null} CSS px */
    this.drag = null;
    /** @type {[number, number] | null} cross of the keyboard, pixels of the source */
    this.cross = null;
    const { canvas } = overlay;
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute(
      "aria-label",
      "Picture of the camera. Arrow keys move a cross; Enter chooses the object there or points at it; Shift and Enter: not this.",
    );
    canvas.classList.add("pointing");
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", () => this.#end());
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => {
      this.cross = null;
      overlay.draw();
    });
  }

  /**
   * @param {import("./draw.js").Painter} painter
   * @param {import("./geometry.js").Placement} placement
   */
  decorate(painter, placement) {
    if (this.drag && this.#isDrag()) {
      const { from, to } = this.drag;
      painter.rectangle(placement, this.#boxOf(placement, from, to), "white");
    }
    if (this.cross) {
      painter.ring(placement, this.cross, "white", 12);
      painter.ring(placement, this.cross, "black", 2);
    }
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (!this.enabled || event.button !== 0) return;
    const at = this.#at(event);
    this.drag = { from: at, to: at, id: event.pointerId };
    this.overlay.canvas.setPointerCapture(event.pointerId);
  }

  /** @param {PointerEvent} event */
  #move(event) {
    if (this.drag?.id !== event.pointerId) return;
    this.drag.to = this.#at(event);
    this.overlay.draw();
  }

  /** @param {PointerEvent} event */
  #up(event) {
    const { drag } = this;
    const { placement } = this.overlay;
    if (drag?.id !== event.pointerId) return;
    drag.to = this.#at(event);
    const dragged = this.#isDrag();
    this.#end();
    if (!placement) return;
    if (dragged) {
      this.#wish([], this.#boxOf(placement, drag.from, drag.to), null);
      return;
    }
    const point = toSource(placement, ...drag.to);
    if (point) this.#click(point, event);
  }

  #end() {
    this.drag = null;
    this.overlay.draw();
  }

  #isDrag() {
    const { drag } = this;
    if (!drag) return false;
    return Math.hypot(drag.to[0] - drag.from[0], drag.to[1] - drag.from[1]) > DRAG_PX;
  }

  /**
   * @param {[number, number]} point  pixels of the source
   * @param {{shiftKey: boolean, altKey: boolean, ctrlKey: boolean, metaKey: boolean}} keys
   */
  #click(point, keys) {
    const chosen = this.overlay.chosen;
    const negative = keys.shiftKey || keys.altKey || this.tool === "not";
    if (negative) {
      this.#wish([[...point, 0]], null, chosen);
      return;
    }
    if (keys.ctrlKey || keys.metaKey || this.tool === "add") {
      this.#wish([[...point, 1]], null, chosen);
      return;
    }
    const found = objectAt(this.overlay.record?.objects ?? [], point);
    if (found) this.actions.choose(found.id === chosen ? null : found.id);
    else this.#wish([[...point, 1]], null, null);
  }

  /**
   * @param {Wish["points"]} points
   * @param {Wish["box"]} box
   * @param {number | null} object
   */
  #wish(points, box, object) {
    this.actions.prompt({ points, box, object, frame: this.overlay.shown?.frame ?? this.overlay.record?.frame ?? null });
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const { placement } = this.overlay;
    if (!placement || !this.enabled) return;
    const steps = /** @type {Record<string, [number, number]>} */ ({
      ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
    });
    if (event.key in steps && !event.metaKey) {
      const from = this.cross ?? [placement.sourceWidth / 2, placement.sourceHeight / 2];
      const [x, y] = toBox(placement, from[0], from[1]);
      const length = STEP_PX * (event.shiftKey ? 5 : 1);
      const [right, down] = steps[event.key];
      this.cross = toSourceClamped(placement, x + right * length, y + down * length);
    } else if (event.key === "Enter" && this.cross) {
      this.#click(this.cross, event);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    this.overlay.draw();
  }

  /**
   * @param {MouseEvent} event
   * @returns {[number, number]} CSS px in the canvas
   */
  #at(event) {
    const box = this.overlay.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /**
   * @param {import("./geometry.js").Placement} placement
   * @param {[number, number]} from
   * @param {[number, number]} to
   */
  #boxOf(placement, from, to) {
    return boxAround(toSourceClamped(placement, ...from), toSourceClamped(placement, ...to));
  }
}
