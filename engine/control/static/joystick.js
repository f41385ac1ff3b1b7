// @ts-check
/**
 * A round field to steer with: drag with a pointer, or hold arrow keys. Tells where it is held, -1..1 on both axes,
 * again and again; (0, 0) once when it is let go of, for whatever reason.
 */

import { element } from "./dom.js";

const REPEAT_MS = 200;
const KEYS = /** @type {Record<string, [number, number]>} */ ({
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1],
});
const KEY_SPEED = 0.5;

export class Joystick {
  /** @param {(across: number, up: number) => void} steer */
  constructor(steer) {
    this.steer = steer;
    this.knob = element("span", { class: "knob", "aria-hidden": "true" });
    this.root = element(
      "div",
      {
        class: "joystick",
        tabindex: "0",
        role: "application",
        "aria-label": "Joystick: drag, or hold the arrow keys; with Shift at full speed",
      },
      this.knob,
    );
    /** @type {[number, number]} */
    this.held = [0, 0];
    this.timer = 0;
    /** @type {Set<string>} */
    this.keys = new Set();
    this.fast = false;
    this.root.addEventListener("pointerdown", (event) => this.#down(event));
    this.root.addEventListener("pointermove", (event) => {
      if (this.root.hasPointerCapture(event.pointerId)) this.#hold(this.#at(event));
    });
    for (const type of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) {
      this.root.addEventListener(type, () => this.release());
    }
    this.root.addEventListener("keydown", (event) => this.#keyDown(event));
    this.root.addEventListener("keyup", (event) => this.#keyUp(event));
    this.abort = new AbortController();
    const { signal } = this.abort;
    window.addEventListener("blur", () => this.release(), { signal });
    window.addEventListener("pagehide", () => this.release(), { signal });
    document.addEventListener("visibilitychange", () => document.hidden && this.release(), { signal });
  }

  close() {
    this.release();
    this.abort.abort();
  }

  release() {
    const wasHeld = this.timer !== 0;
    clearInterval(this.timer);
    this.timer = 0;
    this.keys.clear();
    this.held = [0, 0];
    this.#showKnob();
    if (wasHeld) this.steer(0, 0);
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (event.button !== 0) return;
    this.root.focus();
    this.root.setPointerCapture(event.pointerId);
    this.#hold(this.#at(event));
    event.preventDefault();
  }

  /** @param {KeyboardEvent} event */
  #keyDown(event) {
    if (event.key === "Shift") this.fast = true;
    if (!(event.key in KEYS)) return;
    this.fast = event.shiftKey;
    this.keys.add(event.key);
    this.#holdKeys();
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {KeyboardEvent} event */
  #keyUp(event) {
    if (event.key === "Shift") this.fast = false;
    else if (!this.keys.delete(event.key)) return;
    if (this.keys.size) this.#holdKeys();
    else this.release();
  }

  #holdKeys() {
    const speed = this.fast ? 1 : KEY_SPEED;
    let [across, up] = [0, 0];
    for (const key of this.keys) {
      across += KEYS[key][0] * speed;
      up += KEYS[key][1] * speed;
    }
    if (this.keys.size) this.#hold([across, up]);
  }

  /** @param {[number, number]} held */
  #hold(held) {
    const begins = this.timer === 0;
    this.held = held;
    this.#showKnob();
    if (!begins) return;
    this.steer(...held);
    this.timer = window.setInterval(() => this.steer(...this.held), REPEAT_MS);
  }

  #showKnob() {
    this.knob.style.transform = `translate(${this.held[0] * 100}%, ${-this.held[1] * 100}%)`;
  }

  /**
   * @param {PointerEvent} event
   * @returns {[number, number]}
   */
  #at(event) {
    const box = this.root.getBoundingClientRect();
    const across = ((event.clientX - box.left) / box.width) * 2 - 1;
    const up = 1 - ((event.clientY - box.top) / box.height) * 2;
    const length = Math.hypot(across, up);
    const shrink = length > 1 ? 1 / length : 1;
    return [across * shrink, up * shrink];
  }
}
