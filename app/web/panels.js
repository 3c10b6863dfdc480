// What stands around the rows: reader picker, history strip, active segments, banners, short messages, the waiting state.

import { itemOf } from "./api.js";
import { cover, describe, randomOf } from "./cover.js";
import { el, icon, iconButton, keepFocus, motionAllowed } from "./dom.js";

const DONE = { like: "Liked", purchase: "Bought", rating: "Rated", cart: "In the cart", view: "Viewed", click: "Opened", dislike: "Disliked", hide: "Hidden" };
const $ = (id) => document.getElementById(id);

/** The choices of the reader picker; `you` is the visitor's own random id. */
export function fillPicker(examples, you, reader) {
  const groups = [el("optgroup", { label: "This browser" }, el("option", { value: you, text: "You" }))];
  if (examples.length) {
    groups.unshift(el("optgroup", { label: "Example readers" }, ...examples.map((id) => el("option", { value: id, text: `Reader ${id}` }))));
  }
  if (reader !== you && !examples.includes(reader)) groups.push(el("option", { value: reader, text: `Reader ${reader}` }));
  $("reader").replaceChildren(...groups);
  $("reader").value = reader;
}

/** Who the page is for: heading, avatar and tab title. */
export function showReader(reader, isYou) {
  $("who-title").textContent = isYou ? "Your homepage" : `Homepage of ${reader}`;
  document.title = isYou ? "Sparrow" : `${reader} · Sparrow`;
  $("avatar").textContent = isYou ? "Y" : (/[\p{L}\p{N}]/u.exec(reader) || ["?"])[0].toUpperCase();
  $("avatar").style.setProperty("--hue", String(Math.floor(randomOf(reader)() * 360)));
}

/** The line below the heading. */
export function showLine(text) {
  $("who-line").textContent = text;
}

/** What is served, in the footer. */
export function showSize(items, segments) {
  $("foot-line").textContent = `Sparse rows in, homepage rows out: ${items.toLocaleString("en")} items in ${segments.toLocaleString("en")} segments.`;
}

/** Index version and time of the latest answer. */
export function showBadge(version, tookMs) {
  const short = version.split("-").at(-1);
  $("badge").replaceChildren(el("span", { class: "dot" }), el("span", { text: `index ${short}` }), el("b", { text: `${milliseconds(tookMs)} ms` }));
  $("badge").title = `Index version ${version}; the server took ${milliseconds(tookMs)} ms for the page.`;
  $("badge").hidden = false;
}

function milliseconds(value) {
  return value < 10 ? value.toFixed(1) : Math.round(value).toString();
}

/** The history strip, newest first, with one thing to do, {text, click} or null. `user` null: it could not be read. */
export function showHistory(user, offer, open) {
  const root = $("history");
  if (!user) {
    root.replaceChildren(el("p", { class: "nothing", text: "The history cannot be read at the moment." }));
    return;
  }
  const shown = user.history;
  const more = user.n_seen - shown.length;
  const head = el("div", { class: "history-head" },
    el("h2", { text: "History" }),
    el("p", { text: historyLine(user) }),
    offer ? el("button", { type: "button", class: "quiet", ...offer }) : null);
  const strip = shown.length
    ? el("ul", { class: "strip", role: "list", "aria-label": "Newest first" }, ...shown.map((entry) => el("li", {}, bead(entry, open))),
      more > 0 ? el("li", { class: "more", text: `and ${more} more` }) : null)
    : el("p", { class: "nothing" }, icon("like"), el("span", { text: "Nothing here yet. Search for something you love, or like a few things below: the rows follow at once." }));
  const old = root.querySelector(".strip");
  const left = old && root.dataset.of === user.user_id ? old.scrollLeft : 0;
  root.dataset.of = user.user_id;
  keepFocus(root, () => root.replaceChildren(head, strip));
  strip.scrollLeft = left;
}

function historyLine(user) {
  const parts = [`${user.n_seen} seen`];
  if (user.n_hidden) parts.push(`${user.n_hidden} hidden`);
  return user.n_seen || user.n_hidden ? parts.join(", ") : "";
}

function bead(entry, open) {
  const item = itemOf(entry.item_id);
  const words = describe(item);
  const unwanted = entry.weight < 0;
  return el("button", { type: "button", "data-key": `item ${entry.item_id}`, class: unwanted ? "bead unwanted" : "bead", title: words.full, click: () => open(item) },
    cover(item, true),
    el("span", { class: "bead-words" },
      el("span", { class: "bead-title", text: words.title }),
      el("span", { class: "bead-by", text: (!unwanted && (words.by || words.year)) || DONE[entry.kind] || entry.kind })));
}

/** The panel of active segments: a bar each, as long as its score beside the strongest. `personal` false: everybody's. */
export function showSegments(segments, personal, open) {
  $("segments-line").textContent = personal ? "What the model sees in this reader, strongest first." : "What most readers are drawn to.";
  const strongest = Math.max(...segments.map((segment) => segment.score), 1e-9);
  const items = segments.map((segment) => {
    const bar = el("span", { class: "bar" });
    bar.style.setProperty("--share", String(Math.max(0.02, segment.score / strongest)));
    return el("li", {}, el("button", { type: "button", "data-key": `segment ${segment.segment_id}`, class: "segment", title: segment.reason || segment.title, click: () => open(segment) },
      el("span", { class: "segment-title", text: segment.title }),
      el("span", { class: "segment-score", text: segment.score.toFixed(2) }),
      bar));
  });
  keepFocus($("segments"), () => $("segments").replaceChildren(...items));
  $("segments").closest("aside").classList.toggle("none", segments.length === 0);
}

/** Show, replace or (text empty) remove the banner of one `name`. */
export function banner(name, text, { tone = "quiet", retry = null } = {}) {
  const old = $("banners").querySelector(`[data-name="${name}"]`);
  if (!text) return old?.remove();
  const node = el("div", { class: `banner ${tone}`, "data-name": name },
    el("p", { text }), retry ? el("button", { type: "button", class: "quiet", text: "Try again", click: retry }) : null);
  if (old) old.replaceWith(node);
  else $("banners").append(node);
}

/** A short message that goes by itself, one of each tone. Inside an open dialog, because the page behind one is silent. */
export function toast(text, tone = "plain") {
  const node = el("div", { class: `toast ${tone}` }, el("p", { text }), iconButton("close", "Dismiss", { click: () => node.remove() }));
  const region = $("toasts");
  (document.querySelector("dialog[open]") || document.body).append(region);
  region.querySelector(`.${tone}`)?.remove();
  region.append(node);
  setTimeout(() => node.remove(), tone === "bad" ? 9000 : 5000);
}

/** Grey shelves while the first answer is on its way. */
export function skeleton() {
  return Array.from({ length: 3 }, () => el("div", { class: "shelf ghost", "aria-hidden": "true" },
    el("div", { class: "ghost-line" }), el("div", { class: "track" }, ...Array.from({ length: 9 }, () => el("div", { class: "card" }, el("div", { class: "cover" }))))));
}

/** An answer without rows. */
export function nothingLeft() {
  return el("p", { class: "nothing", text: "There is nothing left to show to this reader." });
}

/** Nothing is published yet: said kindly, with what to do. */
export function waiting() {
  const bird = document.querySelector(".wordmark svg").cloneNode(true);
  bird.setAttribute("class", motionAllowed() ? "waiting-bird hop" : "waiting-bird");
  return el("div", { class: "waiting" }, bird,
    el("h2", { text: "No index is published yet" }),
    el("p", { text: "As soon as one is, the rows appear here; this page looks again by itself." }),
    el("pre", {}, el("code", { text: "sparrow-train fit --dataset goodbooks --run run\nsparrow-train publish run --snapshots snapshots" })));
}
