// @ts-check
/** Takes a multipart/x-mixed-replace body apart as its bytes come. Pure. */

const LINE_END = 10;

export class MultipartReader {
  /** @param {string} contentType  with its boundary */
  constructor(contentType) {
    const found = /boundary="?([^";]+)"?/.exec(contentType);
    if (!found) throw new Error(`no boundary in ${contentType}`);
    this.bytes = new Uint8Array(0);
    /** @type {Map<string, string> | null} of the part whose body is awaited */
    this.headers = null;
  }

  /**
   * @param {Uint8Array} chunk
   * @returns {Array<{headers: Map<string, string>, body: Uint8Array}>} the parts that are whole now
   */
  push(chunk) {
    const joined = new Uint8Array(this.bytes.length + chunk.length);
    joined.set(this.bytes);
    joined.set(chunk, this.bytes.length);
    this.bytes = joined;
    const parts = [];
    for (let part = this.#next(); part; part = this.#next()) parts.push(part);
    return parts;
  }

  #next() {
    if (!this.headers) this.headers = this.#takeHeaders();
    if (!this.headers) return null;
    const length = Number(this.headers.get("content-length"));
    if (!(length >= 0)) throw new Error("a part without Content-Length");
    if (this.bytes.length < length) return null;
    const part = { headers: this.headers, body: this.bytes.slice(0, length) };
    this.bytes = this.bytes.slice(length);
    this.headers = null;
    return part;
  }

  /** The lines up to an empty one behind at least one header; the boundary's own line is none. */
  #takeHeaders() {
    const headers = new Map();
    let at = 0;
    for (;;) {
      const end = this.bytes.indexOf(LINE_END, at);
      if (end < 0) return null;
      const line = new TextDecoder().decode(this.bytes.subarray(at, end)).trim();
      at = end + 1;
      const colon = line.indexOf(":");
      if (colon > 0) headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
      if (line === "" && headers.size) {
        this.bytes = this.bytes.slice(at);
        return headers;
      }
    }
  }
}
