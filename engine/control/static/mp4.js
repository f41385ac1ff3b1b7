// @ts-check
/** What has to be known of fragmented MP4 to play it: codec string, time scale, decode time of a fragment. Pure. */

/**
 * @param {DataView} view
 * @param {string[]} path  kinds of boxes, from the outside in
 * @param {number} [from]
 * @param {number} [to]
 * @returns {{from: number, to: number} | null} where the content of the first such box lies
 */
export function findBox(view, path, from = 0, to = view.byteLength) {
  let at = from;
  while (at + 8 <= to) {
    let size = view.getUint32(at);
    let header = 8;
    if (size === 1) {
      size = Number(view.getBigUint64(at + 8));
      header = 16;
    }
    if (size === 0) size = to - at;
    if (size < header) return null;
    if (kindAt(view, at + 4) === path[0]) {
      const inside = { from: at + header, to: Math.min(at + size, to) };
      return path.length === 1 ? inside : findBox(view, path.slice(1), inside.from, inside.to);
    }
    at += size;
  }
  return null;
}

/**
 * @param {DataView} view
 * @param {number} at
 */
function kindAt(view, at) {
  return String.fromCharCode(...[0, 1, 2, 3].map((offset) => view.getUint8(at + offset)));
}

/**
 * @param {ArrayBuffer} init  moov with one track of H.264
 * @returns {{mime: string, timescale: number}}
 */
export function readInit(init) {
  const view = new DataView(init);
  const media = findBox(view, ["moov", "trak", "mdia", "mdhd"]);
  const entries = findBox(view, ["moov", "trak", "mdia", "minf", "stbl", "stsd"]);
  if (!media || !entries) throw new Error("the init segment is no MP4 with a track");
  const timescale = view.getUint32(media.from + (view.getUint8(media.from) === 1 ? 20 : 12));
  const entry = findBox(view, ["avc1"], entries.from + 8, entries.to);
  // A visual sample entry has 78 bytes of its own before the boxes in it (ISO/IEC 14496-12).
  const avcc = entry && findBox(view, ["avcC"], entry.from + 78, entry.to);
  if (!avcc) throw new Error("the track is not H.264");
  const hex = [1, 2, 3].map((offset) => view.getUint8(avcc.from + offset).toString(16).padStart(2, "0"));
  return { mime: `video/mp4; codecs="avc1.${hex.join("")}"`, timescale };
}

/**
 * @param {ArrayBuffer} fragment
 * @returns {number | null} its baseMediaDecodeTime in units of the time scale
 */
export function decodeTime(fragment) {
  const view = new DataView(fragment);
  const box = findBox(view, ["moof", "traf", "tfdt"]);
  if (!box) return null;
  return view.getUint8(box.from) === 1
    ? Number(view.getBigUint64(box.from + 4))
    : view.getUint32(box.from + 4);
}
