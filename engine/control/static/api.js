// @ts-check
/** Requests to the engine: JSON there and back; what it refuses comes as an error with its own words. */

export class Refused extends Error {
  /**
   * @param {number} status  0: nobody answered
   * @param {string} detail
   */
  constructor(status, detail) {
    super(detail);
    this.name = "Refused";
    this.status = status;
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 * @param {{signal?: AbortSignal, keepalive?: boolean}} [options]
 * @returns {Promise<any>}
 */
export async function ask(method, path, body, options = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      method,
      credentials: "same-origin",
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      ...options,
    });
  } catch (error) {
    throw new Refused(0, `the engine does not answer (${/** @type {Error} */ (error).message})`);
  }
  if (answer.ok) return answer.status === 204 ? null : await answer.json().catch(() => null);
  throw await refusal(answer);
}

/**
 * @param {Response} answer
 * @returns {Promise<Refused>} with the detail of its problem document
 */
export async function refusal(answer) {
  const type = answer.headers.get("Content-Type") ?? "";
  const problem = type.includes("json") ? await answer.json().catch(() => null) : null;
  const error = new Refused(answer.status, problem?.detail ?? `${answer.status} ${answer.statusText}`);
  if (answer.status === 401) window.dispatchEvent(new CustomEvent("login-needed"));
  return error;
}

/**
 * @param {string} camera
 * @returns {string} its name as a part of a path
 */
export function inPath(camera) {
  return encodeURIComponent(camera);
}
