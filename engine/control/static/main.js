// @ts-check
/** Begins: session, socket, frame of the page, routes and keys. */

import { ask } from "./api.js";
import { Backoff } from "./backoff.js";
import { CameraView } from "./camera_view.js";
import { Charts } from "./charts.js";
import { button, element, fill, setText } from "./dom.js";
import { HealthView } from "./health.js";
import { helpDialog } from "./help.js";
import { loginPage } from "./login.js";
import { Manage } from "./manage.js";
import { attempt, notices } from "./notices.js";
import { applyTheme, keepPreferences, preferences } from "./preferences.js";
import { Socket } from "./socket.js";
import { Store } from "./store.js";
import { Timeline } from "./timeline.js";
import { Wall } from "./wall.js";

/** @typedef {{root: HTMLElement, title: string, close: () => void}} View */

const app = /** @type {HTMLElement} */ (document.getElementById("app"));
const socket = new Socket();
const store = new Store(socket);
const main = element("main", { id: "main", tabindex: "-1" });
const link = element("span", { class: "link", role: "status" });
const verdict = element("a", { class: "verdict", href: "#/health" }, "…");
const help = helpDialog();
const nav = element("nav", { "aria-label": "Views" });
const PLACES = /** @type {Array<[string, string]>} */ ([
  ["#/", "Cameras"], ["#/events", "Events"], ["#/charts", "Charts"], ["#/health", "Health"], ["#/manage", "Manage"],
]);
/** @type {View | null} */
let view = null;

function frame() {
  fill(nav, PLACES.map(([href, text]) => (text !== "Manage" || store.may("operator")) && element("a", { href }, text)));
  fill(
    app,
    element("a", { class: "skip", href: "#main", onclick: (/** @type {Event} */ event) => { event.preventDefault(); main.focus(); } }, "To the content"),
    element(
      "header",
      { class: "top" },
      element("strong", { class: "brand" }, "camring"),
      nav,
      element("span", { class: "spacer" }),
      link,
      verdict,
      button("◐", nextTheme, { class: "plain theme", "aria-label": "Dark, light or as the system", title: "Dark, light or as the system (d)" }),
      button("?", () => help.showModal(), { class: "plain", "aria-label": "Keys and help", title: "Keys (?)" }),
      store.session.login_required && button("Log out", logOut, { class: "plain" }),
    ),
    main,
    notices,
    help,
  );
  document.body.dataset.role = store.session.role;
}

function nextTheme() {
  const themes = /** @type {const} */ (["auto", "dark", "light"]);
  preferences.theme = themes[(themes.indexOf(preferences.theme) + 1) % themes.length];
  applyTheme();
  keepPreferences();
}

async function logOut() {
  await attempt(ask("POST", "/logout", {}));
  socket.stop();
  await begin();
}

/** @returns {View} for the address */
function viewOf() {
  const [path, query] = location.hash.slice(1).split("?");
  const parts = path.split("/").filter(Boolean).map(decodeURIComponent);
  if (parts[0] === "camera" && parts[1]) {
    return new CameraView(store, parts[1], { object: Number(new URLSearchParams(query).get("object")) || undefined });
  }
  if (parts[0] === "events") return new Timeline(store);
  if (parts[0] === "charts") return new Charts(store);
  if (parts[0] === "health") return new HealthView(store);
  if (parts[0] === "manage") return new Manage(store);
  return new Wall(store);
}

function show() {
  view?.close();
  view = viewOf();
  fill(main, view.root);
  document.title = `${view.title} – camring`;
  for (const each of nav.querySelectorAll("a")) {
    const here = each.hash === location.hash || (each.hash === "#/" && location.hash === "");
    if (here) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
}

/** @param {number} step */
function otherCamera(step) {
  if (!(view instanceof CameraView)) return;
  const names = store.cameras.map((camera) => camera.name);
  const index = names.indexOf(view.camera) + step;
  if (names[index]) location.hash = `#/camera/${encodeURIComponent(names[index])}`;
}

/** @param {keyof typeof preferences.layers} layer */
function switchLayer(layer) {
  preferences.layers[layer] = !preferences.layers[layer];
  keepPreferences();
  if (view instanceof CameraView) view.tile.overlay.draw();
}

const KEYS = /** @type {Record<string, () => void>} */ ({
  "?": () => help.showModal(),
  d: nextTheme,
  p: () => /** @type {HTMLElement | null} */ (main.querySelector("canvas.pointing"))?.focus(),
  j: () => /** @type {HTMLElement | null} */ (main.querySelector(".joystick"))?.focus(),
  m: () => switchLayer("masks"),
  b: () => switchLayer("boxes"),
  l: () => switchLayer("labels"),
  t: () => switchLayer("trails"),
  z: () => switchLayer("zones"),
  ArrowLeft: () => otherCamera(-1),
  ArrowRight: () => otherCamera(1),
  Escape: () => { if (!help.open && location.hash !== "#/") location.hash = "#/"; },
});
PLACES.forEach(([href], index) => {
  KEYS[String(index + 1)] = () => { location.hash = href; };
});

document.addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  const types = target.closest?.("input:not([type=checkbox]), textarea, select, dialog");
  if (types || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (target.closest?.("input") && event.key.startsWith("Arrow")) return;
  const action = KEYS[event.key];
  if (!action || !store.session) return;
  event.preventDefault();
  action();
});

socket.addEventListener("up", () => setText(link, ""));
socket.addEventListener("down", async (event) => {
  setText(link, "reconnecting…");
  // A session that has ended looks like a refused connection.
  if (/** @type {CustomEvent} */ (event).detail.code === 1006) await checkSession();
});
store.addEventListener("health", () => {
  setText(verdict, store.health.status);
  verdict.dataset.status = store.health.status;
  verdict.title = store.health.reasons.join("\n");
});
window.addEventListener("hashchange", show);
window.addEventListener("login-needed", () => logIn());

async function checkSession() {
  try {
    const session = await ask("GET", "/session");
    if (session.login_required && !session.role) logIn();
  } catch {
    // nobody answers at present; the socket tries again
  }
}

function logIn() {
  if (app.querySelector(".login")) return;
  socket.stop();
  view?.close();
  view = null;
  fill(app, loginPage(begin), notices);
}

async function begin() {
  const backoff = new Backoff(500, 5000);
  for (;;) {
    try {
      store.session = await ask("GET", "/session");
      break;
    } catch (error) {
      const { status } = /** @type {import("./api.js").Refused} */ (error);
      if (status === 401 || status === 403) return logIn();
      fill(app, element("p", { class: "empty", role: "status" }, "The engine does not answer; trying again…"));
      await new Promise((resolve) => setTimeout(resolve, backoff.next()));
    }
  }
  if (!store.session.role) return logIn();
  frame();
  socket.start();
  show();
}

applyTheme();
begin();
