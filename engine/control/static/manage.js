// @ts-check
/** Cameras: add, change, remove, start, stop. For admins; the engine checks everything that is entered. */

import { ask, inPath } from "./api.js";
import { button, element, setText } from "./dom.js";
import { attempt } from "./notices.js";

export class Manage {
  /** @param {import("./store.js").Store} store */
  constructor(store) {
    this.title = "Manage";
    this.store = store;
    this.list = element("div", { class: "manage-list" });
    /** @type {Map<string, {root: HTMLElement, settings: string}>} */
    this.entries = new Map();
    this.root = element(
      "section",
      {},
      element("h1", {}, "Cameras"),
      store.may("operator") &&
        element(
          "div",
          { class: "row" },
          button("Start all", () => this.#power("start", null)),
          button("Stop all", () => this.#power("stop", null)),
        ),
      store.may("admin") && this.#addForm(),
      this.list,
    );
    this.abort = new AbortController();
    store.addEventListener("cameras", () => this.#show(), { signal: this.abort.signal });
    store.socket.subscribe(["events", "health"], null);
    this.#show();
  }

  close() {
    this.abort.abort();
  }

  #addForm() {
    const name = element("input", { type: "text", required: true, maxlength: "64", autocomplete: "off", name: "name" });
    const source = element("input", { type: "text", required: true, autocomplete: "off", name: "source", placeholder: "rtsp://${USER}:${PASSWORD}@192.0.2.7/live" });
    const more = element("textarea", { rows: "3", name: "settings", spellcheck: "false", placeholder: '{"infer_fps": 5}' });
    const form = element(
      "form",
      {
        class: "panel",
        "aria-label": "Add a camera",
        onsubmit: async (/** @type {Event} */ event) => {
          event.preventDefault();
          const done = await attempt(this.#add(name.value, source.value, more.value), `camera ${name.value} added`);
          if (done) form.reset();
        },
      },
      element("h2", {}, "Add a camera"),
      element("label", { class: "field" }, element("span", {}, "Name"), name),
      element("label", { class: "field" }, element("span", {}, "Source"), source),
      element("label", { class: "field" }, element("span", {}, "More settings (JSON)"), more),
      element("button", { type: "submit", class: "primary" }, "Add"),
    );
    return form;
  }

  /**
   * @param {string} name
   * @param {string} source
   * @param {string} more
   */
  async #add(name, source, more) {
    await ask("POST", "/cameras", { ...objectFrom(more), name, source });
    await this.store.refreshCameras();
    return true;
  }

  #show() {
    const names = new Set(this.store.cameras.map((camera) => camera.name));
    for (const [name, { root }] of this.entries) {
      if (names.has(name)) continue;
      root.remove();
      this.entries.delete(name);
    }
    for (const camera of this.store.cameras) this.#showEntry(camera);
  }

  /**
   * An entry stays as long as its settings do, so that what somebody is typing stays, too.
   *
   * @param {import("./store.js").Camera} camera
   */
  #showEntry(camera) {
    const settings = JSON.stringify(camera.settings);
    const present = this.entries.get(camera.name);
    if (!present || present.settings !== settings) {
      const root = this.#entry(camera);
      if (present) present.root.replaceWith(root);
      else this.list.append(root);
      this.entries.set(camera.name, { root, settings });
    }
    const line = this.entries.get(camera.name)?.root.querySelector(".source");
    if (line) setText(line, `${camera.source} – ${camera.state}`);
  }

  /** @param {import("./store.js").Camera} camera */
  #entry(camera) {
    const changes = element("textarea", { rows: "6", spellcheck: "false", "aria-label": `Settings of ${camera.name}` });
    changes.value = JSON.stringify(camera.settings, null, 2);
    const before = camera.settings;
    return element(
      "article",
      { class: "panel", "data-camera": camera.name },
      element("h2", {}, camera.name),
      element("p", { class: "quiet source" }),
      element(
        "div",
        { class: "row" },
        this.store.may("operator") && button("Start", () => this.#power("start", [camera.name])),
        this.store.may("operator") && button("Stop", () => this.#power("stop", [camera.name])),
        this.store.may("admin") && this.#removeButton(camera.name),
      ),
      this.store.may("admin") &&
        element(
          "details",
          {},
          element("summary", {}, "Settings"),
          changes,
          button("Apply", async () => {
            await attempt(this.#change(camera.name, before, changes.value), `camera ${camera.name} changed`);
          }, { class: "primary" }),
        ),
    );
  }

  /**
   * Removing asks back in place: the first press arms the button, the second removes.
   *
   * @param {string} name
   */
  #removeButton(name) {
    const remove = button("Remove", async () => {
      if (!remove.dataset.armed) {
        remove.dataset.armed = "yes";
        remove.textContent = `Really remove ${name}?`;
        setTimeout(() => {
          delete remove.dataset.armed;
          remove.textContent = "Remove";
        }, 4000);
        return;
      }
      await attempt(ask("DELETE", `/cameras/${inPath(name)}`), `camera ${name} removed`);
      await attempt(this.store.refreshCameras());
    }, { class: "danger" });
    return remove;
  }

  /**
   * @param {string} name
   * @param {Record<string, any>} before
   * @param {string} text
   */
  async #change(name, before, text) {
    const wanted = objectFrom(text);
    const changed = Object.entries(wanted).filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(before[key]));
    if (changed.length === 0) throw new Error("nothing is changed");
    await ask("PATCH", `/cameras/${inPath(name)}`, Object.fromEntries(changed));
    await this.store.refreshCameras();
  }

  /**
   * @param {"start" | "stop"} what
   * @param {string[] | null} cameras
   */
  async #power(what, cameras) {
    await attempt(ask("POST", `/${what}`, cameras ? { cameras } : {}), what === "start" ? "started" : "stopped");
    await attempt(this.store.refreshCameras());
  }
}

/**
 * @param {string} text
 * @returns {Record<string, any>}
 */
function objectFrom(text) {
  if (!text.trim()) return {};
  const value = JSON.parse(text);
  if (value === null || typeof value !== "object" || Array.isArray(value)) throw new Error("settings must be a JSON object");
  return value;
}
