// @ts-check
/** What happened, of all cameras: a strip of density over the last hour, filters, and the list. */

import { chooser, element, setText } from "./dom.js";
import { EventList } from "./event_list.js";

const STRIP_S = 3600;
const BINS = 60;
const KINDS = [
  "appeared", "left", "crossed", "entered", "exited", "dwelled", "count", "speed", "fast", "grouped", "ungrouped",
];

export class Timeline {
  /** @param {import("./store.js").Store} store */
  constructor(store) {
    this.title = "Events";
    this.store = store;
    this.list = new EventList(store, { most: 500 });
    const kinds = chooser("Kind", [["", "all"], ...KINDS.map((kind) => /** @type {[string, string]} */ ([kind, kind]))], "", (kind) =>
      this.#filter({ kind }),
    );
    const names = store.cameras.map(({ name }) => /** @type {[string, string]} */ ([name, name]));
    const cameras = chooser("Camera", [["", "all"], ...names], "", (camera) => this.#filter({ camera }));
    this.bars = Array.from({ length: BINS }, () => element("span"));
    this.strip = element("div", { class: "strip", role: "img" }, this.bars);
    this.summary = element("p", { class: "quiet" });
    this.root = element(
      "section",
      { class: "timeline" },
      element("h1", {}, "Events"),
      element("div", { class: "row" }, kinds.root, cameras.root),
      this.strip,
      this.summary,
      this.list.root,
    );
    this.abort = new AbortController();
    store.addEventListener("events", () => this.#drawStrip(), { signal: this.abort.signal });
    store.socket.subscribe(["events", "health"], null);
    this.#drawStrip();
  }

  close() {
    this.abort.abort();
    this.list.close();
  }

  /** @param {{kind?: string, camera?: string}} change */
  #filter(change) {
    Object.assign(this.list.filter, change);
    this.list.showAll();
    this.#drawStrip();
  }

  #drawStrip() {
    const events = this.list.matching;
    const end = Date.now() / 1000;
    const counts = new Array(BINS).fill(0);
    for (const event of events) {
      const bin = BINS - 1 - Math.floor(((end - event.time) / STRIP_S) * BINS);
      if (bin >= 0 && bin < BINS) counts[bin] += 1;
    }
    const most = Math.max(1, ...counts);
    counts.forEach((count, index) => {
      this.bars[index].style.height = `${(count / most) * 100}%`;
      this.bars[index].title = `${BINS - index} min ago: ${count}`;
    });
    const total = counts.reduce((sum, count) => sum + count, 0);
    this.strip.setAttribute("aria-label", `${total} events in the last hour`);
    setText(this.summary, `${total} events in the last hour, ${events.length} kept`);
  }
}
