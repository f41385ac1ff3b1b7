// @ts-check
/**
 * Where a picture lies in the box that shows it, and back: pixels of the source ↔ CSS pixels of the box.
 * Pure arithmetic; knows no elements.
 */

/**
 * @typedef {object} Placement  a picture shown whole in the middle of its box (object-fit: contain)
 * @property {number} left    CSS px from the left of the box to the picture
 * @property {number} top
 * @property {number} width   of the picture as shown, CSS px
 * @property {number} height
 * @property {number} sourceWidth   of the source, px; what records count in
 * @property {number} sourceHeight
 */

/**
 * The video may have another size than the source (an encoder wants even numbers, or scales): its shape decides where
 * the picture lies, the size of the source decides what a pixel is.
 *
 * @param {{width: number, height: number}} box  CSS px
 * @param {{width: number, height: number}} video  as decoded, px
 * @param {{width: number, height: number}} source  as in records, px
 * @returns {Placement | null} null while a size is not known
 */
export function place(box, video, source) {
  const shape = video.width > 0 && video.height > 0 ? video : source;
  if (!(box.width > 0 && box.height > 0 && shape.width > 0 && shape.height > 0)) return null;
  const scale = Math.min(box.width / shape.width, box.height / shape.height);
  const width = shape.width * scale;
  const height = shape.height * scale;
  const measure = source.width > 0 && source.height > 0 ? source : shape;
  return {
    left: (box.width - width) / 2,
    top: (box.height - height) / 2,
    width,
    height,
    sourceWidth: measure.width,
    sourceHeight: measure.height,
  };
}

/**
 * @param {Placement} placement
 * @param {number} x  CSS px in the box
 * @param {number} y
 * @returns {[number, number] | null} pixels of the source; null beside the picture
 */
export function toSource(placement, x, y) {
  const across = (x - placement.left) / placement.width;
  const down = (y - placement.top) / placement.height;
  if (!(across >= 0 && across <= 1 && down >= 0 && down <= 1)) return null;
  return [
    Math.min(across * placement.sourceWidth, placement.sourceWidth - 1),
    Math.min(down * placement.sourceHeight, placement.sourceHeight - 1),
  ];
}

/**
 * @param {Placement} placement
 * @param {number} x  CSS px in the box
 * @param {number} y
 * @returns {[number, number]} pixels of the source, the nearest one in the picture
 */
export function toSourceClamped(placement, x, y) {
  const inside = (/** @type {number} */ value, /** @type {number} */ from, /** @type {number} */ length) =>
    Math.min(Math.max(value, from), from + length);
  const nearest = toSource(
    placement,
    inside(x, placement.left, placement.width),
    inside(y, placement.top, placement.height),
  );
  return nearest ?? [0, 0];
}

/**
 * @param {Placement} placement
 * @param {number} x  pixels of the source
 * @param {number} y
 * @returns {[number, number]} CSS px in the box
 */
export function toBox(placement, x, y) {
  return [
    placement.left + (x / placement.sourceWidth) * placement.width,
    placement.top + (y / placement.sourceHeight) * placement.height,
  ];
}

/**
 * @param {[number, number]} one
 * @param {[number, number]} other
 * @returns {[number, number, number, number]} left, top, right, bottom
 */
export function boxAround(one, other) {
  return [
    Math.min(one[0], other[0]),
    Math.min(one[1], other[1]),
    Math.max(one[0], other[0]),
    Math.max(one[1], other[1]),
  ];
}

/**
 * The object at a point: the one with the smallest box round it, so that what stands in front of something large can
 * be chosen. Objects without an ID cannot be.
 *
 * @template {{id: number | null, bbox: number[]}} T
 * @param {T[]} objects
 * @param {[number, number]} point  pixels of the source
 * @returns {T | null}
 */
export function objectAt(objects, point) {
  let best = null;
  let least = Infinity;
  for (const object of objects) {
    const [left, top, width, height] = object.bbox;
    const inside =
      point[0] >= left && point[0] <= left + width && point[1] >= top && point[1] <= top + height;
    if (object.id !== null && inside && width * height < least) {
      best = object;
      least = width * height;
    }
  }
  return best;
}
