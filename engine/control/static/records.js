// @ts-check
/** The newest frame records of one camera, found by frame number or by time. Pure; bounded. */

/**
 * @typedef {object} FrameObject  as in docs/api_spec.md
 * @property {number | null} id
 * @property {string} label
 * @property {number} confidence
 * @property {[number, number, number, number]} bbox  left, top, width, height
 * @property {string} [state]
 * @property {number} [gid]
 * @property {number | null} [mask_id]
 * @property {number[][][][] | null} [polygon]
 * @property {{size: [number, number], counts: string} | null} [mask]
 * @property {number | null} [mask_age_ms]
 * @property {string | null} [mask_source]
 */

/**
 * @typedef {object} FrameRecord
 * @property {string} camera
 * @property {number} frame
 * @property {number} time  seconds since the epoch
 * @property {FrameObject[]} objects
 * @property {Array<{kind: string, point: [number, number], zone?: string, line?: string, id?: number}>} [events]
 * @property {Record<string, number | null>} latency_ms
 * @property {{pan: number, tilt: number, hfov: number}} [pose]
 */

export const MOST_RECORDS = 300;

export class RecordBuffer {
  /** @param {number} most */
  constructor(most = MOST_RECORDS) {
    this.most = most;
    /** @type {FrameRecord[]} in the order of their frames */
    this.records = [];
  }

  /** @param {FrameRecord} record */
  add(record) {
    const newest = this.newest();
    // Numbers begin again where a camera was removed and another got its name.
    if (newest && record.frame <= newest.frame) this.records = [];
    this.records.push(record);
    if (this.records.length > this.most) this.records.shift();
  }

  /** @returns {FrameRecord | null} */
  newest() {
    return this.records.length ? this.records[this.records.length - 1] : null;
  }

  /**
   * @param {number} frame
   * @returns {FrameRecord | null} that frame's own record
   */
  ofFrame(frame) {
    const index = this.#first((record) => record.frame >= frame);
    const record = this.records[index];
    return record && record.frame === frame ? record : null;
  }

  /**
   * @param {number} frame
   * @param {number} time  of that frame; NaN where it is not known
   * @param {number} patienceS  how much older a record may be
   * @returns {FrameRecord | null} the frame's record, or the last one before it
   */
  atOrBefore(frame, time, patienceS) {
    const record = this.records[this.#first((each) => each.frame > frame) - 1];
    if (!record || time - record.time > patienceS) return null;
    return record;
  }

  /**
   * @param {number} time  seconds since the epoch
   * @param {number} toleranceS
   * @returns {FrameRecord | null} the one nearest in time
   */
  nearTime(time, toleranceS) {
    const index = this.#first((record) => record.time >= time);
    const [after, before] = [this.records[index], this.records[index - 1]];
    const nearer = !before || (after && after.time - time < time - before.time) ? after : before;
    return nearer && Math.abs(nearer.time - time) <= toleranceS ? nearer : null;
  }

  /**
   * @param {number} frame
   * @param {number} count
   * @returns {FrameRecord[]} the last ones up to that frame, oldest first
   */
  upTo(frame, count) {
    const end = this.#first((record) => record.frame > frame);
    return this.records.slice(Math.max(0, end - count), end);
  }

  /**
   * @param {(record: FrameRecord) => boolean} reached
   * @returns {number} index of the first record that has
   */
  #first(reached) {
    let [low, high] = [0, this.records.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (reached(this.records[middle])) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
