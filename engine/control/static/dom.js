// @ts-check
/** Elements from code. Text becomes text, never markup: names and labels come from outside. */

/**
 * @typedef {string | number | Node | null | undefined | false | Child[]} Child
 */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [attributes]  `on…`: a listener; `class`, `data-…`, `aria-…` and so on: attributes;
 *     true and false: present and absent; null: absent
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, String(value));
  }
  append(made, children);
  return made;
}

/**
 * @param {Node} parent
 * @param {Child[]} children
 */
function append(parent, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(parent, child);
    else if (child instanceof Node) parent.appendChild(child);
    else if (child !== null && child !== undefined && child !== false) {
      parent.appendChild(document.createTextNode(String(child)));
    }
  }
}

/**
 * @param {Element} parent
 * @param {...Child} children
 */
export function fill(parent, ...children) {
  parent.replaceChildren();
  append(parent, children);
}

/**
 * Set text only where it differs: a screen reader is not told the same again, and nothing is laid out anew.
 *
 * @param {Element} target
 * @param {string} text
 */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/**
 * Make a tree like another one, changing only what differs: focus, scroll places and what is read out stay.
 * For trees of text; listeners of the fresh one are not taken over.
 *
 * @param {Element} present
 * @param {Element} fresh
 */
export function become(present, fresh) {
  for (const { name, value } of fresh.attributes) {
    if (present.getAttribute(name) !== value) present.setAttribute(name, value);
  }
  const [old, wanted] = [[...present.childNodes], [...fresh.childNodes]];
  wanted.forEach((child, index) => {
    const before = old[index];
    if (!before) present.appendChild(child);
    else if (before.nodeName !== child.nodeName) before.replaceWith(child);
    else if (child instanceof Element) become(/** @type {Element} */ (before), child);
    else if (before.nodeValue !== child.nodeValue) before.nodeValue = child.nodeValue;
  });
  for (const extra of old.slice(wanted.length)) extra.remove();
}

/**
 * A button with text.
 *
 * @param {Child} label
 * @param {(event: Event) => void} action
 * @param {Record<string, any>} [attributes]
 */
export function button(label, action, attributes = {}) {
  return element("button", { type: "button", onclick: action, ...attributes }, label);
}

/**
 * A select with its label in front.
 *
 * @param {string} label
 * @param {Array<[string, string]>} options  value and text
 * @param {string} value
 * @param {(value: string) => void} action
 */
export function chooser(label, options, value, action) {
  const select = element(
    "select",
    { onchange: () => action(select.value) },
    options.map(([each, text]) => element("option", { value: each, selected: each === value }, text)),
  );
  return { root: element("label", { class: "field" }, element("span", {}, label), select), select };
}
