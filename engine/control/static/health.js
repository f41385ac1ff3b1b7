// @ts-check
/** How the run is doing: reasons, processes, cameras, outputs, and what was chosen automatically. */

import { become, element } from "./dom.js";
import { duration } from "./objects.js";
import { outputRows } from "./outputs.js";

export class HealthView {
  /** @param {import("./store.js").Store} store */
  constructor(store) {
    this.title = "Health";
    this.store = store;
    this.body = element("div", { class: "health" });
    this.root = element("section", {}, element("h1", {}, "Health"), this.body);
    this.abort = new AbortController();
    store.addEventListener("health", () => this.#show(), { signal: this.abort.signal });
    store.socket.subscribe(["events", "health"], null);
    this.#show();
  }

  close() {
    this.abort.abort();
  }

  #show() {
    const health = this.store.health;
    if (!health) {
      become(this.body, element("div", {}, element("p", { class: "quiet" }, "The engine has not told yet.")));
      return;
    }
    const { run } = health;
    const fresh = element(
      "div",
      { class: "health" },
      element(
        "p",
        { class: "verdict", "data-status": health.status },
        element("strong", {}, health.status),
        ` – version ${health.version}, up for ${duration(health.uptime_s)}, profile ${run.profile}, model ${run.model}`,
      ),
      health.reasons.length > 0 && element("ul", { class: "reasons" }, health.reasons.map((/** @type {string} */ each) => element("li", {}, each))),
      table("Processes", ["Process", "State", "Restarts", "CPU s", "Memory MiB", "Why"], processRows(health.processes)),
      table("Cameras", ["Camera", "State", "fps in", "fps out", "p50 ms", "p95 ms", "Dropped", "Why"], cameraRows(health.cameras)),
      table("Outputs", ["Output", "State", "What"], outputRows(health)),
      table("Chosen automatically", ["What", "Chosen", "Why"], choiceRows(health)),
    );
    become(this.body, fresh);
  }
}

/** @param {Record<string, any>} processes */
function processRows(processes) {
  return Object.entries(processes).map(([name, each]) => [
    name,
    each.state,
    each.restarts,
    each.cpu_s.toFixed(0),
    (each.rss_bytes / 2 ** 20).toFixed(0),
    each.detail,
  ]);
}

/** @param {Record<string, any>} cameras */
function cameraRows(cameras) {
  return Object.entries(cameras).map(([name, each]) => [
    name,
    each.state,
    each.fps_in.toFixed(1),
    each.fps_out.toFixed(1),
    each.latency_ms.p50?.toFixed(0) ?? "–",
    each.latency_ms.p95?.toFixed(0) ?? "–",
    Object.entries(each.dropped).filter(([, count]) => count).map(([reason, count]) => `${reason} ${count}`).join(", "),
    each.reason,
  ]);
}

/** @param {any} health */
function choiceRows(health) {
  const parts = ["inference", "reid", "segmentation"];
  return parts.flatMap((part) => (health[part]?.choices ?? []).map((/** @type {any} */ each) => [each.what, each.chosen, each.reason]));
}

/**
 * @param {string} title
 * @param {string[]} head
 * @param {Array<Array<string | number>>} rows
 */
function table(title, head, rows) {
  if (rows.length === 0) return null;
  return element(
    "section",
    { class: "panel" },
    element("h2", {}, title),
    element(
      "div",
      { class: "scroll", tabindex: "0", role: "group", "aria-label": title },
      element(
        "table",
        {},
        element("thead", {}, element("tr", {}, head.map((text) => element("th", { scope: "col" }, text)))),
        element(
          "tbody",
          {},
          rows.map((row) =>
            element("tr", { "data-state": row[1] }, row.map((cell, index) => element(index === 0 ? "th" : "td", index === 0 ? { scope: "row" } : {}, cell))),
          ),
        ),
      ),
    ),
  );
}
