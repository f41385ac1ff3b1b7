// @ts-check
/** All cameras at once. A tile leads to its camera. */

import { element, fill, setText } from "./dom.js";
import { Tile } from "./tile.js";

export class Wall {
  /** @param {import("./store.js").Store} store */
  constructor(store) {
    this.store = store;
    this.title = "Cameras";
    /** @type {Map<string, {tile: Tile, item: HTMLElement, figures: HTMLElement}>} */
    this.items = new Map();
    this.list = element("ul", { class: "wall", "aria-label": "Cameras" });
    this.empty = element("p", { class: "empty" }, "There are no cameras. An admin can add one under “Manage”.");
    this.root = element("section", { class: "wall-view" }, this.list, this.empty);
    this.abort = new AbortController();
    const { signal } = this.abort;
    store.addEventListener("cameras", () => this.#arrange(), { signal });
    store.addEventListener("health", () => this.#figures(), { signal });
    this.#arrange();
  }

  close() {
    this.abort.abort();
    for (const { tile } of this.items.values()) tile.close();
  }

  #arrange() {
    const names = this.store.cameras.map((camera) => camera.name);
    for (const [name, { tile }] of this.items) {
      if (!names.includes(name)) {
        tile.close();
        this.items.delete(name);
      }
    }
    for (const name of names) if (!this.items.has(name)) this.items.set(name, this.#itemOf(name));
    const wanted = names.map((name) => /** @type {HTMLElement} */ (this.items.get(name)?.item));
    const same = wanted.length === this.list.children.length && wanted.every((each, i) => each === this.list.children[i]);
    if (!same) fill(this.list, ...wanted);
    this.list.dataset.count = String(names.length);
    this.empty.hidden = names.length > 0 || !this.store.camerasKnown;
    this.store.socket.subscribe(["results", "events", "health"], names.length ? names : null);
    this.#figures();
  }

  /** @param {string} name */
  #itemOf(name) {
    const tile = new Tile(name, this.store);
    const figures = element("span", { class: "figures" });
    const item = element(
      "li",
      {},
      element(
        "a",
        { class: "tile-link", href: `#/camera/${encodeURIComponent(name)}`, "aria-label": `Camera ${name}` },
        tile.root,
        element("span", { class: "tile-title" }, element("strong", {}, name), figures),
      ),
    );
    return { tile, item, figures };
  }

  #figures() {
    for (const [name, { figures }] of this.items) {
      const health = this.store.health?.cameras?.[name];
      const { state } = this.store.stateOf(name);
      const text = health && state === "streaming" ? `${health.fps_inferred.toFixed(1)} fps` : state;
      setText(figures, text);
    }
  }
}
