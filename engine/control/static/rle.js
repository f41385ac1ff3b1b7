// @ts-check
/**
 * COCO's compressed run lengths (pycocotools): 6 bits a character from "0" on, bit 5 = more follows, the first run is
 * background, from the third on a difference to the run two before; column by column.
 */

/**
 * @param {string} counts
 * @returns {number[]} lengths of runs, background and object in turn
 */
export function runLengths(counts) {
  const runs = [];
  let at = 0;
  while (at < counts.length) {
    let value = 0;
    let shift = 0;
    let more = true;
    while (more && at < counts.length) {
      const bits = counts.charCodeAt(at) - 48;
      value |= (bits & 0x1f) << shift;
      more = (bits & 0x20) !== 0;
      shift += 5;
      at += 1;
      if (!more && bits & 0x10) value |= -1 << shift;
    }
    if (runs.length > 2) value += runs[runs.length - 2];
    runs.push(value);
  }
  return runs;
}

/**
 * The part of a mask that is not empty, as picture data of one colour.
 *
 * @param {{size: [number, number], counts: string}} mask
 * @param {[number, number, number]} rgb
 * @param {number} alpha  0..255
 * @returns {{left: number, top: number, width: number, height: number, rgba: Uint8ClampedArray} | null}
 *     null for an empty mask
 */
export function maskPixels(mask, rgb, alpha) {
  const [height, width] = mask.size;
  const runs = runLengths(mask.counts);
  const bounds = boundsOf(runs, height, width);
  if (bounds === null) return null;
  const columns = bounds.right - bounds.left + 1;
  const rows = bounds.bottom - bounds.top + 1;
  const rgba = new Uint8ClampedArray(columns * rows * 4);
  eachObjectRun(runs, height * width, (from, to) => {
    for (let pixel = from; pixel < to; pixel += 1) {
      const column = Math.floor(pixel / height) - bounds.left;
      const place = (((pixel % height) - bounds.top) * columns + column) * 4;
      rgba[place] = rgb[0];
      rgba[place + 1] = rgb[1];
      rgba[place + 2] = rgb[2];
      rgba[place + 3] = alpha;
    }
  });
  return { left: bounds.left, top: bounds.top, width: columns, height: rows, rgba };
}

/**
 * @param {number[]} runs
 * @param {number} pixels
 * @param {(from: number, to: number) => void} visit
 */
function eachObjectRun(runs, pixels, visit) {
  let position = 0;
  runs.forEach((length, index) => {
    const end = Math.min(position + length, pixels);
    if (index % 2 === 1 && end > position) visit(position, end);
    position = end;
  });
}

/**
 * @param {number[]} runs
 * @param {number} height
 * @param {number} width
 */
function boundsOf(runs, height, width) {
  let [left, top, right, bottom] = [Infinity, Infinity, -1, -1];
  eachObjectRun(runs, height * width, (from, to) => {
    const [first, last] = [Math.floor(from / height), Math.floor((to - 1) / height)];
    left = Math.min(left, first);
    right = Math.max(right, last);
    top = first === last ? Math.min(top, from % height) : 0;
    bottom = first === last ? Math.max(bottom, (to - 1) % height) : height - 1;
  });
  return right < 0 ? null : { left, top, right, bottom };
}
