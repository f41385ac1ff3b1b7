// @ts-check
/** Sends prompts and shows at once what was pointed at: first as asked, then as answered. */

import { ask } from "./api.js";
import { notice } from "./notices.js";

const LASTS_MS = { asked: 20000, done: 1500, refused: 3000 };
const COLOURS = { asked: "#ffd34d", done: "#4dff88", refused: "#ff5a4d" };

/** @typedef {{wish: import("./pointing.js").Wish, state: keyof typeof COLOURS, untilMs: number}} Mark */

export class Prompts {
  /**
   * @param {string} camera
   * @param {{redraw: () => void, added: (id: number) => void, mode: () => string, setMode: (mode: string) => void}} page
   */
  constructor(camera, page) {
    this.camera = camera;
    this.page = page;
    /** @type {Mark[]} */
    this.marks = [];
  }

  /** @param {import("./pointing.js").Wish} wish */
  async send(wish) {
    const mark = /** @type {Mark} */ ({ wish, state: "asked", untilMs: 0 });
    this.marks = [...this.marks, mark].slice(-8);
    this.#become(mark, "asked");
    const body = Object.fromEntries(
      Object.entries({
        camera: this.camera,
        action: "add",
        points: wish.points.length ? wish.points : null,
        box: wish.box,
        object: wish.object,
        frame: wish.frame,
      }).filter(([, value]) => value !== null),
    );
    try {
      const answer = await ask("POST", "/prompt", body);
      this.#become(mark, "done");
      this.page.added(answer.object);
    } catch (error) {
      this.#become(mark, "refused");
      this.#explain(/** @type {import("./api.js").Refused} */ (error));
    }
  }

  /** @param {import("./api.js").Refused} error */
  #explain(error) {
    const off = error.status === 409 && ["off", "boxes"].includes(this.page.mode());
    const action = /** @type {[string, () => void]} */ (["Switch to “prompt”", () => this.page.setMode("prompt")]);
    notice(error.message, { error: true, action: off ? action : undefined });
  }

  /**
   * @param {Mark} mark
   * @param {keyof typeof COLOURS} state
   */
  #become(mark, state) {
    mark.state = state;
    mark.untilMs = performance.now() + LASTS_MS[state];
    this.page.redraw();
  }

  /**
   * @param {import("./draw.js").Painter} painter
   * @param {import("./geometry.js").Placement} placement
   */
  decorate(painter, placement) {
    this.marks = this.marks.filter((mark) => mark.untilMs > performance.now());
    for (const { wish, state } of this.marks) {
      for (const point of wish.points) painter.promptPoint(placement, point, COLOURS[state]);
      if (wish.box) painter.rectangle(placement, wish.box, COLOURS[state]);
    }
  }
}
