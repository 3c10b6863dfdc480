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

/** Kinds of events that say less than a like does. */
const WEAK = new Set(["view", "click", "cart"]);

/** The key of this tab, where the server asks for one. A browser may refuse storage: it then lasts until the next load. */
let key = stored();
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

/** Ask for a key instead of `sent`; all calls that wait for one share the question. */
async function askForKey(sent) {
  if (key !== sent) return; // somebody has typed one meanwhile
  if (!declined) asking ??= import("./key.js").then(({ ask }) => ask(sent !== null)).finally(() => (asking = null));
  const typed = await asking;
  declined = typed === null;
  if (declined) throw new Problem(401, "Unauthorized", "This server answers with a key only.");
  key = typed;
  try {
    sessionStorage.setItem("sparrow.key", key);
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
  if (response.status === 401) {
    await askForKey(sent);
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
  const lists = [answer.items, answer.history, ...(answer.rows || []).map((row) => row.items)];
  for (const item of lists.flat()) if (item?.properties) known.set(item.item_id, item.properties);
  return answer;
}

/** `{item_id, properties}` with what is known of the item's properties. */
export function itemOf(itemId) {
  return { item_id: itemId, properties: known.get(itemId) || {} };
}

export const info = () => call("GET", "info");

export const homepage = (userId, device, signal) =>
  call("POST", "v1/homepage", { user_id: userId, device, include_properties: true }, signal);

export const activeSegments = (userId, signal) => call("POST", "v1/segments/recommend", { user_id: userId, count: 12 }, signal);

export const segment = (segmentId) => call("GET", `v1/segments/${encodeURIComponent(segmentId)}`);

export const segmentItems = (segmentId, userId) =>
  call("POST", `v1/segments/${encodeURIComponent(segmentId)}/items`, { user_id: userId, count: 24, include_properties: true });

export const similar = (itemId, userId) =>
  call("POST", "v1/similar", { item_ids: [itemId], user_id: userId, count: 12, include_properties: true });

export const search = (query, signal) => call("GET", `v1/items?${new URLSearchParams({ query, limit: 8 })}`, undefined, signal);

/** What is stored of a user of whom nothing is stored. */
export const nobody = (userId) => ({ user_id: userId, history: [], n_seen: 0, n_hidden: 0 });

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

export const forget = (userId) => call("DELETE", `v1/users/${encodeURIComponent(userId)}`);

/** Record one event; refused ones throw like any other refusal. */
export async function record(userId, itemId, kind) {
  const answer = await call("POST", "v1/events", { events: [{ user_id: userId, item_id: itemId, kind }] });
  const [result] = answer.results;
  if (result.status === "refused") throw new Problem(422, "Refused", result.detail);
  return result.status;
}
