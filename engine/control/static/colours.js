// @ts-check
/** A colour for each ID that stays: steps of the golden angle round the colour circle, bright enough on video. */

const GOLDEN_ANGLE_DEG = 137.508;

/**
 * @param {number | null} id
 * @returns {number} hue in degrees
 */
export function hueOf(id) {
  return id === null ? 0 : (id * GOLDEN_ANGLE_DEG) % 360;
}

/**
 * @param {number | null} id  null: not confirmed, grey
 * @param {number} [alpha]
 * @returns {string} a CSS colour
 */
export function colourOf(id, alpha = 1) {
  if (id === null) return `rgb(190 190 190 / ${alpha})`;
  return `hsl(${hueOf(id).toFixed(1)} 90% 67% / ${alpha})`;
}

/**
 * @param {number | null} id
 * @returns {[number, number, number]} the same, red, green and blue 0..255
 */
export function rgbOf(id) {
  if (id === null) return [190, 190, 190];
  const hue = hueOf(id);
  const [saturation, lightness] = [0.9, 0.67];
  const spread = saturation * Math.min(lightness, 1 - lightness);
  const channel = (/** @type {number} */ offset) => {
    const step = (offset + hue / 30) % 12;
    return Math.round(255 * (lightness - spread * Math.max(-1, Math.min(step - 3, 9 - step, 1))));
  };
  return [channel(0), channel(8), channel(4)];
}
