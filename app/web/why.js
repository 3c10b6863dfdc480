// Why an item is on the page of a reader, in plain words: what of the history speaks for it and in which segments it is.
// The numbers are those of POST /v1/explain, as shares of all that speaks for the item.

import * as api from "./api.js";
import { describe } from "./cover.js";
import { el } from "./dom.js";
import { words } from "./steering.js";

const SHOWN = 4; // of the history and of the segments
const LEAST = 0.01; // a smaller share is no reason

/** The account of one item for a reader; it fills itself. */
export function why(page, item, reader) {
  const node = el("div", { class: "why", "aria-live": "polite" }, el("p", { class: "item-by", text: "…" }));
  api.explain(item.item_id, reader).then(
    (answer) => node.replaceChildren(...account(page, answer)),
    (problem) => node.replaceChildren(el("p", { class: "item-by", text: problem.message })));
  return node;
}

function account(page, answer) {
  const { history, segments, steering, popularity } = answer;
  const total = sum(history) + Math.max(0, popularity) + sum(steering);
  const strong = (list) => list.filter((one) => one.contribution > LEAST * total).slice(0, SHOWN);
  const against = history.filter((one) => one.contribution < -LEAST * total).slice(0, 2);
  const parts = [
    el("p", { text: lead(strong(history), popularity > LEAST * total) }),
    shares(strong(history).map((one) => [short(one.title), one.contribution / total, null])),
    ...steering.map((one) => el("p", { class: "item-by", text: `${words(one.strength).replace(/^./, (first) => first.toUpperCase())} of ${one.title} was asked for.` })),
    against.length ? el("p", { class: "item-by", text: `Against it speaks ${list(against.map((one) => short(one.title)))}.` }) : null,
    strong(segments).length ? el("h4", { text: "What it is to the model" }) : null,
    shares(strong(segments).map((one) => [one.title, one.contribution / sum(segments), () => page.openSegment(one)])),
    answer.may_be_shown ? null : el("p", { class: "item-by", text: "It is left out of the page: seen or hidden before." }),
  ];
  return parts.filter(Boolean);
}

const sum = (list) => list.reduce((total, { contribution }) => total + Math.max(0, contribution), 0);

function lead(history, popular) {
  if (history.length) return `Mostly because of ${list(history.slice(0, 2).map((one) => short(one.title)))}.`;
  return popular ? "Nothing is known of this reader yet: it is what everybody likes." : "Nothing in the history speaks for it.";
}

/** A title without its series. */
function short(title) {
  return describe({ item_id: title, properties: { title } }).title;
}

function list(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

function shares(entries) {
  if (!entries.length) return null;
  return el("ul", { class: "shares", role: "list" }, ...entries.map(([title, share, open]) => {
    const bar = el("span", { class: "bar" });
    bar.style.setProperty("--share", String(Math.min(1, share)));
    const inside = [el("span", { class: "segment-title", text: title }), el("span", { class: "segment-score", text: `${Math.round(share * 100)} %` }), bar];
    return el("li", {}, open ? el("button", { type: "button", class: "segment", click: open }, ...inside) : el("div", { class: "segment" }, ...inside));
  }));
}
