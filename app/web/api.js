// The public API of Sparrow, as far as the page needs it. Addresses are relative, so the page also works under a path prefix.

/** An answer that is not 2xx (problem+json), or no answer at all (status 0). */
export class Problem extends Error {
  constructor(status, title, detail) {
    super(detail || title);
    this.status = status;
    this.title = title;
  }
}

/** item_id -> properties, of every item that any answer showed; the history strip and the messages read titles from it. */
export const known = new Map();

/** How much of a history is shown. */
const HISTORY = 12;

/** How many active segments are shown. */
const ACTIVE = 12;

/** Kinds of events that say less than a like does. */
const WEAK = new Set(["view", "click", "cart"]);

/** The key of this tab, where the server asks for one. A browser may refuse storage: it then lasts until the next load. */
let key = stored();
let accepted = key; // the latest that the server knew: whoever gives up typing another one is left with it
let asking = null;
let declined = false;

function stored() {
  try {
    return sessionStorage.getItem("sparrow.key");
  } catch {
    return null;
  }
}

/** Whoever did not want to type a key is asked again. */
export function askAgain() {
  declined = false;
}

/** Ask for a key instead of `sent`, which `may` too little or is not known; all calls that wait for one share the question. */
async function askForKey(sent, role, refused) {
  if (key !== sent) return; // somebody has typed one meanwhile
  if (!declined || role === "admin") asking ??= import("./key.js").then(({ ask }) => ask(role, refused)).finally(() => (asking = null));
  const typed = await asking;
  if (role === "write") declined = typed === null;
  keep(typed ?? accepted);
  if (!typed) throw new Problem(401, "Unauthorized", role === "admin" ? "This needs a key of role admin." : "This server answers with a key only.");
}

function keep(secret) {
  key = secret;
  try {
    if (key !== null) sessionStorage.setItem("sparrow.key", key);
  } catch {
    return;
  }
}

async function call(method, path, body, signal) {
  const sent = key;
  const options = { method, signal, headers: { Accept: "application/json" } };
  if (sent !== null) options.headers.Authorization = `Bearer ${sent}`;
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "No answer", "The server does not answer. Is it running, and is this machine connected?");
  }
  if (response.status !== 401) accepted = sent;
  if (response.status === 401 || response.status === 403) {
    const role = method === "PATCH" ? "admin" : "write";
    await askForKey(sent, role, sent === null ? "" : response.status === 401 ? "The server does not know this key." : `The key is not of role ${role}.`);
    return call(method, path, body, signal);
  }
  if (!response.ok) throw await problemOf(response);
  if (response.status === 204) return null;
  return remember(await response.json());
}

async function problemOf(response) {
  const problem = await response.json().catch(() => ({}));
  return new Problem(response.status, problem.title || `HTTP ${response.status}`, problem.detail);
}

function remember(answer) {
  for (const one of answer.answers || []) remember(one);
  const lists = [answer.items, answer.history, ...(answer.rows || []).map((row) => row.items)];
  for (const item of lists.flat()) if (item?.properties) known.set(item.item_id, item.properties);
  return answer;
}

/** `{item_id, properties}` with what is known of the item's properties. */
export function itemOf(itemId) {
  return { item_id: itemId, properties: known.get(itemId) || {} };
}

export const info = () => call("GET", "info");

/** The rows and the active segments of a user, in one request and of one index version. */
export async function page(userId, device, signal) {
  const answer = await call("POST", "v1/batch", { requests: [
    { endpoint: "homepage", body: { user_id: userId, device, include_properties: true } },
    { endpoint: "segments/recommend", body: { user_id: userId, count: ACTIVE } }] }, signal);
  const [rows, { segments }] = answer.answers;
  return { ...rows, took_ms: answer.took_ms, segments };
}

/** The rows alone, by an index version ("": the current one). */
export const homepage = (userId, device, version, signal) =>
  call("POST", "v1/homepage", { user_id: userId, device, include_properties: true, ...(version && { index_version: version }) }, signal);

export const versions = () => call("GET", "v1/versions");

/** All segments that the user leans to, strongest first. */
export const leaning = (userId) => call("POST", "v1/segments/recommend", { user_id: userId, count: 1000 });

/** All segments; `hidden`: those that are hidden or merged, too. */
export const segments = (hidden = false) => call("GET", hidden ? "v1/segments?hidden=true" : "v1/segments");

/** Change what a segment is called, whether it is shown, what it is part of; null takes a change back. */
export const edit = (segmentId, changes) => call("PATCH", `v1/segments/${encodeURIComponent(segmentId)}`, changes);

export const segment = (segmentId) => call("GET", `v1/segments/${encodeURIComponent(segmentId)}`);

export const segmentItems = (segmentId, userId) =>
  call("POST", `v1/segments/${encodeURIComponent(segmentId)}/items`, { user_id: userId, count: 24, include_properties: true });

export const similar = (itemId, userId) =>
  call("POST", "v1/similar", { item_ids: [itemId], user_id: userId, count: 12, include_properties: true });

export const search = (query, signal) => call("GET", `v1/items?${new URLSearchParams({ query, limit: 8 })}`, undefined, signal);

/** What is stored of a user of whom nothing is stored. */
export const nobody = (userId) => ({ user_id: userId, history: [], n_seen: 0, n_hidden: 0, steering: {} });

/** What is stored of a user. */
export async function user(userId, signal) {
  try {
    return await call("GET", `v1/users/${encodeURIComponent(userId)}?limit=${HISTORY}&include_properties=true`, undefined, signal);
  } catch (problem) {
    if (problem.status === 404) return nobody(userId);
    throw problem;
  }
}

/** Ids of what the user likes, however long ago. */
export async function liked({ user_id, history }) {
  const whole = history.length < HISTORY ? history : (await call("GET", `v1/users/${encodeURIComponent(user_id)}`)).history;
  return new Set(whole.filter((entry) => entry.weight > 0 && !WEAK.has(entry.kind)).map((entry) => entry.item_id));
}

/** Store how much more or less of which segments the user wants, instead of what was stored. */
export const steer = (userId, steering) => call("PUT", `v1/users/${encodeURIComponent(userId)}/steering`, { steering });

/** What the score of an item is made of for the user. */
export async function explain(itemId, userId) {
  const answer = await call("POST", "v1/explain", { user_id: userId, item_ids: [itemId] });
  return answer.explanations[0];
}

export const forget = (userId) => call("DELETE", `v1/users/${encodeURIComponent(userId)}`);

/** Record one event; refused ones throw like any other refusal. */
export async function record(userId, itemId, kind) {
  const answer = await call("POST", "v1/events", { events: [{ user_id: userId, item_id: itemId, kind }] });
  const [result] = answer.results;
  if (result.status === "refused") throw new Problem(422, "Refused", result.detail);
  return result.status;
}
