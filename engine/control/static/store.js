// @ts-check
/**
 * What the page knows of the engine: cameras, health over time, events, records. Fed by the socket and by requests;
 * views listen to its events: `cameras`, `health`, `events`, `record`, `link`.
 */

import { ask } from "./api.js";
import { History } from "./history.js";
import { RecordBuffer } from "./records.js";

const MOST_EVENTS = 5000;
const PAGE = 1000;

/**
 * @typedef {object} Camera
 * @property {string} name
 * @property {string} source
 * @property {string} state
 * @property {Record<string, any>} settings
 */

export class Store extends EventTarget {
  /** @param {import("./socket.js").Socket} socket */
  constructor(socket) {
    super();
    this.socket = socket;
    this.session = { role: "viewer", login_required: false };
    /** @type {Camera[]} */
    this.cameras = [];
    this.camerasKnown = false;
    /** @type {any} body of /health */
    this.health = null;
    this.history = new History();
    /** @type {any[]} newest last */
    this.events = [];
    /** @type {Map<string, RecordBuffer>} */
    this.records = new Map();
    socket.addEventListener("message", (event) => this.#take(/** @type {CustomEvent} */ (event).detail));
    socket.addEventListener("up", () => this.#catchUp());
    socket.addEventListener("down", () => this.#tell("link"));
  }

  /**
   * @param {"viewer" | "operator" | "admin"} role
   * @returns {boolean} whether the session has at least this role
   */
  may(role) {
    const order = ["viewer", "operator", "admin"];
    return order.indexOf(this.session.role) >= order.indexOf(role);
  }

  async refreshCameras() {
    const answer = await ask("GET", "/cameras");
    this.cameras = answer.cameras ?? [];
    this.camerasKnown = true;
    for (const name of this.records.keys()) {
      if (!this.camera(name)) this.records.delete(name);
    }
    this.#tell("cameras");
  }

  /**
   * @param {string} name
   * @returns {Camera | undefined}
   */
  camera(name) {
    return this.cameras.find((camera) => camera.name === name);
  }

  /** @param {string} name */
  buffer(name) {
    let buffer = this.records.get(name);
    if (!buffer) {
      buffer = new RecordBuffer();
      this.records.set(name, buffer);
    }
    return buffer;
  }

  /**
   * @param {string} name
   * @returns {{state: string, reason: string}} what is to be shown of a camera
   */
  stateOf(name) {
    const asked = this.camera(name)?.state ?? "";
    const health = this.health?.cameras?.[name];
    if (this.camerasKnown && !this.camera(name)) return { state: "absent", reason: "" };
    if (asked === "stopped" || !health) return { state: asked || "unknown", reason: "" };
    return { state: health.state, reason: health.reason };
  }

  /** @param {string} name */
  head(name) {
    return this.health?.ptz?.[name] ?? null;
  }

  async #catchUp() {
    this.#tell("link");
    await Promise.allSettled([this.refreshCameras(), this.#pastEvents()]);
  }

  /** From the beginning each time: a control process that was started again counts anew. */
  async #pastEvents() {
    /** @type {any[]} */
    const past = [];
    let page = { events: [], next: 0 };
    do {
      page = await ask("GET", `/events?since=${page.next}&limit=${PAGE}`);
      past.push(...page.events);
    } while (page.events.length === PAGE && past.length < MOST_EVENTS);
    const known = new Set(this.events.map(keyOf));
    const missing = past.filter((each) => !known.has(keyOf(each)));
    this.events = [...this.events, ...missing].sort((one, other) => one.time - other.time).slice(-MOST_EVENTS);
    this.#tell("events", { fresh: [] });
  }

  /** @param {any} message */
  #take(message) {
    if (message.schema === "camring.frame/1") {
      this.buffer(message.camera).add(message);
      this.#tell("record", message);
    } else if (message.schema === "camring.event/1") {
      this.events.push(message);
      if (this.events.length > MOST_EVENTS) this.events.shift();
      this.#tell("events", { fresh: [message] });
    } else if (message.type === "health") {
      this.health = message.health;
      this.history.add(message.health, performance.now() / 1000);
      this.#tell("health");
    } else if (message.type === "cameras") {
      this.refreshCameras().catch(() => {}); // the next connection asks again
    }
  }

  /**
   * @param {string} type
   * @param {unknown} [detail]
   */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** @param {any} event */
function keyOf(event) {
  return [event.camera, event.frame, event.kind, event.id, event.zone, event.line, event.group].join("|");
}
