// Steering: how much more or less of which segments a reader wants. The server keeps it, and the page follows at once.
// Loaded when somebody opens the sliders or nudges a row, or where something is steered already.

import * as api from "./api.js";
import { el, iconButton, sentence, toast } from "./dom.js";

const STEP = 0.2; // of a nudge: it tells on the page, and costs the reader's own taste next to nothing
const $ = (id) => document.getElementById(id);

let wanted = null; // {reader, steering}: what is to be stored, from the first change until the page has followed the last
let storing = null;
let last = []; // the segments that the panel listed

/** A strength in plain words; "" for none. */
export function words(strength) {
  if (strength === "never") return "never";
  if (!strength) return "";
  const size = Math.abs(strength);
  return `${size <= 0.3 ? "a little " : size <= 0.7 ? "" : "much "}${strength > 0 ? "more" : "less"}`;
}

/** What is steered now, what is still being stored included. */
export async function steering(page) {
  return wanted?.reader === page.reader() ? wanted.steering : (await page.user()).steering;
}

/** Store a strength, -1 to 1 or "never", and have the page follow: whether it did change, or null where nothing was stored. */
export async function steer(page, segmentId, strength) {
  try {
    const { [segmentId]: _, ...others } = await steering(page);
    return await store(page, strength ? { ...others, [segmentId]: strength } : others);
  } catch (problem) {
    toast(sentence(problem.message), { tone: "bad" });
    return null;
  }
}

/** Changes that arrive while one is stored wait for it, and only the latest of them is stored next. */
function store(page, steering) {
  const reader = page.reader();
  if (wanted && wanted.reader !== reader) return storing.then(() => store(page, steering));
  wanted = { reader, steering };
  storing ??= storeAll(page, reader).finally(() => (wanted = storing = null));
  return storing;
}

async function storeAll(page, reader) {
  const { n_seen: seen, n_hidden: hidden } = await page.user();
  let sent;
  let changed = false;
  do {
    sent = wanted.steering;
    await api.steer(reader, sent);
    if (reader === page.you) page.keep("sparrow.begun", seen || hidden || Object.keys(sent).length ? "yes" : "");
    changed = (await page.refresh()) || changed;
  } while (wanted.steering !== sent);
  return changed;
}

/** One step more (1) or less (-1) of a segment, which can be undone. */
export async function nudge(page, segment, direction) {
  const { segment_id: id, title } = segment;
  const before = (await steering(page).catch(() => ({})))[id] ?? 0;
  const from = before === "never" ? -1 : before;
  const strength = Math.min(1, Math.max(-1, Math.round((from + direction * STEP) * 10) / 10));
  if (strength === from) return toast(`It cannot be ${direction > 0 ? "more" : "less"} of ${title} than that.`);
  const changed = await steer(page, id, strength);
  if (changed === null) return;
  toast(`${direction > 0 ? "More" : "Less"} like ${title}. The page ${changed ? "has changed" : "stays as it is"}.`, { undo: () => steer(page, id, before) });
}

// --- the panel -----------------------------------------------------------------------------------------------------------

/**
 * What the panel lists: active segments, then those that are steered and not active. While somebody is in the panel
 * nothing in it moves or goes.
 */
export async function listed(page, active, stored) {
  const held = $("segments").contains(document.activeElement) ? last : [];
  const known = new Map(active.map((segment) => [segment.segment_id, segment]));
  const missing = [...new Set([...held.map((segment) => segment.segment_id), ...Object.keys(stored)])].filter((id) => !known.has(id));
  const titles = missing.length ? await titlesOf(missing) : new Map();
  for (const id of missing) known.set(id, { segment_id: id, title: titles.get(id) ?? "A segment that this index does not have" });
  last = [...new Set([...held.map((segment) => segment.segment_id), ...known.keys()])].map((id) => known.get(id));
  return last;
}

async function titlesOf(ids) {
  try {
    const { segments } = await api.segments(true);
    return new Map(segments.map((segment) => [segment.segment_id, segment.title]));
  } catch {
    return new Map(ids.map((id) => [id, id])); // the rows came all the same: only names are missing
  }
}

/** Put the strengths, and the sliders where they are wanted, on the entries of the panel. */
export function dress(page, entries, segments, stored, sliders) {
  const now = wanted?.reader === page.reader() ? wanted.steering : stored;
  for (const segment of segments) {
    const entry = entries.get(segment.segment_id);
    const control = entry.querySelector(".dial");
    if (sliders && !control) entry.append(dial(page, segment));
    if (!sliders) control?.remove();
    tell(entry, now[segment.segment_id] ?? 0);
  }
  const reset = $("steer-reset");
  const steered = Object.keys(now).length > 0;
  if (reset === document.activeElement && !steered) $("steer").focus();
  reset.hidden = !steered;
  reset.onclick = () => forget(page);
}

/** The slider of a segment, and the button that leaves it out. */
export function dial(page, segment) {
  const { segment_id: id, title } = segment;
  const range = el("input", { type: "range", min: -1, max: 1, step: 0.1, value: 0, "data-key": `slider ${id}`, "aria-label": `How much of ${title}` });
  const never = iconButton("never", `Never ${title}`, { "aria-pressed": "false", "data-key": `never ${id}` });
  const node = el("div", { class: "dial" },
    el("span", { class: "dial-end", "aria-hidden": "true", text: "less" }), range, el("span", { class: "dial-end", "aria-hidden": "true", text: "more" }), never);
  const change = (strength) => {
    tell(node.parentElement, strength);
    steer(page, id, strength);
  };
  range.addEventListener("input", () => change(Number(range.value)));
  range.addEventListener("dblclick", () => change(0));
  never.addEventListener("click", () => change(never.getAttribute("aria-pressed") === "true" ? 0 : "never"));
  return node;
}

/** Show a strength on whatever holds a dial, or the words for it. */
export function tell(entry, strength) {
  const said = words(strength);
  const score = entry.querySelector(".segment-score");
  if (score && said) score.textContent = said;
  entry.classList.toggle("steered", said !== "");
  entry.classList.toggle("unwanted-segment", strength === "never");
  const range = entry.querySelector("input[type=range]");
  if (!range) return;
  const at = strength === "never" ? -1 : strength;
  if (Number(range.value) !== at) range.value = at;
  range.disabled = strength === "never";
  range.style.setProperty("--at", String((at + 1) / 2));
  range.setAttribute("aria-valuetext", said ? `${said}${strength === "never" ? "" : ` (${strength})`}` : "as it is");
  entry.querySelector(".round-never").setAttribute("aria-pressed", String(strength === "never"));
}

async function forget(page) {
  try {
    const before = await steering(page);
    await store(page, {});
    toast("Nothing is steered any more.", { undo: () => store(page, before) });
  } catch (problem) {
    toast(sentence(problem.message), { tone: "bad" });
  }
}
