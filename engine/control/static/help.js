// @ts-check
/** Keys and what they do, as a dialog. */

import { button, element } from "./dom.js";

const KEYS = [
  ["?", "this help"],
  ["1 … 5", "cameras, events, charts, health, manage"],
  ["← →", "in a camera’s view: the camera before, the next one"],
  ["Esc", "back to all cameras; close what is open"],
  ["Tab, Enter", "go through everything, choose"],
  ["p", "to the picture; there: arrows move a cross, Enter chooses or points, Shift+Enter: not this, Ctrl+Enter: this too"],
  ["j", "to the joystick; there: hold the arrows, with Shift faster"],
  ["m b l t z", "masks, boxes, labels, trails, zones on and off"],
  ["d", "dark, light, as the system"],
];

/** @returns {HTMLDialogElement} */
export function helpDialog() {
  const dialog = element(
    "dialog",
    { class: "help", "aria-label": "Keys" },
    element("h2", {}, "Keys"),
    element("dl", {}, KEYS.map(([key, what]) => [element("dt", {}, element("kbd", {}, key)), element("dd", {}, what)])),
    element("p", { class: "quiet" }, "In the picture: click chooses or points, drag is a box, Shift or Alt and click: not this."),
    button("Close", () => dialog.close(), { class: "primary" }),
  );
  return dialog;
}
