// Two pages side by side: of two readers, or of one reader by two versions of the index. The address names both sides; what
// is on one page only is marked. Loaded when somebody compares.

import * as api from "./api.js";
import { cover, describe } from "./cover.js";
import { el, sentence } from "./dom.js";

const SIDES = [{ reader: "reader", version: "version" }, { reader: "beside", version: "beside_version" }];
let turn = 0;

/** Show the comparison that the address names. True if both pages came. */
export async function show(page, root) {
  const mine = ++turn;
  const { readers, versions, sides } = await choices(page);
  if (mine !== turn) return false;
  if (!root.querySelector(".panes")) root.replaceChildren(...frame());
  const panes = [...root.querySelectorAll(".pane")];
  panes.forEach((pane, i) => head(page, pane, SIDES[i], sides[i], readers, versions));
  const answers = await Promise.allSettled(sides.map(({ reader, version }) => api.homepage(reader, page.device(), version)));
  if (mine !== turn) return false;
  const rows = answers.map(({ value }) => value?.rows ?? []);
  root.querySelector(".compare-line").textContent = answers.every(({ status }) => status === "fulfilled") ? summary(...rows) : "";
  panes.forEach((pane, i) => {
    const failed = answers[i].status === "rejected";
    pane.querySelector(".pane-rows").replaceChildren(...(failed
      ? [el("p", { class: "nothing", text: sentence(answers[i].reason.message) })]
      : rows[i].map((row) => shelf(page, sides[i].reader, row, rows[1 - i]))));
  });
  return answers.every(({ status }) => status === "fulfilled");
}

/** Who and what can be chosen, and what the address does choose: without a word, the reader beside the next one. */
async function choices(page) {
  const asked = new URLSearchParams(location.search);
  const open = await api.versions().then((answer) => answer.versions, () => []);
  const readers = page.readers();
  const named = SIDES.map((side) => ({ reader: asked.get(side.reader), version: asked.get(side.version) || "" }));
  named[0].reader ??= page.reader();
  named[1].reader ??= named[0].version !== named[1].version ? named[0].reader : readers[(readers.indexOf(named[0].reader) + 1) % readers.length];
  const versions = [...new Set([...open.map((one) => one.version), ...named.map((one) => one.version)])].filter(Boolean);
  const current = open.find((one) => one.current)?.version;
  return { sides: named, readers: [...new Set([...readers, ...named.map((one) => one.reader)])], versions: versions.map((one) => [one, one === current]) };
}

function frame() {
  return [
    el("div", { class: "view-head" },
      el("h1", { id: "compare-title", text: "Side by side" }),
      el("p", { class: "compare-line", role: "status" })),
    el("label", { class: "check" }, el("input", { type: "checkbox", id: "compare-fade", change: fade }), "Only what differs"),
    el("div", { class: "panes" }, ...["Left page", "Right page"].map((name) =>
      el("section", { class: "pane", "aria-label": name }, el("div", { class: "pane-head" }), el("div", { class: "pane-rows" }))))];
}

function fade(event) {
  event.target.closest(".view").classList.toggle("differing", event.target.checked);
}

/** The two choices above a pane. They stay, so that the focus does, too. */
function head(page, pane, side, chosen, readers, versions) {
  const root = pane.querySelector(".pane-head");
  if (!root.children.length) {
    const choose = (name) => (event) => page.go({ view: "compare", ...named(pane), [name]: event.target.value });
    const choice = (name, label) => el("label", { class: "choice" }, el("span", { text: label }), el("select", { "data-name": name, change: choose(name) }));
    root.append(choice(side.reader, "Reader"), choice(side.version, "Index"));
  }
  const [reader, version] = root.querySelectorAll("select");
  options(reader, readers.map((id) => [id, page.nameOf(id)]), chosen.reader);
  options(version, [["", "Current"], ...versions.map(([id, current]) => [id, `${id}${current ? " (current)" : ""}`])], chosen.version);
}

/** What both panes name: whoever changes one side means the other to stay as it is. */
function named(pane) {
  return Object.fromEntries([...pane.parentElement.querySelectorAll("select")].map((select) => [select.dataset.name, select.value]));
}

function options(select, entries, value) {
  select.replaceChildren(...entries.map(([id, text]) => el("option", { value: id, text })));
  select.value = value;
}

function summary(left, right) {
  const both = (of) => [...of(left)].filter((one) => of(right).has(one)).length;
  return `${both(items)} of ${items(left).size} and ${items(right).size} items are on both pages, and ${both(titles)} of ${titles(left).size} and ${titles(right).size} rows: those are faded.`;
}

const items = (rows) => new Set(rows.flatMap((row) => row.items.map((item) => item.item_id)));
const titles = (rows) => new Set(rows.map((row) => row.row_id));

function shelf(page, reader, row, others) {
  const there = items(others);
  const alone = !titles(others).has(row.row_id);
  return el("section", { class: alone ? "mini-shelf alone" : "mini-shelf" },
    el("h2", {}, row.title, alone ? el("span", { class: "only", text: "only here" }) : null),
    row.reason ? el("p", { class: "reason", text: row.reason }) : null,
    el("ul", { class: "minis", role: "list" }, ...row.items.map((item) => mini(page, reader, item, !there.has(item.item_id)))));
}

function mini(page, reader, item, alone) {
  const words = describe(item);
  return el("li", { class: alone ? "alone" : "" },
    el("button", { type: "button", class: "mini-open", title: words.full, click: () => page.openItem(item, reader) },
      cover(item),
      el("span", { class: "mini-title", text: words.title }),
      alone ? el("span", { class: "unseen", text: ", only on this page" }) : null));
}
