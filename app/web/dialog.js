// The drawer: one item in full, or the items of one segment. Loaded when it is first opened.

import * as api from "./api.js";
import { cover, describe } from "./cover.js";
import { el, focusKey, icon, iconButton, keepFocus } from "./dom.js";
import { edits } from "./editing.js";
import { card } from "./shelves.js";
import { dial, steering, tell } from "./steering.js";
import { why } from "./why.js";

const SHOWN_ELSEWHERE = new Set(["title", "name", "label", "headline", "authors", "author", "year", "description", "image_url", "image", "cover_url", "thumbnail"]);

/** One item: cover, words, why it is here, properties, and what is close to it. Only the page's own reader acts on it. */
export function openItem(page, item, reader) {
  const words = describe(item);
  const properties = item.properties || {};
  const done = (verb) => () => (close(), page.act[verb](item, null));
  const near = el("ul", { class: "grid", role: "list" });
  const like = el("button", { type: "button", class: "solid", click: done("like") }, icon("like"), el("span", { text: "Like" }));
  page.liked().then((ids) => {
    if (!ids.has(item.item_id)) return;
    like.disabled = true;
    like.lastChild.textContent = "Liked";
  });
  show(words.title,
    el("div", { class: "item" }, cover(item), el("div", { class: "item-words" },
      words.series ? el("p", { class: "item-series", text: words.series }) : null,
      el("h2", { text: words.title }),
      el("p", { class: "item-by", text: [words.by, words.year].filter(Boolean).join(" · ") }),
      reader !== page.reader() ? null : el("div", { class: "item-do" },
        like,
        el("button", { type: "button", class: "quiet", click: done("hide") }, icon("hide"), el("span", { text: "Hide" }))))),
    properties.description ? el("p", { class: "item-text", text: String(properties.description).replace(/^"|"$/g, "") }) : null,
    section("Why this one", why(page, item, reader)),
    facts(item.item_id, properties),
    section("More like this", near));
  fill(near, api.similar(item.item_id, reader), page.act);
}

/** One segment: its title, what it is about, how much of it is wanted, its items for the reader, and its edits. */
export async function openSegment(page, segment) {
  const by = el("p", { class: "item-by", text: segment.reason || "" });
  const terms = el("p", { class: "terms" });
  const knob = el("div", { class: "segment-dial" }, dial(page, segment));
  const list = el("ul", { class: "grid", role: "list" });
  const heading = el("h2", { text: segment.title });
  const editing = el("div");
  show(segment.title, el("p", { class: "item-series", text: "Segment" }), heading, by, terms, knob, editing, list);
  steering(page).then((known) => tell(knob, known[segment.segment_id] ?? 0), () => knob.remove());
  fill(list, api.segmentItems(segment.segment_id, page.reader()), page.act);
  const describe = (detail) => {
    heading.textContent = detail.title;
    by.textContent = [`${detail.size.toLocaleString("en")} items`, segment.reason].filter(Boolean).join(" · ");
    terms.replaceChildren(...detail.terms.map((term) => el("span", { class: "term", text: term })));
    keepFocus(editing, () => editing.replaceChildren(edits(page, detail, describe)));
  };
  try {
    describe(await api.segment(segment.segment_id));
  } catch {
    terms.remove();
  }
}

function facts(itemId, properties) {
  const entries = Object.entries(properties).filter(([key, value]) => !SHOWN_ELSEWHERE.has(key) && value !== null && typeof value !== "object");
  return el("dl", { class: "facts" }, ...[...entries, ["item id", itemId]].map(([key, value]) =>
    el("div", {}, el("dt", { text: key.replaceAll("_", " ") }), el("dd", { text: typeof value === "number" ? value.toLocaleString("en") : String(value) }))));
}

function section(title, ...children) {
  return el("section", { class: "item-more" }, el("h3", { text: title }), ...children);
}

async function fill(list, answer, act) {
  try {
    const { items } = await answer;
    const inside = { ...act };
    for (const verb of ["like", "hide"]) inside[verb] = (item, node) => (take(node), act[verb](item, null));
    list.replaceChildren(...items.map((item) => card(item, inside)));
    if (!items.length) list.replaceWith(el("p", { class: "item-by", text: "Nothing else here for this reader." }));
  } catch (problem) {
    list.replaceWith(el("p", { class: "item-by", text: problem.message }));
  }
}

/** Take a card away; the focus goes on to the next one. */
function take(node) {
  const next = node.nextElementSibling || node.previousElementSibling;
  const held = node.contains(document.activeElement);
  node.remove();
  if (held) (next ? next.querySelector(".card-open") : document.querySelector("#drawer .round-close")).focus();
}

let opener = null; // what had the focus before; an answer may have replaced it when the drawer closes

function show(label, ...content) {
  const fresh = el("div", { class: "drawer-in" }, iconButton("close", "Close", { click: close, autofocus: true }), ...content);
  let drawer = document.getElementById("drawer");
  if (!drawer) {
    drawer = el("dialog", { id: "drawer", class: "drawer" });
    drawer.addEventListener("click", (event) => event.target === drawer && close());
    drawer.addEventListener("close", () => {
      document.body.append(document.getElementById("toasts"));
      if (!opener.isConnected) focusKey(opener.dataset.key);
    });
    document.body.append(drawer);
  }
  drawer.querySelector(".drawer-in")?.remove();
  drawer.prepend(fresh);
  drawer.setAttribute("aria-label", label);
  if (!drawer.open) {
    opener = document.activeElement;
    drawer.showModal();
  }
  drawer.scrollTop = 0;
}

function close() {
  document.getElementById("drawer")?.close();
}
