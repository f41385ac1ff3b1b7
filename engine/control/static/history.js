// @ts-check
/** Health over the last minutes as series of numbers; counters become rates. Pure; bounded. */

export const MOST_SAMPLES = 300;

/** @typedef {{times: number[], values: Array<number | null>}} Series */

export class History {
  constructor(most = MOST_SAMPLES) {
    this.most = most;
    /** @type {Map<string, Series>} */
    this.series = new Map();
    /** @type {Map<string, {time: number, total: number}>} */
    this.counters = new Map();
  }

  /**
   * @param {any} health  body of /health
   * @param {number} time  seconds, any origin
   */
  add(health, time) {
    for (const [name, camera] of Object.entries(health.cameras ?? {})) this.#addCamera(name, camera, time);
    for (const [name, process] of Object.entries(health.processes ?? {})) {
      this.#put(`memory/${name}`, time, process.rss_bytes / 2 ** 20);
      this.#rate(`cpu/${name}`, time, process.cpu_s * 100);
      if (typeof process.gpu_memory_bytes === "number") {
        this.#put(`gpu/${name}`, time, process.gpu_memory_bytes / 2 ** 20);
      }
    }
    const inference = health.inference;
    if (inference) {
      this.#put("queue/waiting frames", time, inference.queue_depth);
      this.#put("queue/frames in a batch", time, inference.batch_frames);
      this.#put("queue/waiting embeddings", time, health.reid ? health.reid.queue : null);
    }
  }

  /**
   * @param {string} prefix  the part of the name before the slash
   * @returns {Array<{label: string, series: Series}>} those with a value
   */
  group(prefix) {
    const found = [];
    for (const [name, series] of this.series) {
      const told = series.values.some((value) => value !== null);
      if (name.startsWith(`${prefix}/`) && told) found.push({ label: name.slice(prefix.length + 1), series });
    }
    return found;
  }

  /**
   * @param {string} name
   * @param {any} camera
   * @param {number} time
   */
  #addCamera(name, camera, time) {
    this.#put(`fps_in/${name}`, time, camera.fps_in);
    this.#put(`fps/${name}`, time, camera.fps_inferred);
    this.#put(`latency/${name} p50`, time, camera.latency_ms.p50);
    this.#put(`latency/${name} p95`, time, camera.latency_ms.p95);
    for (const [reason, count] of Object.entries(camera.dropped)) {
      this.#rate(`drops/${name}: ${reason}`, time, Number(count));
    }
  }

  /**
   * @param {string} name
   * @param {number} time
   * @param {number | null} value
   */
  #put(name, time, value) {
    let series = this.series.get(name);
    if (!series) {
      series = { times: [], values: [] };
      this.series.set(name, series);
    }
    series.times.push(time);
    series.values.push(value);
    if (series.times.length > this.most) {
      series.times.shift();
      series.values.shift();
    }
  }

  /**
   * @param {string} name
   * @param {number} time
   * @param {number} total  of a counter; less than before: it began again
   */
  #rate(name, time, total) {
    const before = this.counters.get(name);
    this.counters.set(name, { time, total });
    if (!before || time <= before.time) return;
    const rate = total >= before.total ? (total - before.total) / (time - before.time) : null;
    if (rate !== 0 || this.series.has(name)) this.#put(name, time, rate);
  }
}
