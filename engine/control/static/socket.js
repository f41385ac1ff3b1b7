// @ts-check
/** The one WebSocket: what was subscribed is subscribed again after every break. Knows messages, not their meaning. */

import { Backoff } from "./backoff.js";

const SILENCE_MS = 8000;

export class Socket extends EventTarget {
  /** @param {string} path */
  constructor(path = "/ws") {
    super();
    this.path = path;
    this.backoff = new Backoff(300, 8000);
    /** @type {{subscribe: string[], cameras: string[] | null}} */
    this.wanted = { subscribe: ["events", "health"], cameras: null };
    /** @type {WebSocket | null} */
    this.socket = null;
    this.timer = 0;
    this.heardMs = 0;
    this.stopped = true;
    setInterval(() => this.#checkSilence(), 2000);
  }

  start() {
    if (!this.stopped) return;
    this.stopped = false;
    this.#connect();
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }

  get open() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  /**
   * @param {string[]} streams
   * @param {string[] | null} cameras  null: all
   */
  subscribe(streams, cameras) {
    const wanted = { subscribe: streams, cameras };
    if (JSON.stringify(wanted) === JSON.stringify(this.wanted)) return;
    this.wanted = wanted;
    this.#say();
  }

  #say() {
    if (this.open) this.socket?.send(JSON.stringify(this.wanted));
  }

  #connect() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${this.path}`);
    this.socket = socket;
    this.heardMs = performance.now();
    socket.addEventListener("open", () => this.#say());
    socket.addEventListener("message", (event) => this.#take(event.data));
    socket.addEventListener("close", (event) => this.#closed(event));
  }

  /** @param {string} text */
  #take(text) {
    this.heardMs = performance.now();
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return; // not ours
    }
    if (message.type === "begin") {
      this.backoff.reset();
      this.dispatchEvent(new Event("up"));
    }
    this.dispatchEvent(new CustomEvent("message", { detail: message }));
  }

  /** @param {CloseEvent} event */
  #closed(event) {
    this.dispatchEvent(new CustomEvent("down", { detail: { code: event.code, reason: event.reason } }));
    if (!this.stopped) this.timer = window.setTimeout(() => this.#connect(), this.backoff.next());
  }

  /** Health comes every second: a connection that gives nothing for long is dead, whatever the browser thinks. */
  #checkSilence() {
    const silent = performance.now() - this.heardMs > SILENCE_MS;
    if (this.open && silent && this.wanted.subscribe.includes("health")) this.socket?.close();
  }
}
