// Search as you type: a combobox whose results are liked by Enter or a click. Loaded when the field is first used.

import * as api from "./api.js";
import { cover, describe } from "./cover.js";
import { el, icon } from "./dom.js";

const PAUSE_MS = 140;

/** Attach to the field; `choose(item)` likes a result, `liked()` promises the ids of what the reader likes already. */
export function attach(input, list, choose, liked) {
  let items = [];
  let active = -1;
  let stale = false; // the field holds other words than those the list answers
  let timer = 0;
  let turn = new AbortController();

  const show = (wanted) => {
    const open = wanted && document.activeElement === input; // whoever left the field meanwhile wants no list
    list.hidden = !open;
    input.setAttribute("aria-expanded", String(open));
    if (!open) mark(-1);
  };

  const mark = (at) => {
    active = at;
    [...list.querySelectorAll("[role=option]")].forEach((option, i) => option.setAttribute("aria-selected", String(i === at)));
    const option = at < 0 ? null : list.querySelectorAll("[role=option]")[at];
    if (option) {
      input.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  };

  const note = (text) => {
    items = [];
    list.replaceChildren(el("li", { class: "results-note", role: "presentation", text }));
    show(true);
  };

  const settle = (found) => {
    items = found;
    stale = false;
  };

  /** Look up what the field holds now. Words typed meanwhile end it: the list is then still stale. */
  const look = async () => {
    clearTimeout(timer);
    turn.abort();
    turn = new AbortController();
    const { signal } = turn;
    const query = input.value.trim();
    if (!query) return settle([]), show(false);
    let had;
    try {
      const [answer, ids] = await Promise.all([api.search(query, signal), liked()]);
      if (signal.aborted) return;
      settle(answer.items);
      had = ids;
    } catch (problem) {
      if (!signal.aborted) note(problem.message);
      return;
    }
    if (!items.length) return note(`Nothing is called “${query}”.`);
    list.replaceChildren(...items.map((item, i) => option(item, i, had.has(item.item_id))));
    show(true);
    mark(0);
  };

  /** Enter takes what is marked. Words that are not looked up yet are first, so it is never a result of older ones. */
  const enter = async () => {
    if (stale) await look();
    if (!stale) take(active);
  };

  const take = (at) => {
    const item = items[at];
    if (!item) return;
    clearTimeout(timer);
    turn.abort();
    input.value = "";
    settle([]);
    show(false);
    choose(item);
  };

  input.addEventListener("input", () => {
    clearTimeout(timer);
    turn.abort();
    stale = true;
    mark(-1);
    timer = setTimeout(look, PAUSE_MS);
  });
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return; // the key belongs to the input method
    if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      clearTimeout(timer);
      turn.abort();
      show(false);
    } else if (event.key === "Enter") {
      event.preventDefault();
      enter();
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && items.length && !stale) {
      event.preventDefault();
      show(true);
      mark((active + (event.key === "ArrowDown" ? 1 : -1) + items.length) % items.length);
    }
  });
  input.addEventListener("focus", () => items.length && show(true));
  input.addEventListener("blur", () => show(false));
  list.addEventListener("mousedown", (event) => event.preventDefault()); // the field keeps the focus
  list.addEventListener("click", (event) => {
    const node = event.target.closest("[role=option]");
    if (node) take([...list.children].indexOf(node));
  });
  if (input.value.trim()) look();
}

function option(item, number, liked) {
  const words = describe(item);
  return el("li", { id: `result-${number}`, role: "option", "aria-selected": "false", class: liked ? "result liked" : "result" },
    cover(item, true),
    el("span", { class: "result-words" },
      el("span", { class: "result-title", text: words.full }),
      el("span", { class: "result-by", text: [words.by, words.year].filter(Boolean).join(" · ") })),
    el("span", { class: "result-do" }, icon("like"), el("span", { text: liked ? "Liked" : "Like" })));
}
