// @ts-check
/** Short messages at the edge of the page, read out by screen readers; errors stay until they are closed. */

import { button, element } from "./dom.js";

const STAYS_MS = 4000;

export const notices = element("div", { class: "notices", role: "region", "aria-label": "Messages" });
const polite = element("div", { "aria-live": "polite" });
const alerts = element("div", { role: "alert" });
notices.append(polite, alerts);

/**
 * @param {string} text
 * @param {{error?: boolean, action?: [string, () => void]}} [options]
 */
export function notice(text, { error = false, action } = {}) {
  const close = () => item.remove();
  const item = element(
    "div",
    { class: error ? "notice error" : "notice" },
    element("span", {}, text),
    action && button(action[0], () => { action[1](); close(); }),
    button("×", close, { class: "plain", "aria-label": "Close message" }),
  );
  const list = error ? alerts : polite;
  while (list.children.length > 3) list.firstElementChild?.remove();
  list.append(item);
  setTimeout(close, error ? 4 * STAYS_MS : STAYS_MS);
}

/**
 * Do something and tell what went wrong.
 *
 * @template T
 * @param {Promise<T>} doing
 * @param {string} [done]  told when it has worked
 * @returns {Promise<T | undefined>}
 */
export async function attempt(doing, done) {
  try {
    const result = await doing;
    if (done) notice(done);
    return result;
  } catch (error) {
    notice(/** @type {Error} */ (error).message, { error: true });
    return undefined;
  }
}
