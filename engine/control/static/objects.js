// @ts-check
/** The objects of one camera as a list, and what can be done with the chosen one. */

import { ask, inPath } from "./api.js";
import { colourOf } from "./colours.js";
import { button, element, fill, setText } from "./dom.js";
import { attempt } from "./notices.js";

const EVERY_MS = 250;

export class ObjectPanel {
  /**
   * @param {string} camera
   * @param {import("./store.js").Store} store
   * @param {{choose: (id: number | null) => void, chosen: () => number | null}} page
   */
  constructor(camera, store, page) {
    this.camera = camera;
    this.store = store;
    this.page = page;
    /** @type {Map<number, {row: HTMLElement, cells: HTMLElement[]}>} */
    this.rows = new Map();
    /** @type {Map<number, number>} when an ID was seen first, seconds since the epoch */
    this.firstSeen = new Map();
    /** @type {Set<number>} */
    this.protected = new Set();
    this.shownMs = 0;
    this.body = element("tbody");
    this.empty = element("p", { class: "quiet" }, "Nothing is seen at present.");
    this.actions = element("div", { class: "actions", role: "group", "aria-label": "Chosen object" });
    const head = ["ID", "Label", "State", "Age", "Mask", "Identity"];
    this.root = element(
      "section",
      { class: "panel objects", "aria-label": "Objects" },
      element("h2", {}, "Objects"),
      element(
        "div",
        { class: "scroll", tabindex: "0", role: "group", "aria-label": "List of objects" },
        element(
          "table",
          {},
          element("thead", {}, element("tr", {}, head.map((text) => element("th", { scope: "col" }, text)))),
          this.body,
        ),
      ),
      this.empty,
      this.actions,
    );
    this.showChosen();
  }

  /** @param {import("./records.js").FrameRecord} record */
  take(record) {
    for (const object of record.objects) {
      if (object.id !== null && !this.firstSeen.has(object.id)) this.firstSeen.set(object.id, record.time);
    }
    if (this.firstSeen.size > 5000) this.firstSeen.clear();
    const now = performance.now();
    if (now - this.shownMs < EVERY_MS) return;
    this.shownMs = now;
    const present = record.objects.filter((object) => object.id !== null);
    const ids = new Set(present.map((object) => object.id));
    for (const [id, { row }] of this.rows) {
      if (!ids.has(id)) {
        row.remove();
        this.rows.delete(id);
      }
    }
    for (const object of present) this.#show(object, record.time);
    this.empty.hidden = present.length > 0;
  }

  /**
   * @param {import("./records.js").FrameObject} object
   * @param {number} time
   */
  #show(object, time) {
    const id = /** @type {number} */ (object.id);
    let entry = this.rows.get(id);
    if (!entry) {
      entry = this.#newRow(id);
      this.rows.set(id, entry);
      this.body.append(entry.row);
    }
    const age = time - (this.firstSeen.get(id) ?? time);
    const mask = object.mask_source
      ? `${object.mask_source}${object.mask_age_ms ? ` ${Math.round(object.mask_age_ms)} ms` : ""}`
      : "–";
    const texts = [object.label, object.state ?? "–", duration(age), mask, object.gid ? `g${object.gid}` : "–"];
    texts.forEach((text, index) => setText(entry.cells[index], text));
    if (object.gid) entry.row.dataset.gid = String(object.gid);
    entry.row.setAttribute("aria-selected", String(this.page.chosen() === id));
  }

  /** @param {number} id */
  #newRow(id) {
    const swatch = element("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = colourOf(id);
    const choose = button(`#${id}`, () => this.page.choose(this.page.chosen() === id ? null : id), {
      class: "plain",
      "aria-label": `Choose object ${id}`,
    });
    const cells = [0, 1, 2, 3, 4].map(() => element("td"));
    const row = element("tr", { "data-id": id }, element("td", {}, swatch, choose), cells);
    return { row, cells };
  }

  /** What can be done with the chosen one. */
  showChosen() {
    const id = this.page.chosen();
    for (const [each, { row }] of this.rows) row.setAttribute("aria-selected", String(each === id));
    if (id === null) {
      fill(this.actions, element("p", { class: "quiet" }, "Choose an object in the picture or in this list."));
      return;
    }
    const gid = Number(this.rows.get(id)?.row.dataset.gid ?? 0);
    const operator = this.store.may("operator");
    fill(
      this.actions,
      element("strong", {}, `#${id}`),
      operator && this.#follow(id, gid),
      operator && button("Forget", () => this.#forget(id), { title: "Stop segmenting this object" }),
      operator &&
        button(this.protected.has(id) ? "Unprotect" : "Protect", () => this.#protect(id), {
          title: "A protected object is refreshed first and never given up for another",
        }),
      button("Deselect", () => this.page.choose(null), { class: "plain" }),
    );
  }

  /**
   * @param {number} id
   * @param {number} gid  0: not known
   */
  #follow(id, gid) {
    const heads = Object.keys(this.store.health?.ptz ?? {});
    if (heads.includes(this.camera)) {
      return button("Follow with PTZ", () => this.#select(this.camera, { track_id: id }), { class: "primary" });
    }
    if (!gid) return null;
    return heads.map((head) => button(`Follow with ${head}`, () => this.#select(head, { gid }), { class: "primary" }));
  }

  /**
   * @param {string} head
   * @param {object} whom
   */
  #select(head, whom) {
    attempt(ask("POST", `/ptz/${inPath(head)}/select`, whom), `${head} follows it`);
  }

  /** @param {number} id */
  async #forget(id) {
    const path = `/cameras/${inPath(this.camera)}/objects/${id}`;
    if (await attempt(ask("DELETE", path), `Object #${id} is no longer segmented`)) this.page.choose(null);
  }

  /** @param {number} id */
  async #protect(id) {
    const wanted = !this.protected.has(id);
    const path = `/cameras/${inPath(this.camera)}/objects/${id}`;
    if (!(await attempt(ask("PUT", path, { protected: wanted })))) return;
    if (wanted) this.protected.add(id);
    else this.protected.delete(id);
    this.showChosen();
  }
}

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}
