// Editing a segment, for everybody: its title, whether it is shown, what it is part of. Each edit can be undone. Loaded with
// the drawer; the server refuses whoever may not, and the page then asks for a key.

import * as api from "./api.js";
import { el, sentence, toast } from "./dom.js";

const MAX_TITLE = 40; // as the server has it

/** What can be edited of the segment that `detail` describes; `reopen` shows it again after an edit. */
export function edits(page, detail, reopen) {
  const place = el("div", { class: "edit-place" });
  const put = async (changes, done) => {
    const before = { title: detail.title === detail.found_title ? null : detail.title, hidden: detail.hidden || null, merged_into: detail.merged_into };
    const undone = Object.fromEntries(Object.keys(changes).map((name) => [name, before[name]]));
    if (await change(page, detail, changes, reopen)) toast(done, { undo: () => change(page, detail, undone, reopen) });
  };
  const button = (text, click) => el("button", { type: "button", class: "quiet", text, "data-key": `edit ${text}`, click });
  return el("section", { class: "edit" },
    el("h3", { text: "Edit, for everybody" }),
    el("p", { class: "item-by", text: told(detail) }),
    el("div", { class: "item-do" },
      button("Rename", () => place.replaceChildren(renaming(detail, put))),
      detail.merged_into
        ? button("Take apart", () => put({ merged_into: null }, `${detail.title} is a segment of its own again.`))
        : button("Merge into …", async () => place.replaceChildren(await merging(detail, put))),
      detail.hidden
        ? button("Show again", () => put({ hidden: null }, `${detail.title} is shown again.`))
        : button("Hide", () => put({ hidden: true }, `${detail.title} is hidden.`))),
    place);
}

function told(detail) {
  return [
    detail.title !== detail.found_title ? `The model calls it “${detail.found_title}”.` : "",
    detail.hidden ? "It is hidden: no page has it as a row." : "",
    detail.merged_into ? "It is part of another segment." : "",
  ].filter(Boolean).join(" ") || "Every reader sees what is changed here.";
}

/** Make an edit and show what it did. True if it was made. */
async function change(page, detail, changes, reopen) {
  let answer;
  try {
    answer = await api.edit(detail.segment_id, changes);
  } catch (problem) {
    toast(sentence(problem.message), { tone: "bad" });
    return false;
  }
  await page.refresh();
  reopen(answer);
  return true;
}

function renaming(detail, put) {
  const input = el("input", { type: "text", value: detail.title, maxlength: MAX_TITLE, required: true, autocomplete: "off" });
  const back = el("button", { type: "button", class: "quiet", text: "As the model calls it", click: () => put({ title: null }, `It is called ${detail.found_title} again.`) });
  return form("New title", input, "Save", detail.title === detail.found_title ? null : back, () => {
    const title = input.value.trim();
    if (title && title !== detail.title) put({ title }, `${detail.title} is called ${title} now.`);
  });
}

async function merging(detail, put) {
  const { segments } = await api.segments().catch((problem) => (toast(sentence(problem.message), { tone: "bad" }), { segments: [] }));
  const others = segments.filter((segment) => segment.segment_id !== detail.segment_id).sort((a, b) => a.title.localeCompare(b.title));
  const select = el("select", {}, ...others.map((segment) => el("option", { value: segment.segment_id, text: segment.title })));
  return form("Make it part of", select, "Merge", null, () =>
    put({ merged_into: select.value }, `${detail.title} is part of ${select.selectedOptions[0].text} now.`));
}

function form(label, field, verb, more, submit) {
  const node = el("form", { class: "edit-form" },
    el("label", { class: "choice" }, el("span", { text: label }), field),
    el("button", { type: "submit", class: "solid", text: verb }), more);
  node.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  requestAnimationFrame(() => (field.focus(), field.select?.()));
  return node;
}
