// @ts-check
/** Waiting between attempts: twice as long each time, with a random part so that pages do not come back all at once. */

export class Backoff {
  /**
   * @param {number} firstMs
   * @param {number} mostMs
   */
  constructor(firstMs = 500, mostMs = 15000) {
    this.firstMs = firstMs;
    this.mostMs = mostMs;
    this.attempts = 0;
  }

  /** @returns {number} ms until the next attempt */
  next() {
    const full = Math.min(this.firstMs * 2 ** this.attempts, this.mostMs);
    this.attempts += 1;
    return full * (0.5 + Math.random() / 2);
  }

  reset() {
    this.attempts = 0;
  }
}

/**
 * @param {number} ms
 * @param {AbortSignal} signal
 * @returns {Promise<boolean>} false where it was aborted
 */
export function pause(ms, signal) {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve(false);
      return;
    }
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve(!signal.aborted);
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
