// @ts-check
/** One camera with everything: picture, pointing, objects, head, settings, its newest events. */

import { ask, inPath } from "./api.js";
import { button, chooser, element, fill } from "./dom.js";
import { EventList } from "./event_list.js";
import { attempt } from "./notices.js";
import { ObjectPanel } from "./objects.js";
import { WAY_NAMES, WAYS } from "./player.js";
import { Pointing } from "./pointing.js";
import { keepPreferences, preferences } from "./preferences.js";
import { Prompts } from "./prompts.js";
import { PtzPanel } from "./ptz.js";
import { Tile } from "./tile.js";

const MODES = ["off", "boxes", "track", "prompt", "auto"];
const TOOLS = /** @type {Array<[import("./pointing.js").Tool, string, string]>} */ ([
  ["choose", "Choose or point", "click: choose an object, or point at a new one; drag: box"],
  ["add", "+ This too", "adds to the chosen object"],
  ["not", "− Not this", "takes away from the chosen object"],
]);

export class CameraView {
  /**
   * @param {import("./store.js").Store} store
   * @param {string} camera
   * @param {{object?: number}} options
   */
  constructor(store, camera, options = {}) {
    this.store = store;
    this.camera = camera;
    this.title = camera;
    this.tile = new Tile(camera, store);
    const { overlay } = this.tile;
    this.prompts = new Prompts(camera, {
      redraw: () => overlay.draw(),
      added: (id) => this.choose(id),
      mode: () => this.mode,
      setMode: (mode) => this.#setMode(mode),
    });
    this.pointing = new Pointing(overlay, {
      choose: (id) => this.choose(id),
      prompt: (wish) => this.prompts.send(wish),
    });
    this.pointing.enabled = store.may("operator");
    overlay.ondecorate = (painter, placement) => {
      this.prompts.decorate(painter, placement);
      this.pointing.decorate(painter, placement);
    };
    this.objects = new ObjectPanel(camera, store, {
      choose: (id) => this.choose(id),
      chosen: () => overlay.chosen,
    });
    this.events = new EventList(store, { camera, most: 30 });
    /** @type {PtzPanel | null} */
    this.ptz = null;
    this.ptzPlace = element("div");
    this.mode = "off";
    this.modeChooser = chooser("Mask mode", MODES.map((each) => [each, each]), "off", (mode) => this.#setMode(mode));
    this.root = element(
      "section",
      { class: "camera-view", "data-camera": camera },
      element("div", { class: "stage" }, this.#headline(), this.tile.root, this.#toolbar()),
      element(
        "div",
        { class: "side" },
        this.ptzPlace,
        this.objects.root,
        this.#settings(),
        element("section", { class: "panel", "aria-label": "Events" }, element("h2", {}, "Events"), this.events.root),
      ),
    );
    this.abort = new AbortController();
    const { signal } = this.abort;
    store.addEventListener("record", (event) => this.#record(/** @type {CustomEvent} */ (event).detail), { signal });
    store.addEventListener("health", () => this.#health(), { signal });
    store.socket.subscribe(["results", "events", "health"], [camera]);
    this.#health();
    if (options.object) this.choose(options.object);
  }

  close() {
    this.abort.abort();
    this.ptz?.close();
    this.events.close();
    this.tile.close();
  }

  /** @param {number | null} id */
  choose(id) {
    this.tile.overlay.chosen = id;
    this.root.dataset.chosen = String(id ?? "");
    this.tile.overlay.draw();
    this.objects.showChosen();
  }

  #headline() {
    const operator = this.store.may("operator");
    return element(
      "header",
      { class: "row headline" },
      element("a", { href: "#/", class: "back", "aria-label": "Back to all cameras" }, "←"),
      element("h1", {}, this.camera),
      operator && button("Start", () => this.#power("start")),
      operator && button("Stop", () => this.#power("stop")),
      element("a", { class: "button", href: `/snapshot/${inPath(this.camera)}.jpg`, target: "_blank", rel: "noopener" }, "Snapshot"),
    );
  }

  #toolbar() {
    const tools = TOOLS.map(([tool, text, title]) => {
      const input = element("input", {
        type: "radio", name: "tool", value: tool, checked: tool === "choose",
        onchange: () => { this.pointing.tool = tool; },
      });
      return element("label", { title }, input, element("span", {}, text));
    });
    const layers = /** @type {Array<keyof import("./draw.js").Layers>} */ (Object.keys(preferences.layers)).map((layer) => {
      const input = element("input", {
        type: "checkbox", checked: preferences.layers[layer],
        onchange: () => {
          preferences.layers[layer] = input.checked;
          keepPreferences();
          this.tile.overlay.draw();
        },
      });
      return element("label", {}, input, element("span", {}, layer));
    });
    return element(
      "div",
      { class: "toolbar" },
      this.store.may("operator") && element("fieldset", { class: "segmented" }, element("legend", {}, "Pointer"), tools),
      element("fieldset", { class: "segmented" }, element("legend", {}, "Show"), layers),
    );
  }

  #settings() {
    const ways = /** @type {Array<[string, string]>} */ ([["auto", "automatic"], ...WAYS.map((way) => [way, WAY_NAMES[way]])]);
    const way = chooser("Video by", ways, preferences.way, (chosen) => {
      preferences.way = /** @type {typeof preferences.way} */ (chosen);
      keepPreferences();
      this.tile.player.choose(preferences.way, preferences.view);
    });
    const views = /** @type {Array<[string, string]>} */ ([["clean", "this page"], ["overlay", "the engine"]]);
    const view = chooser("Drawn by", views, preferences.view, (chosen) => {
      preferences.view = /** @type {typeof preferences.view} */ (chosen);
      keepPreferences();
      this.tile.player.choose(preferences.way, preferences.view);
    });
    const reason = element("p", { class: "quiet way-reason", "aria-live": "polite" });
    this.tile.player.addEventListener("state", () => {
      const { name, way: chosen, reason: why } = this.tile.player.state;
      fill(reason, chosen ? `${WAY_NAMES[chosen]}, ${name}${why ? ` – ${why}` : ""}` : name);
    });
    return element(
      "section",
      { class: "panel", "aria-label": "Settings of the camera" },
      element("h2", {}, "Settings"),
      way.root,
      reason,
      view.root,
      this.store.may("operator") && this.modeChooser.root,
      this.store.may("operator") && this.#fps(),
    );
  }

  #fps() {
    const now = this.store.camera(this.camera)?.settings.infer_fps ?? 0;
    const fps = element("input", { type: "number", min: "0", max: "1000", step: "any", value: now, "aria-label": "Frames per second, 0 = all" });
    return element(
      "form",
      {
        class: "field",
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          attempt(ask("POST", "/fps", { camera: this.camera, fps: Number(fps.value) }), "frame rate set");
        },
      },
      element("span", {}, "Frames/s (0 = all)"),
      fps,
      element("button", { type: "submit" }, "Set"),
    );
  }

  /** @param {string} mode */
  async #setMode(mode) {
    const answer = await attempt(ask("POST", "/mode", { camera: this.camera, mode }), `masks: ${mode}`);
    if (answer) this.mode = mode;
    this.modeChooser.select.value = this.mode;
  }

  /** @param {"start" | "stop"} what */
  async #power(what) {
    await attempt(ask("POST", `/${what}`, { cameras: [this.camera] }), what === "start" ? "camera started" : "camera stopped");
    await attempt(this.store.refreshCameras());
  }

  /** @param {import("./records.js").FrameRecord} record */
  #record(record) {
    if (record.camera === this.camera) this.objects.take(record);
  }

  #health() {
    const told = this.store.health?.segmentation?.cameras?.[this.camera]?.mode;
    this.mode = told ?? "off";
    this.modeChooser.select.disabled = this.store.health !== null && this.store.health.segmentation === null;
    if (document.activeElement !== this.modeChooser.select) this.modeChooser.select.value = this.mode;
    if (this.store.head(this.camera) && !this.ptz) {
      this.ptz = new PtzPanel(this.camera, this.store);
      fill(this.ptzPlace, this.ptz.root);
    }
    this.ptz?.refresh();
  }
}
