// @ts-check
/** The last five minutes in charts. */

import { Chart } from "./chart.js";
import { element } from "./dom.js";

const CHARTS = /** @type {Array<[string, string, string]>} */ ([
  ["fps", "Frames processed", "frames/s"],
  ["fps_in", "Frames from the sources", "frames/s"],
  ["latency", "Latency, capture to output", "ms"],
  ["drops", "Frames dropped, by reason", "frames/s"],
  ["queue", "Queues", "frames"],
  ["cpu", "CPU per process", "% of a core"],
  ["memory", "Memory per process", "MiB"],
  ["gpu", "GPU memory per process", "MiB"],
]);

export class Charts {
  /** @param {import("./store.js").Store} store */
  constructor(store) {
    this.title = "Charts";
    this.store = store;
    this.charts = CHARTS.map(([group, title, unit]) => ({ group, chart: new Chart(title, unit) }));
    this.root = element(
      "section",
      {},
      element("h1", {}, "Charts"),
      element("div", { class: "charts" }, this.charts.map(({ chart }) => chart.root)),
    );
    this.abort = new AbortController();
    store.addEventListener("health", () => this.#show(), { signal: this.abort.signal });
    store.socket.subscribe(["events", "health"], null);
    this.#show();
  }

  close() {
    this.abort.abort();
    for (const { chart } of this.charts) chart.close();
  }

  #show() {
    for (const { group, chart } of this.charts) {
      const lines = this.store.history.group(group);
      chart.root.hidden = group === "gpu" && lines.length === 0;
      chart.show(lines);
    }
  }
}
