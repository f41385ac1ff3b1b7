// @ts-check
/** What a person has chosen in this browser: theme, layers, way of video. */

import { ALL_LAYERS, NO_LAYERS } from "./draw.js";

const KEY = "camring";

/**
 * @type {{theme: "auto" | "dark" | "light", way: "auto" | "whep" | "hls" | "mjpeg", view: "clean" | "overlay",
 *     layers: import("./draw.js").Layers}}
 */
export const preferences = { theme: "auto", way: "auto", view: "clean", layers: { ...ALL_LAYERS } };

try {
  const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
  if (["auto", "dark", "light"].includes(kept.theme)) preferences.theme = kept.theme;
  if (["auto", "whep", "hls", "mjpeg"].includes(kept.way)) preferences.way = kept.way;
  if (["clean", "overlay"].includes(kept.view)) preferences.view = kept.view;
  for (const layer of /** @type {Array<keyof import("./draw.js").Layers>} */ (Object.keys(ALL_LAYERS))) {
    if (typeof kept.layers?.[layer] === "boolean") preferences.layers[layer] = kept.layers[layer];
  }
} catch {
  // nothing is kept in this browser, or something else is
}

export function keepPreferences() {
  try {
    localStorage.setItem(KEY, JSON.stringify(preferences));
  } catch {
    // a browser that keeps nothing: the choice lasts as long as the page
  }
}

/** @returns {import("./draw.js").Layers} what this page draws: nothing where the engine has drawn it already */
export function layersToDraw() {
  return preferences.view === "clean" ? preferences.layers : NO_LAYERS;
}

/** Dark, light, or what the system says. */
export function applyTheme() {
  if (preferences.theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = preferences.theme;
}
