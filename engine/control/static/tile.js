// @ts-check
/** One camera's moving picture with its state: in the wall and in the single view. Plays only while it can be seen. */

import { element, setText } from "./dom.js";
import { Player, WAY_NAMES } from "./player.js";
import { layersToDraw, preferences } from "./preferences.js";
import { Overlay } from "./sync.js";

const STATE_WORDS = {
  connecting: "connecting to the camera",
  reconnecting: "no signal: reconnecting",
  unauthorized: "user name or password refused",
  ended: "ended",
  failed: "failed",
  stopped: "stopped",
  absent: "there is no such camera",
};

export class Tile {
  /**
   * @param {string} camera
   * @param {import("./store.js").Store} store
   */
  constructor(camera, store) {
    this.camera = camera;
    this.store = store;
    this.player = new Player(camera, preferences.view, preferences.way);
    this.overlay = new Overlay(this.player, store, layersToDraw);
    this.veil = element("p", { class: "veil", hidden: true }); // over the whole place: there are no pictures
    this.ribbon = element("p", { class: "ribbon", hidden: true }); // below pictures that are there
    this.badge = element("span", { class: "badge" });
    this.root = element(
      "div",
      { class: "tile", "data-camera": camera },
      this.player.root,
      this.overlay.canvas,
      this.veil,
      this.ribbon,
      this.badge,
    );
    this.visible = false;
    this.abort = new AbortController();
    const { signal } = this.abort;
    this.observer = new IntersectionObserver(([entry]) => {
      this.visible = entry.isIntersecting;
      this.#playOrNot();
    });
    this.observer.observe(this.root);
    document.addEventListener("visibilitychange", () => this.#playOrNot(), { signal });
    this.player.addEventListener("state", () => this.refresh(), { signal });
    this.player.addEventListener("shown", () => this.refresh(), { signal });
    store.addEventListener("health", () => this.#stateChanged(), { signal });
    store.addEventListener("cameras", () => this.#stateChanged(), { signal });
    this.refresh();
  }

  close() {
    this.abort.abort();
    this.observer.disconnect();
    this.overlay.close();
    this.player.stop();
  }

  #stateChanged() {
    this.#playOrNot();
    this.refresh();
  }

  #playOrNot() {
    const gone = ["stopped", "absent"].includes(this.store.stateOf(this.camera).state);
    if (this.visible && document.visibilityState === "visible" && !gone) this.player.start();
    else if (this.player.run) this.player.stop();
  }

  /** What stands over the picture: why there is none. */
  refresh() {
    const { state, reason } = this.store.stateOf(this.camera);
    const { name, way, reason: why } = this.player.state;
    const words = /** @type {Record<string, string>} */ (STATE_WORDS)[state] ?? "";
    const noSignal = this.player.shown?.noSignal && name === "playing";
    const moves = name === "playing" && !noSignal && state === "connecting"; // told a second ago
    let text = "";
    if (words && !moves) text = reason ? `${words} (${reason})` : words;
    else if (noSignal) text = "no signal";
    else if (name === "connecting") text = "connecting…";
    else if (name === "waiting") text = `no video: ${why}`;
    for (const [place, used] of /** @type {Array<[HTMLElement, boolean]>} */ ([
      [this.veil, name !== "playing"],
      [this.ribbon, name === "playing"],
    ])) {
      place.hidden = !used || text === "";
      if (used) setText(place, text);
    }
    const dataset = this.root.dataset;
    dataset.pictures = String(name === "playing");
    dataset.state = words && !moves ? state : noSignal ? "no-signal" : name;
    dataset.way = name === "playing" && way ? way : "";
    setText(this.badge, name === "playing" && way ? WAY_NAMES[way] : "");
    this.badge.title = why ? `because ${why}` : "the first choice";
    dataset.reason = why;
  }
}
