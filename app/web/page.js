// The page: who is reading, what they do, and one refresh that asks for everything that depends on it.

import * as api from "./api.js";
import { describe } from "./cover.js";
import * as panels from "./panels.js";
import { Shelves } from "./shelves.js";

const WAIT_MS = 1000; // sooner than the Retry-After of the server: somebody is looking
const NATURAL = new Set(["popular_fallback", "unknown_user"]); // a new reader is no trouble: the line below the heading says it

const you = ownId();
const state = { reader: you, examples: [], version: null, user: api.nobody(you), liked: null, turn: 0, stop: new AbortController(), timer: 0 };
const act = { open: openItem, like: (item, node) => record(item, "like", node), hide: (item, node) => record(item, "hide", node) };
const shelves = new Shelves(document.getElementById("shelves"), act);

start();

async function start() {
  shelves.replace(...panels.skeleton());
  wireSearch();
  const asked = new URLSearchParams(location.search).get("reader");
  const known = asked || stored("sparrow.reader");
  if (known) pick(known, false); // ask for the rows at once; the list of examples arrives meanwhile
  try {
    const about = await api.info();
    state.examples = about.example_users;
    if (about.index) panels.showSize(about.index.n_items, about.index.n_segments);
    // Whom the browser remembers may be gone by now; whom the address names is taken as it is.
    if (!asked && ![...state.examples, you].includes(known)) pick(state.examples[0] || you, false);
  } catch (problem) {
    panels.banner("info", problem.message, { tone: "bad" });
    if (!known) pick(you, false);
  }
  panels.fillPicker(state.examples, you, state.reader);
  document.getElementById("reader").addEventListener("change", (event) => pick(event.target.value));
  addEventListener("popstate", () => pick(new URLSearchParams(location.search).get("reader") || state.examples[0] || you, false));
  for (const width of [600, 1024]) matchMedia(`(min-width: ${width}px)`).addEventListener("change", refresh);
}

// --- who -----------------------------------------------------------------------------------------------------------------

function pick(reader, remember = true) {
  state.reader = reader;
  state.user = api.nobody(reader);
  state.liked = null;
  if (remember) {
    store("sparrow.reader", reader);
    history.pushState(null, "", `?${new URLSearchParams({ reader })}`);
  }
  document.getElementById("reader").value = reader;
  panels.showReader(reader, reader === you);
  return refresh();
}

function ownId() {
  const kept = stored("sparrow.you");
  if (kept) return kept;
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  const fresh = `you-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  store("sparrow.you", fresh);
  return fresh;
}

// A browser may refuse storage; the page then simply forgets.
function stored(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function store(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    return;
  }
}

// --- what is shown -------------------------------------------------------------------------------------------------------

/** Ask for rows, segments and history together; only the latest call may show its answers. True if the rows came. */
async function refresh() {
  const turn = ++state.turn;
  state.stop.abort();
  state.stop = new AbortController();
  clearTimeout(state.timer);
  const { signal } = state.stop;
  const root = document.getElementById("shelves");
  root.setAttribute("aria-busy", "true");
  const [page, segments, user] = await Promise.allSettled([
    api.homepage(state.reader, device(), signal), api.activeSegments(state.reader, signal), storedUser(signal)]);
  if (turn !== state.turn) return false;
  root.setAttribute("aria-busy", "false");
  if (page.status === "rejected") {
    showFailure(page.reason);
    return false;
  }
  panels.banner("failure", "");
  panels.banner("info", "");
  showUser(user);
  showPage(page.value);
  panels.showSegments(segments.status === "fulfilled" ? segments.value.segments : [], !isFallback(page.value), openSegment);
  return true;
}

/** What is stored of the reader. Nobody asks for a visitor who has done nothing yet: the answer would be a 404. */
function storedUser(signal) {
  return state.reader === you && !stored("sparrow.begun") ? api.nobody(you) : api.user(state.reader, signal);
}

function device() {
  if (matchMedia("(min-width: 1024px)").matches) return "desktop";
  return matchMedia("(min-width: 600px)").matches ? "tablet" : "phone";
}

function showPage(page) {
  const { scrollX, scrollY } = window;
  if (page.rows.length) shelves.render(page.rows);
  else shelves.replace(panels.nothingLeft());
  window.scrollTo(scrollX, scrollY);
  panels.showBadge(page.index_version, page.took_ms);
  if (state.version && state.version !== page.index_version) panels.toast("New index picked up.", "notice");
  state.version = page.index_version;
  const trouble = page.warnings.filter((warning) => page.degraded || !NATURAL.has(warning.code));
  panels.banner("degraded", trouble.map((warning) => sentence(warning.message)).join(" ")
    || (page.degraded ? "Something behind the server is away: the rows are less personal for now." : ""), { retry: page.degraded ? refresh : null });
  panels.showLine(isFallback(page) ? "Nothing is known yet, so these are everyone’s favourites. A few likes change that."
    : "Every row is found by the model. Like or hide something, and the page changes at once.");
}

function isFallback(answer) {
  return answer.warnings.some((warning) => NATURAL.has(warning.code));
}

function showUser(user) {
  if (user.status === "rejected") {
    panels.showHistory(null, null, openItem);
    return;
  }
  state.user = user.value;
  state.liked = null;
  const { n_seen, n_hidden } = user.value;
  const own = n_seen + n_hidden ? { text: "Start over", click: startOver } : null;
  panels.showHistory(user.value, state.reader === you ? own : { text: "Start your own", click: () => pick(you) }, openItem);
}

/** What the reader likes, asked for when it is first needed after a change: a first load does without. */
function liked() {
  state.liked ??= api.liked(state.user).catch(() => {
    state.liked = null; // the store is away: whoever searches meanwhile does without the marks
    return new Set();
  });
  return state.liked;
}

/** No rows came: wait for the first index, or say what is wrong and offer to try again. */
function showFailure(problem) {
  if (problem.status === 503 && !state.version) {
    panels.showLine("Waiting for the first index.");
    shelves.replace(panels.waiting());
    state.timer = setTimeout(refresh, WAIT_MS);
    return;
  }
  panels.banner("failure", sentence(problem.message), { tone: "bad", retry: () => (api.askAgain(), refresh()) });
  if (!state.version) shelves.replace();
}

function sentence(text) {
  const trimmed = (text || "").trim();
  return /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}

// --- what the reader does ------------------------------------------------------------------------------------------------

async function record(item, kind, node) {
  if (node?.classList.contains("leaving")) return;
  const { title } = describe(item);
  node?.classList.add("leaving");
  try {
    await api.record(state.reader, item.item_id, kind);
  } catch (problem) {
    node?.classList.remove("leaving");
    panels.toast(`${title} was not ${kind === "like" ? "liked" : "hidden"}: ${sentence(problem.message)}`, "bad");
    return;
  }
  if (state.reader === you) store("sparrow.begun", "yes");
  const changed = await refresh();
  panels.toast(`${kind === "like" ? "Liked" : "Hid"} ${title}. ${changed ? "The page has changed." : ""}`.trim());
}

async function startOver() {
  try {
    await api.forget(you);
    store("sparrow.begun", "");
    await refresh();
    panels.toast("Forgotten. A clean page.");
  } catch (problem) {
    panels.toast(sentence(problem.message), "bad");
  }
}

async function openItem(item) {
  const drawer = await import("./dialog.js");
  drawer.openItem(item, state.reader, act, liked());
}

async function openSegment(segment) {
  const drawer = await import("./dialog.js");
  drawer.openSegment(segment, state.reader, act);
}

function wireSearch() {
  const input = document.getElementById("search");
  const attach = async () => {
    const search = await import("./search.js");
    search.attach(input, document.getElementById("search-results"), (item) => record(item, "like", null), liked);
  };
  input.addEventListener("focus", attach, { once: true });
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.closest("input, select, textarea, dialog")) return;
    event.preventDefault();
    input.focus();
  });
}
