// @ts-check
/** Reads a low-latency HLS media playlist (RFC 8216bis) as far as a player at the live edge needs it. Pure. */

/**
 * @typedef {object} Part
 * @property {string} key   MSN.PART, or MSN.whole for a segment that has no parts any more
 * @property {number} msn
 * @property {string} uri
 * @property {boolean} independent  begins with a key frame
 * @property {number | null} time   PROGRAM-DATE-TIME in seconds, where it stands before this very part
 * @property {boolean} discontinuity  before it
 */

/**
 * @typedef {object} Playlist
 * @property {string} init
 * @property {Part[]} parts  in order
 * @property {number} nextMsn   what to wait for: media sequence number and part
 * @property {number} nextPart
 * @property {boolean} blocking  whether the server waits for it
 * @property {number} targetS
 * @property {boolean} ended
 */

/**
 * @param {string} text
 * @returns {Playlist}
 */
export function parsePlaylist(text) {
  /** @type {Playlist} */
  const playlist = { init: "", parts: [], nextMsn: 0, nextPart: 0, blocking: false, targetS: 2, ended: false };
  let msn = 0;
  /** @type {number | null} */
  let time = null;
  let discontinuity = false;
  /** @type {Part[]} of the segment being read */
  let open = [];
  const add = (/** @type {string} */ uri, /** @type {boolean} */ independent, /** @type {string} */ name) => {
    const part = { key: `${msn}.${name}`, msn, uri, independent, time, discontinuity };
    time = null;
    discontinuity = false;
    return part;
  };
  for (const line of text.split(/\r?\n/)) {
    const [tag, rest] = split(line);
    if (tag === "#EXT-X-MEDIA-SEQUENCE") msn = Number(rest);
    else if (tag === "#EXT-X-SKIP") msn += Number(attribute(rest, "SKIPPED-SEGMENTS"));
    else if (tag === "#EXT-X-TARGETDURATION") playlist.targetS = Number(rest);
    else if (tag === "#EXT-X-SERVER-CONTROL") playlist.blocking = attribute(rest, "CAN-BLOCK-RELOAD") === "YES";
    else if (tag === "#EXT-X-MAP") playlist.init = attribute(rest, "URI");
    else if (tag === "#EXT-X-PROGRAM-DATE-TIME") time = Date.parse(rest) / 1000;
    else if (tag === "#EXT-X-DISCONTINUITY") discontinuity = true;
    else if (tag === "#EXT-X-ENDLIST") playlist.ended = true;
    else if (tag === "#EXT-X-PART") {
      open.push(add(attribute(rest, "URI"), attribute(rest, "INDEPENDENT") === "YES", String(open.length)));
    } else if (line && !line.startsWith("#")) {
      playlist.parts.push(...(open.length ? open : [add(line, true, "whole")]));
      open = [];
      msn += 1;
    }
  }
  playlist.parts.push(...open);
  playlist.nextMsn = msn;
  playlist.nextPart = open.length;
  return playlist;
}

/** @param {string} line */
function split(line) {
  const at = line.indexOf(":");
  return at < 0 ? [line, ""] : [line.slice(0, at), line.slice(at + 1)];
}

/**
 * @param {string} list  NAME=VALUE,NAME="VALUE"
 * @param {string} name
 * @returns {string} "" where it is not there
 */
export function attribute(list, name) {
  for (const match of list.matchAll(/([A-Z0-9-]+)=("[^"]*"|[^,]*)/g)) {
    if (match[1] === name) return match[2].replace(/^"|"$/g, "");
  }
  return "";
}
