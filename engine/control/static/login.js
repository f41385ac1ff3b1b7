// @ts-check
/** The login page: a token for a session. */

import { ask } from "./api.js";
import { element, setText } from "./dom.js";

/**
 * @param {() => void} done  called when logged in
 * @returns {HTMLElement}
 */
export function loginPage(done) {
  const token = element("input", {
    type: "password", name: "token", required: true, autocomplete: "current-password", id: "token", autofocus: true,
  });
  const problem = element("p", { class: "problem", role: "alert" });
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setText(problem, "");
    try {
      await ask("POST", "/login", { token: token.value });
      token.value = "";
      done();
    } catch (error) {
      setText(problem, /** @type {Error} */ (error).message);
      token.select();
    }
  };
  return element(
    "main",
    { class: "login" },
    element(
      "form",
      { class: "panel", onsubmit: submit },
      element("h1", {}, "camring"),
      element("label", { class: "field", for: "token" }, element("span", {}, "Token"), token),
      problem,
      element("button", { type: "submit", class: "primary" }, "Log in"),
    ),
  );
}
