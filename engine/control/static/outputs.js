// @ts-check
/** What leaves the engine, as rows of a table: name, state, what there is to say. Pure: out of /health's body. */

/** @typedef {[string, string, string]} Row */

/**
 * @param {any} health
 * @returns {Row[]}
 */
export function outputRows(health) {
  return [
    ...publishRows(health.publish ?? {}),
    ...Object.entries(health.cameras ?? {}).flatMap(([name, camera]) => videoRows(name, camera.video)),
    ...brokerRows(health.bus?.brokers ?? {}),
    ...viewerRows(health),
  ];
}

/**
 * @param {Record<string, any>} cameras
 * @returns {Row[]}
 */
function publishRows(cameras) {
  return Object.entries(cameras).flatMap(([camera, { destinations }]) =>
    Object.entries(destinations ?? {}).map(([address, to]) => [
      `${camera} → ${address}`,
      to.state,
      said([
        to.reason,
        `${to.packets} packets`,
        to.reconnects && `${to.reconnects} reconnects`,
        to.queue && `${to.queue} waiting`,
        to.lag_ms !== null && `${Math.round(to.lag_ms)} ms behind`,
        counted("dropped", to.dropped),
      ]),
    ]),
  );
}

/**
 * @param {string} camera
 * @param {any} video
 * @returns {Row[]}
 */
function videoRows(camera, video) {
  if (!video) return [];
  const { recording, renditions } = video;
  /** @type {Row[]} */
  const rows = [];
  if (recording && recording.state !== "off") {
    const what = said([recording.file, recording.trouble, `${recording.frames} frames`, counted("dropped", recording.dropped)]);
    rows.push([`${camera}: recording`, recording.state, what]);
  }
  for (const [name, each] of Object.entries(/** @type {Record<string, any>} */ (renditions ?? {}))) {
    if (!each.running && !each.watched && !each.trouble) continue;
    const rate = `${each.fps.toFixed(1)} fps, ${Math.round(each.kbps)} kbit/s`;
    const what = said([each.trouble, `${each.encoder} (${each.reason})`, rate, counted("dropped", each.dropped)]);
    rows.push([`${camera}: ${name.replaceAll("_", " ")}`, each.trouble ? "failed" : "running", what]);
  }
  return rows;
}

/**
 * @param {Record<string, any>} brokers
 * @returns {Row[]}
 */
function brokerRows(brokers) {
  return Object.entries(brokers).map(([address, each]) => [
    address,
    each.state,
    said([
      each.reason,
      counted("sent", each.sent),
      counted("waiting", each.queue),
      counted("dropped", each.dropped),
      each.reconnects && `${each.reconnects} reconnects`,
    ]),
  ]);
}

/**
 * @param {any} health
 * @returns {Row[]}
 */
function viewerRows(health) {
  const watching = counted("watching", health.viewers?.watching ?? {});
  /** @type {Row[]} */
  const rows = watching ? [["live video", "running", said([watching, counted("skipped", health.viewers.skipped)])]] : [];
  for (const [name, stream] of Object.entries(/** @type {Record<string, any>} */ (health.streams ?? {}))) {
    if (stream.clients) rows.push([`WebSocket: ${name}`, "running", `${stream.clients} clients, ${stream.sent} sent, ${stream.lost} lost`]);
  }
  return rows;
}

/**
 * @param {string} word
 * @param {Record<string, number>} counts
 * @returns {string} "" where nothing was counted
 */
function counted(word, counts) {
  const told = Object.entries(counts ?? {}).filter(([, count]) => count);
  return told.length ? `${word}: ${told.map(([what, count]) => `${what.replaceAll("_", " ")} ${count}`).join(", ")}` : "";
}

/** @param {Array<string | false | 0>} parts */
function said(parts) {
  return parts.filter(Boolean).join(" · ");
}
