// Building elements, and the two places for messages. Data only ever becomes text nodes and attributes, never markup, so
// nothing a catalogue holds can run.

const SVG = "http://www.w3.org/2000/svg";

const ICONS = {
  like: "M12 20.3S3.8 15.6 3.8 9.7A4.6 4.6 0 0 1 12 7.1a4.6 4.6 0 0 1 8.2 2.6c0 5.9-8.2 10.6-8.2 10.6z",
  hide: "M4 4l16 16M9.9 5.3A9.7 9.7 0 0 1 12 5c5.4 0 8.8 5 9.6 7a13 13 0 0 1-2.9 3.9M6.3 7A13.3 13.3 0 0 0 2.4 12c.8 2 4.2 7 9.6 7 1.9 0 3.5-.6 4.9-1.4M9.9 10a3 3 0 0 0 4.2 4.2",
  left: "M14.5 5.5 8 12l6.5 6.5",
  right: "M9.5 5.5 16 12l-6.5 6.5",
  close: "M6 6l12 12M18 6 6 18",
  more: "M12 5.5v13M5.5 12h13",
  less: "M5.5 12h13",
  never: "M12 3.8a8.2 8.2 0 1 0 0 16.4 8.2 8.2 0 0 0 0-16.4zM6.4 6.4l11.2 11.2",
};

/** An element: `attributes` are set as attributes, functions become listeners ("click"), `class` and `text` are what they say. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same in SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else if (name === "text") node.textContent = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

/** A drawn icon, silent for screen readers: the control around it carries the name. */
export function icon(name) {
  return svg("svg", { viewBox: "0 0 24 24", class: `icon icon-${name}`, "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));
}

/** An icon button with an accessible name and a tooltip. */
export function iconButton(name, label, attributes = {}) {
  return el("button", { type: "button", class: `round round-${name}`, "aria-label": label, title: label, ...attributes }, icon(name));
}

/** Let `change` replace what is in `root`, and keep the focus on the control of the same data-key. */
export function keepFocus(root, change) {
  const here = document.activeElement;
  const within = root.contains(here);
  change();
  if (within && !here.isConnected) focusKey(here.dataset.key, root);
}

/** Focus the control of `key` in `root`, or the rows where there is none: the focus never falls back to the top. */
export function focusKey(key, root = document) {
  const node = key ? root.querySelector(`[data-key="${CSS.escape(key)}"]`) : null;
  (node || document.getElementById("shelves")).focus({ preventScroll: true });
}

/** Whether things may move. */
export function motionAllowed() {
  return !matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** Show, replace or (text empty) remove the banner of one `name`. */
export function banner(name, text, { tone = "quiet", retry = null } = {}) {
  const root = document.getElementById("banners");
  const old = root.querySelector(`[data-name="${name}"]`);
  if (!text) return old?.remove();
  const node = el("div", { class: `banner ${tone}`, "data-name": name },
    el("p", { text }), retry ? el("button", { type: "button", class: "quiet", text: "Try again", click: retry }) : null);
  if (old) old.replaceWith(node);
  else root.append(node);
}

/** A short message that goes by itself, one of each tone. Inside the topmost dialog, because what is behind one is silent. */
export function toast(text, { tone = "plain", undo = null } = {}) {
  const node = el("div", { class: `toast ${tone}` },
    el("p", { text }),
    undo ? el("button", { type: "button", class: "toast-undo", text: "Undo", click: () => (node.remove(), undo()) }) : null,
    iconButton("close", "Dismiss", { click: () => node.remove() }));
  const region = document.getElementById("toasts");
  ([...document.querySelectorAll("dialog[open]")].at(-1) || document.body).append(region);
  region.querySelector(`.${tone}`)?.remove();
  region.append(node);
  const pause = tone === "bad" || undo ? 9000 : 5000;
  const leave = () => (node.matches(":hover, :focus-within") ? setTimeout(leave, pause) : node.remove());
  setTimeout(leave, pause);
}

/** A message of the server as a sentence. */
export function sentence(text) {
  const trimmed = (text || "").trim();
  return /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}
