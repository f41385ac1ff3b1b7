// @ts-check
/** Events as a list, the newest first; each leads to its camera, and to its object. */

import { element, fill } from "./dom.js";

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export class EventList {
  /**
   * @param {import("./store.js").Store} store
   * @param {{camera?: string, kind?: string, most: number}} filter
   */
  constructor(store, filter) {
    this.store = store;
    this.filter = filter;
    this.list = element("ol", { class: "events", "aria-label": "Events, newest first" });
    this.empty = element("p", { class: "quiet" }, "Nothing has happened yet.");
    this.root = element("div", {}, this.list, this.empty);
    this.abort = new AbortController();
    store.addEventListener(
      "events",
      (event) => this.#more(/** @type {CustomEvent} */ (event).detail.fresh),
      { signal: this.abort.signal },
    );
    this.showAll();
  }

  close() {
    this.abort.abort();
  }

  /** @returns {any[]} those that the filter lets through, oldest first */
  get matching() {
    return this.store.events.filter((event) => this.#wanted(event));
  }

  showAll() {
    fill(this.list, this.matching.slice(-this.filter.most).reverse().map(itemOf));
    this.empty.hidden = this.list.children.length > 0;
  }

  /** @param {any[]} fresh */
  #more(fresh) {
    if (fresh.length === 0) {
      this.showAll();
      return;
    }
    for (const event of fresh) if (this.#wanted(event)) this.list.prepend(itemOf(event));
    while (this.list.children.length > this.filter.most) this.list.lastElementChild?.remove();
    this.empty.hidden = this.list.children.length > 0;
  }

  /** @param {any} event */
  #wanted(event) {
    const { camera, kind } = this.filter;
    return (!camera || event.camera === camera) && (!kind || event.kind === kind);
  }
}

/** @param {any} event */
function itemOf(event) {
  const time = new Date(event.time * 1000);
  const object = event.id ? `?object=${event.id}` : "";
  return element(
    "li",
    { "data-kind": event.kind },
    element("time", { datetime: time.toISOString() }, CLOCK.format(time)),
    element("a", { href: `#/camera/${encodeURIComponent(event.camera)}${object}` }, event.camera),
    element("span", { class: "what" }, wordsOf(event)),
  );
}

/**
 * @param {any} event
 * @returns {string} what happened, in words
 */
export function wordsOf(event) {
  const who = event.id ? `${event.label ?? "object"} #${event.id}` : "";
  switch (event.kind) {
    case "crossed":
      return `${who} crossed ${event.line} (${String(event.direction).replaceAll("_", " ")})`;
    case "entered":
    case "exited":
    case "dwelled":
      return `${who} ${event.kind} ${event.zone}${event.dwell_s ? ` after ${event.dwell_s.toFixed(0)} s` : ""}`;
    case "count":
      return `${event.count} in ${event.zone}`;
    case "grouped":
      return `group ${event.group}: ${event.count} together`;
    case "ungrouped":
      return `group ${event.group} broke up`;
    default:
      return [who, event.kind, event.zone ?? event.line ?? ""].filter(Boolean).join(" ");
  }
}
