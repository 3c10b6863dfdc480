// The segment browser: all that the model found, searched by title and terms, sorted, one of them opened, where it is edited.
// Loaded when somebody looks at the segments.

import * as api from "./api.js";
import { el, keepFocus, sentence } from "./dom.js";

const SORTS = {
  leaning: { label: "How much the reader leans to it", by: (a, b) => (b.score ?? -Infinity) - (a.score ?? -Infinity) || b.size - a.size },
  size: { label: "Size", by: (a, b) => b.size - a.size || a.title.localeCompare(b.title) },
  title: { label: "Title", by: (a, b) => a.title.localeCompare(b.title) },
};
const TERMS = 4; // words of a segment that its entry shows

const asked = { text: "", sort: "leaning", group: "", hidden: false };
let found = [];
let groups = [];
let turn = 0;

/** Show all segments as they are for the reader. True if they came. */
export async function show(page, root) {
  const mine = ++turn;
  if (!root.querySelector(".tiles")) root.replaceChildren(...frame(page, root));
  const [all, leaning] = await Promise.allSettled([api.segments(asked.hidden), api.leaning(page.reader())]);
  if (mine !== turn) return false;
  if (all.status === "rejected") {
    root.querySelector(".browser-line").textContent = sentence(all.reason.message);
    return false;
  }
  const scores = new Map((leaning.value?.segments ?? []).map((segment) => [segment.segment_id, segment.score]));
  found = all.value.segments.map((segment) => ({ ...segment, score: scores.get(segment.segment_id) }));
  groups = all.value.groups;
  offer(root.querySelector(".of-group"));
  list(page, root);
  return true;
}

/** The groups to choose from; an index of an earlier release has none. */
function offer(choice) {
  if (!groups.some((group) => group.group_id === asked.group)) asked.group = "";
  choice.hidden = !groups.length;
  const options = groups.map((group) => el("option", { value: group.group_id, text: `${group.title} (${group.size})` }));
  const select = choice.querySelector("select");
  select.replaceChildren(el("option", { value: "", text: "All groups" }), ...options);
  select.value = asked.group;
}

function frame(page, root) {
  const change = (name, read) => (event) => {
    asked[name] = read(event.target);
    if (name === "hidden") show(page, root);
    else list(page, root);
  };
  return [
    el("div", { class: "view-head" },
      el("h1", { id: "browser-title", text: "Segments" }),
      el("p", { class: "browser-line", role: "status" })),
    el("div", { class: "browser-tools" },
      el("label", { class: "choice choice-wide" }, el("span", { text: "Find" }),
        el("input", { type: "search", autocomplete: "off", spellcheck: "false", placeholder: "A title or a term", input: change("text", (field) => field.value) })),
      el("label", { class: "choice" }, el("span", { text: "Sort by" }),
        el("select", { change: change("sort", (field) => field.value) }, ...Object.entries(SORTS).map(([value, { label }]) => el("option", { value, text: label })))),
      el("label", { class: "choice of-group", hidden: true }, el("span", { text: "Group" }),
        el("select", { change: change("group", (field) => field.value) })),
      el("label", { class: "check" }, el("input", { type: "checkbox", change: change("hidden", (field) => field.checked) }), "Hidden and merged ones, too")),
    el("ul", { class: "tiles", role: "list" })];
}

function list(page, root) {
  const wanted = plain(asked.text).split(/\s+/).filter(Boolean);
  const fits = (segment) => (!asked.group || segment.group_id === asked.group) && wanted.every((word) => plain([segment.title, ...segment.terms].join(" ")).includes(word));
  const shown = found.filter(fits).sort(SORTS[asked.sort].by);
  const strongest = Math.max(...found.map((segment) => segment.score ?? 0), 1e-9);
  const titles = new Map(found.map((segment) => [segment.segment_id, segment.title]));
  root.querySelector(".browser-line").textContent = wanted.length || asked.group ? `${shown.length} of ${found.length} segments` : `${found.length} segments`;
  const tiles = root.querySelector(".tiles");
  keepFocus(tiles, () => tiles.replaceChildren(...shown.map((segment) => tile(page, segment, strongest, titles))));
}

/** Lower case and without diacritics. */
function plain(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

function tile(page, segment, strongest, titles) {
  const bar = el("span", { class: "bar" });
  bar.style.setProperty("--share", String(Math.max(0, segment.score ?? 0) / strongest));
  const state = segment.merged_into ? `part of ${titles.get(segment.merged_into) ?? "another one"}` : segment.hidden ? "hidden" : "";
  return el("li", { class: state ? "tile-of away" : "tile-of" },
    el("button", { type: "button", class: "tile", "data-key": `segment ${segment.segment_id}`, click: () => page.openSegment(segment) },
      el("span", { class: "tile-title", text: segment.title }),
      el("span", { class: "tile-size", text: `${segment.size.toLocaleString("en")} items` }),
      el("span", { class: "tile-terms", text: segment.terms.slice(0, TERMS).join(" · ") }),
      state ? el("span", { class: "only", text: state }) : null,
      bar));
}
