// The page: who is reading, which view, and one refresh that asks for everything that depends on it. What is done only now
// and then lies in modules that are loaded when it first is; they ask the page by the object `page`.

import * as api from "./api.js";
import { cover, describe, randomOf } from "./cover.js";
import { banner, el, icon, keepFocus, motionAllowed, sentence, toast } from "./dom.js";
import { place, Shelves } from "./shelves.js";

const WAIT_MS = 1000; // sooner than the Retry-After of the server: somebody is looking
const NATURAL = new Set(["popular_fallback", "unknown_user"]); // a new reader is no trouble: the line below the heading says it
const DONE = { like: "Liked", purchase: "Bought", rating: "Rated", cart: "In the cart", view: "Viewed", click: "Opened", dislike: "Disliked", hide: "Hidden" };
const VIEWS = { compare: () => import("./compare.js"), segments: () => import("./browser.js") };
const $ = (id) => document.getElementById(id);

const theme = kept("sparrow.theme");
if (theme) document.documentElement.dataset.theme = theme;

const you = ownId();
const state = { reader: null, first: null, view: "home", examples: [], version: null, shown: "", user: null, liked: null, turn: 0, stop: new AbortController(), timer: 0 };
const act = { open: (item) => openItem(item), segment: openSegment, like: (item, node) => record(item, "like", node), hide: (item, node) => record(item, "hide", node), nudge };
const shelves = new Shelves($("shelves"), act);
const segments = new Map(); // segment_id -> li of the panel

/** What the modules that are loaded later may ask of the page. */
const page = { act, you, kept, keep, refresh, user, liked, device, go, reader: () => state.reader, readers: () => [...new Set([...state.examples, you, state.reader])], nameOf, openItem, openSegment };

start();

async function start() {
  wire();
  const asked = new URLSearchParams(location.search).get("reader");
  state.first = asked || kept("sparrow.reader");
  if (state.first) arrive(); // ask for the rows at once; the list of examples arrives meanwhile
  try {
    const about = await api.info();
    state.examples = about.example_users;
    if (about.index) showSize(about.index.n_items, about.index.n_segments);
    // Whom the browser remembers may be gone by now; whom the address names is taken as it is.
    if (!asked && ![...state.examples, you].includes(state.first)) arrive((state.first = state.examples[0] || you));
  } catch (problem) {
    banner("info", problem.message, { tone: "bad" });
    if (!state.first) arrive((state.first = you));
  }
  fillPicker();
}

function wire() {
  wireSearch();
  $("reader").addEventListener("change", (event) => pick(event.target.value));
  $("theme").addEventListener("click", async () => (await import("./theme.js")).turn(page));
  $("steer").addEventListener("click", () => {
    keep("sparrow.sliders", kept("sparrow.sliders") ? "" : "yes");
    refresh();
  });
  for (const link of document.querySelectorAll(".views a")) link.addEventListener("click", follow);
  addEventListener("popstate", () => arrive());
  addEventListener("keydown", undoByKey);
  for (const width of [600, 1024]) matchMedia(`(min-width: ${width}px)`).addEventListener("change", refresh);
}

// --- who, and which view -------------------------------------------------------------------------------------------------

/** Change what the address names, null for nothing, and show that. */
function go(changes) {
  const asked = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries({ reader: state.reader, ...changes })) value ? asked.set(name, value) : asked.delete(name);
  history.pushState(null, "", `?${asked}`);
  return arrive();
}

function pick(reader) {
  keep("sparrow.reader", reader);
  return go({ reader });
}

function follow(event) {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.button) return;
  event.preventDefault();
  history.pushState(null, "", event.currentTarget.href);
  arrive();
}

/** Show what the address names; the reader of the first load where it names none. */
function arrive() {
  const asked = new URLSearchParams(location.search);
  const view = asked.get("view");
  state.reader = asked.get("reader") || state.first;
  state.view = Object.hasOwn(VIEWS, view) ? view : "home";
  $("main").dataset.view = state.view;
  for (const link of document.querySelectorAll(".views a")) {
    const { view } = link.dataset;
    link.search = new URLSearchParams({ reader: state.reader, ...(view !== "home" && { view }) });
    if (view === state.view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  showReader();
  return refresh();
}

function nameOf(reader) {
  return reader === you ? "You" : `Reader ${reader}`;
}

function fillPicker() {
  const option = (id) => el("option", { value: id, text: nameOf(id) });
  const groups = [el("optgroup", { label: "This browser" }, option(you))];
  if (state.examples.length) groups.unshift(el("optgroup", { label: "Example readers" }, ...state.examples.map(option)));
  $("reader").replaceChildren(...groups);
  showReader();
}

/** Heading, avatar, tab title and picker. */
function showReader() {
  const { reader } = state;
  const isYou = reader === you;
  $("who-title").textContent = isYou ? "Your homepage" : `Homepage of ${reader}`;
  document.title = isYou ? "Sparrow" : `${reader} · Sparrow`;
  $("avatar").textContent = isYou ? "Y" : (/[\p{L}\p{N}]/u.exec(reader) || ["?"])[0].toUpperCase();
  $("avatar").style.setProperty("--hue", String(Math.floor(randomOf(reader)() * 360)));
  if (![...$("reader").options].some((option) => option.value === reader)) $("reader").append(el("option", { value: reader, text: nameOf(reader) }));
  $("reader").value = reader;
}

function ownId() {
  const known = kept("sparrow.you");
  if (known) return known;
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  const fresh = `you-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  keep("sparrow.you", fresh);
  return fresh;
}

// A browser may refuse storage; the page then simply forgets.
function kept(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function keep(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    return;
  }
}

// --- what is shown -------------------------------------------------------------------------------------------------------

/** Ask for all that the view shows; only the latest call may show its answers. True if they came, and are others than before. */
async function refresh() {
  const turn = ++state.turn;
  state.stop.abort();
  state.stop = new AbortController();
  clearTimeout(state.timer);
  state.user = state.liked = null;
  if (state.view === "home") return refreshHome(turn, state.stop.signal);
  const view = await VIEWS[state.view]();
  return turn === state.turn && view.show(page, $(`${state.view}-view`));
}

async function refreshHome(turn, signal) {
  $("shelves").setAttribute("aria-busy", "true");
  const [answer, known] = await Promise.allSettled([api.page(state.reader, device(), signal), user()]);
  if (turn !== state.turn) return false;
  $("shelves").setAttribute("aria-busy", "false");
  if (answer.status === "rejected") {
    showFailure(answer.reason);
    return false;
  }
  banner("failure", "");
  banner("info", "");
  showHistory(known.value);
  showRows(answer.value);
  await showSegments(answer.value, known.value?.steering || {}, () => turn === state.turn);
  const shown = JSON.stringify(answer.value.rows.map((row) => [row.row_id, row.items.map((item) => item.item_id)]));
  const before = state.shown;
  state.shown = shown;
  return shown !== before;
}

/** What is stored of the reader, asked for once after each change. */
function user() {
  // Nobody asks for a visitor who has done nothing yet: the answer would be a 404.
  state.user ??= state.reader === you && !kept("sparrow.begun") ? Promise.resolve(api.nobody(you)) : api.user(state.reader);
  return state.user;
}

/** What the reader likes, asked for when it is first needed after a change: a first load does without. */
function liked() {
  state.liked ??= user().then(api.liked).catch(() => {
    state.liked = null; // the store is away: whoever searches meanwhile does without the marks
    return new Set();
  });
  return state.liked;
}

function device() {
  if (matchMedia("(min-width: 1024px)").matches) return "desktop";
  return matchMedia("(min-width: 600px)").matches ? "tablet" : "phone";
}

function showRows(answer) {
  const { scrollX, scrollY } = window;
  if (answer.rows.length) shelves.render(answer.rows);
  else shelves.replace(el("p", { class: "nothing", text: "There is nothing left to show to this reader." }));
  window.scrollTo(scrollX, scrollY);
  showBadge(answer.index_version, answer.took_ms);
  if (state.version && state.version !== answer.index_version) toast("New index picked up.", { tone: "notice" });
  state.version = answer.index_version;
  const trouble = answer.warnings.filter((warning) => answer.degraded || !NATURAL.has(warning.code));
  banner("degraded", trouble.map((warning) => sentence(warning.message)).join(" ")
    || (answer.degraded ? "Something behind the server is away: the rows are less personal for now." : ""), { retry: answer.degraded ? refresh : null });
  $("who-line").textContent = isFallback(answer) ? "Nothing is known yet, so these are everyone’s favourites. A few likes change that."
    : "Every row is found by the model. Like or hide something, and the page changes at once.";
}

function isFallback(answer) {
  return answer.warnings.some((warning) => NATURAL.has(warning.code));
}

/** Index version and time of the latest answer. */
function showBadge(version, tookMs) {
  const took = tookMs < 10 ? tookMs.toFixed(1) : Math.round(tookMs).toString();
  $("badge").replaceChildren(el("span", { class: "dot" }), el("span", { text: `index ${version.split("-").at(-1)}` }), el("b", { text: `${took} ms` }));
  $("badge").title = `Index version ${version}; the server took ${took} ms for the page.`;
  $("badge").hidden = false;
}

function showSize(items, count) {
  $("foot-line").textContent = `Sparse rows in, homepage rows out: ${items.toLocaleString("en")} items in ${count.toLocaleString("en")} segments.`;
}

/** No rows came: wait for the first index, or say what is wrong and offer to try again. */
async function showFailure(problem) {
  if (problem.status === 503 && !state.version) {
    $("who-line").textContent = "Waiting for the first index.";
    state.timer = setTimeout(refresh, WAIT_MS);
    shelves.replace((await import("./waiting.js")).waiting(motionAllowed()));
    return;
  }
  banner("failure", sentence(problem.message), { tone: "bad", retry: () => (api.askAgain(), refresh()) });
  if (!state.version) shelves.replace();
}

// --- history -------------------------------------------------------------------------------------------------------------

/** The history strip, newest first, and one thing to do. `known` undefined: it could not be read. */
function showHistory(known) {
  const root = $("history");
  if (!known) {
    root.replaceChildren(el("p", { class: "nothing", text: "The history cannot be read at the moment." }));
    return;
  }
  const told = [known.n_seen && `${known.n_seen} seen`, known.n_hidden && `${known.n_hidden} hidden`].filter(Boolean).join(", ");
  const head = el("div", { class: "history-head" }, el("h2", { text: "History" }), el("p", { text: told }), offer(known));
  const more = known.n_seen - known.history.length;
  const strip = known.history.length
    ? el("ul", { class: "strip", role: "list", "aria-label": "Newest first" }, ...known.history.map((entry) => el("li", {}, bead(entry))),
      more > 0 ? el("li", { class: "more", text: `and ${more} more` }) : null)
    : el("p", { class: "nothing" }, icon("like"), el("span", { text: "Nothing here yet. Search for something you love, or like a few things below: the rows follow at once." }));
  const old = root.querySelector(".strip");
  const left = old && root.dataset.of === known.user_id ? old.scrollLeft : 0;
  root.dataset.of = known.user_id;
  keepFocus(root, () => root.replaceChildren(head, strip));
  strip.scrollLeft = left;
}

function offer(known) {
  if (state.reader !== you) return el("button", { type: "button", class: "quiet", text: "Start your own", click: () => pick(you) });
  if (!known.n_seen && !known.n_hidden) return null;
  return el("button", { type: "button", class: "quiet", text: "Start over", click: async () => (await import("./acts.js")).startOver(page) });
}

function bead(entry) {
  const item = api.itemOf(entry.item_id);
  const words = describe(item);
  const unwanted = entry.weight < 0;
  return el("button", { type: "button", "data-key": `item ${entry.item_id}`, class: unwanted ? "bead unwanted" : "bead", title: words.full, click: () => openItem(item) },
    cover(item, true),
    el("span", { class: "bead-words" },
      el("span", { class: "bead-title", text: words.title }),
      el("span", { class: "bead-by", text: (!unwanted && (words.by || words.year)) || DONE[entry.kind] || entry.kind })));
}

// --- why this page -------------------------------------------------------------------------------------------------------

/** The active segments, a bar each, as long as its score beside the strongest; and sliders, where they are wanted. */
async function showSegments(answer, steering, current) {
  const wanted = Boolean(kept("sparrow.sliders"));
  const dressed = !$("steer-reset").hidden; // what was steered until now is still marked
  const sliders = wanted || dressed || Object.keys(steering).length ? await import("./steering.js") : null;
  const shown = sliders ? await sliders.listed(page, answer.segments, steering) : answer.segments;
  if (!current()) return;
  const strongest = Math.max(...shown.map((segment) => segment.score || 0), 1e-9);
  const known = new Set(shown.map((segment) => segment.segment_id));
  for (const id of segments.keys()) if (!known.has(id)) segments.delete(id);
  keepFocus($("segments"), () => place($("segments"), shown.map((segment) => segmentEntry(segment, strongest))));
  sliders?.dress(page, segments, shown, steering, wanted);
  const panel = $("segments").closest("aside");
  panel.classList.toggle("none", shown.length === 0);
  panel.classList.toggle("steering", wanted);
  $("steer").setAttribute("aria-expanded", String(wanted));
  $("segments-line").textContent = isFallback(answer) ? "What most readers are drawn to." : "What the model sees in this reader, strongest first.";
}

function segmentEntry(segment, strongest) {
  let node = segments.get(segment.segment_id);
  if (!node) segments.set(segment.segment_id, (node = el("li", {},
    el("button", { type: "button", "data-key": `segment ${segment.segment_id}`, class: "segment" },
      el("span", { class: "segment-title" }), el("span", { class: "segment-score" }), el("span", { class: "bar" })))));
  const button = node.firstChild;
  button.onclick = () => openSegment(segment);
  button.title = segment.reason || segment.title;
  button.children[0].textContent = segment.title;
  button.children[1].textContent = segment.score === undefined ? "" : segment.score.toFixed(2);
  button.children[2].style.setProperty("--share", String(segment.score === undefined ? 0 : Math.max(0.02, segment.score / strongest)));
  return node;
}

// --- what the reader does ------------------------------------------------------------------------------------------------

/** Ctrl+Z is the Undo of the message that is shown, but in a field of text, which has its own. */
function undoByKey(event) {
  const undo = document.querySelector(".toast-undo");
  if (!undo || event.key !== "z" || !(event.ctrlKey || event.metaKey) || event.target.closest("[type=search], [type=text], [type=password]")) return;
  event.preventDefault();
  undo.click();
}

async function record(item, kind, node) {
  return (await import("./acts.js")).record(page, item, kind, node);
}

async function nudge(segment, direction) {
  return (await import("./steering.js")).nudge(page, segment, direction);
}

/** The item in full, as the page's reader or another one sees it. */
async function openItem(item, reader = state.reader) {
  return (await import("./dialog.js")).openItem(page, item, reader);
}

async function openSegment(segment) {
  return (await import("./dialog.js")).openSegment(page, segment);
}

function wireSearch() {
  const input = $("search");
  const attach = async () => {
    const search = await import("./search.js");
    search.attach(input, $("search-results"), (item) => record(item, "like", null), liked);
  };
  input.addEventListener("focus", attach, { once: true });
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.closest("input, select, textarea, dialog")) return;
    event.preventDefault();
    input.focus();
  });
}
