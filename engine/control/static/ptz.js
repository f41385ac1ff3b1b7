// @ts-check
/** One camera's head: joystick, zoom, presets, policy, and how it is doing. */

import { ask, inPath } from "./api.js";
import { button, chooser, element, fill, setText } from "./dom.js";
import { Joystick } from "./joystick.js";
import { attempt, notice } from "./notices.js";

const FASTEST_DEG_S = 60;
const ZOOM_OCTAVES_S = 0.7;
const TTL_S = 0.6;
const POLICIES = ["off", "group", "selected", "runner", "zone", "manual", "tour"];

export class PtzPanel {
  /**
   * @param {string} camera
   * @param {import("./store.js").Store} store
   */
  constructor(camera, store) {
    this.store = store;
    this.path = `/ptz/${inPath(camera)}`;
    this.zoom = 0;
    this.zoomTimer = 0;
    this.moving = false;
    /** @type {[number, number] | null} */
    this.waiting = null;
    this.failed = false;
    this.joystick = new Joystick((across, up) => this.#move(across, up));
    this.state = element("p", { class: "head-state", "aria-live": "polite" });
    this.pose = element("p", { class: "quiet figures" });
    this.presets = element("ul", { class: "presets", "aria-label": "Presets" });
    this.policy = chooser("Policy", POLICIES.map((each) => [each, each]), "off", (policy) => {
      attempt(ask("POST", `${this.path}/policy`, { policy }), `policy: ${policy}`);
    });
    this.root = element(
      "section",
      { class: "panel ptz", "aria-label": "PTZ" },
      element("h2", {}, "PTZ"),
      this.state,
      this.pose,
      store.may("operator") && this.#controls(),
    );
    this.camera = camera;
    this.refresh();
    if (store.may("operator")) this.#loadPresets();
  }

  close() {
    this.joystick.close();
    this.#zoom(0);
  }

  #controls() {
    const name = element("input", { type: "text", maxlength: "64", placeholder: "name", "aria-label": "Name of the new preset" });
    const number = element("input", { type: "text", inputmode: "numeric", maxlength: "32", placeholder: "no.", "aria-label": "Number of the new preset" });
    return element(
      "div",
      {},
      element(
        "div",
        { class: "steering" },
        this.joystick.root,
        element("div", { class: "column" }, this.#zoomButton("+", "Zoom in", 1), this.#zoomButton("−", "Zoom out", -1)),
        element(
          "div",
          { class: "column" },
          button("Stop", () => attempt(ask("POST", `${this.path}/stop`), "stopped; it stays so until resumed"), { class: "danger" }),
          button("Resume", () => attempt(ask("POST", `${this.path}/resume`), "follows again"), { title: "Follow again" }),
        ),
      ),
      this.policy.root,
      element("h3", {}, "Presets"),
      this.presets,
      element(
        "form",
        {
          class: "row",
          onsubmit: (/** @type {Event} */ event) => {
            event.preventDefault();
            this.#preset({ store: number.value, name: name.value }, "preset stored");
          },
        },
        number,
        name,
        element("button", { type: "submit" }, "Store"),
      ),
    );
  }

  /**
   * @param {string} sign
   * @param {string} label
   * @param {number} direction
   */
  #zoomButton(sign, label, direction) {
    const stop = () => this.#zoom(0);
    return button(sign, () => {}, {
      "aria-label": label,
      onpointerdown: () => this.#zoom(direction),
      onpointerup: stop,
      onpointerleave: stop,
      onpointercancel: stop,
      onblur: stop,
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if ((event.key === "Enter" || event.key === " ") && !event.repeat) this.#zoom(direction);
      },
      onkeyup: stop,
    });
  }

  /** @param {number} direction  0: let go of */
  #zoom(direction) {
    if (direction === this.zoom) return;
    this.zoom = direction;
    clearInterval(this.zoomTimer);
    const again = () => this.#move(...this.joystick.held);
    again();
    if (direction) this.zoomTimer = window.setInterval(again, 200);
  }

  /**
   * Turning goes on only as long as this is repeated. One order is under way at a time, so that none overtakes the stop;
   * what comes meanwhile replaces what waits.
   *
   * @param {number} across  -1..1
   * @param {number} up
   */
  async #move(across, up) {
    this.waiting = [across, up];
    if (this.moving) return;
    this.moving = true;
    while (this.waiting) {
      const [right, high] = this.waiting;
      this.waiting = null;
      await this.#send(right, high);
    }
    this.moving = false;
  }

  /**
   * @param {number} across  -1..1
   * @param {number} up
   */
  async #send(across, up) {
    // Slow in the middle, so that small corrections are possible.
    const speed = (/** @type {number} */ held) => Math.sign(held) * held * held * FASTEST_DEG_S;
    const order = {
      pan_deg_s: speed(across),
      tilt_deg_s: speed(up),
      zoom_octaves_s: this.zoom * ZOOM_OCTAVES_S,
      ttl_s: TTL_S,
    };
    try {
      await ask("POST", `${this.path}/move`, order, { keepalive: true });
      this.failed = false;
    } catch (error) {
      if (!this.failed) notice(/** @type {Error} */ (error).message, { error: true });
      this.failed = true;
    }
  }

  async #loadPresets() {
    const answer = await attempt(ask("GET", `${this.path}/presets`));
    const presets = /** @type {Array<{preset: string, name: string}>} */ (answer?.presets ?? []);
    fill(
      this.presets,
      presets.map(({ preset, name }) => {
        const shown = name && name !== preset ? `${preset}: ${name}` : preset;
        return element(
          "li",
          {},
          button(shown, () => this.#preset({ goto: preset }, `goes to ${shown}`)),
          button("×", () => this.#preset({ remove: preset }, "preset removed"), { class: "plain", "aria-label": `Remove preset ${shown}` }),
        );
      }),
      presets.length === 0 && element("li", { class: "quiet" }, "none stored"),
    );
  }

  /**
   * @param {object} order
   * @param {string} done
   */
  async #preset(order, done) {
    const answer = await attempt(ask("POST", `${this.path}/preset`, order), done);
    if (answer && !("goto" in order)) await this.#loadPresets();
  }

  /** With every health message. */
  refresh() {
    const head = this.store.head(this.camera);
    if (!head) return;
    this.root.dataset.state = head.state;
    this.root.dataset.following = head.following;
    setText(this.state, [head.state, head.reason, head.following, head.why].filter(Boolean).join(" · "));
    const { pose } = head;
    if (pose) this.root.dataset.pan = String(pose.pan_deg);
    setText(
      this.pose,
      pose ? `pan ${pose.pan_deg.toFixed(1)}°  tilt ${pose.tilt_deg.toFixed(1)}°  zoom ${pose.zoom.toFixed(1)}×` : "where it points is not known",
    );
    if (document.activeElement !== this.policy.select) this.policy.select.value = head.policy;
  }
}
