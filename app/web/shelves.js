// The rows. A new answer is laid over the old one: shelves and cards that stay keep their element, their place in the
// sideways scroll and the focus, and glide to where they belong.

import { cover, describe } from "./cover.js";
import { el, focusKey, iconButton, motionAllowed } from "./dom.js";

/**
 * One item with its two buttons. `act` is {open, like, hide}, each called with (item, element).
 * The arrow keys of a list of cards are handled by `moveByKeys`.
 */
export function card(item, act) {
  const words = describe(item);
  const node = el("li", { class: "card", "data-item": item.item_id },
    el("button", { type: "button", class: "card-open", title: words.full, click: () => act.open(item, node) },
      cover(item),
      el("span", { class: "card-title", text: words.title }),
      words.by || words.year ? el("span", { class: "card-by", text: words.by || words.year }) : null),
    el("div", { class: "card-actions" },
      iconButton("like", `Like ${words.title}`, { click: () => act.like(item, node) }),
      iconButton("hide", `Hide ${words.title}`, { click: () => act.hide(item, node) })));
  node.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const wanted = { l: act.like, h: act.hide }[event.key.toLowerCase()];
    if (!wanted) return;
    event.preventDefault();
    wanted(item, node);
  });
  return node;
}

export class Shelves {
  constructor(root, act) {
    this.root = root;
    this.act = act;
    this.shelves = new Map(); // row_id -> {node, title, reason, track, update, segment}
    this.cards = new Map(); // item_id -> li
    root.addEventListener("keydown", (event) => this.moveByKeys(event));
    root.addEventListener("focusin", (event) => this.rove(event.target.closest(".card")));
  }

  /** Show `rows` of an answer in place of what is there. */
  render(rows) {
    const before = this.positions();
    const focus = this.focusPlace();
    const held = this.root.contains(document.activeElement) ? document.activeElement : null;
    const leftover = new Map(this.cards);
    // Scroll snapping would follow a card that moves: a shelf stays where the reader left it.
    const lefts = [...this.shelves.values()].map(({ track }) => [track, track.scrollLeft]);
    if (!this.shelves.size) this.root.replaceChildren();
    const nodes = rows.map((row) => this.shelf(row, leftover));
    leftover.forEach((node, itemId) => (node.remove(), this.cards.delete(itemId)));
    for (const [rowId, shelf] of this.shelves) {
      if (nodes.includes(shelf.node)) continue;
      shelf.node.remove();
      this.shelves.delete(rowId);
    }
    place(this.root, nodes);
    for (const [track, left] of lefts) track.scrollLeft = left;
    this.shelves.forEach((shelf) => shelf.update());
    if (focus) this.restoreFocus(focus);
    else if (held && !held.isConnected) focusKey(held.dataset.key, this.root);
    this.glide(before);
  }

  /** Nothing but `node`, a message or a waiting state. */
  replace(...nodes) {
    this.shelves.clear();
    this.cards.clear();
    this.root.replaceChildren(...nodes);
  }

  shelf(row, leftover) {
    let shelf = this.shelves.get(row.row_id);
    if (shelf?.segment && shelf.segment.title !== row.title) shelf = null; // renamed: its buttons are called otherwise
    if (!shelf) this.shelves.set(row.row_id, (shelf = newShelf(row, this.shelves.size, this.act)));
    shelf.title.textContent = row.title;
    shelf.reason.textContent = row.reason || "";
    const cards = row.items.map((item) => {
      const kept = leftover.get(item.item_id);
      leftover.delete(item.item_id);
      const node = kept || card(item, this.act);
      node.classList.remove("leaving");
      this.cards.set(item.item_id, node);
      return node;
    });
    place(shelf.track, cards);
    if (!cards.some((node) => node.classList.contains("current"))) setCurrent(shelf.track, cards[0]);
    return shelf.node;
  }

  // --- keyboard: one tab stop a shelf, arrows between cards -------------------------------------------------------------

  moveByKeys(event) {
    const here = event.target.closest(".card");
    if (!here || event.ctrlKey || event.metaKey || event.altKey) return;
    if (this.nudgeByKey(here, event.key)) return;
    const target = this.neighbour(here, event.key);
    if (!target) return;
    event.preventDefault();
    focusCard(target);
  }

  nudgeByKey(here, key) {
    const direction = { "+": 1, "-": -1 }[key];
    const segment = direction && this.shelves.get(here.closest(".shelf").dataset.row).segment;
    if (segment) this.act.nudge(segment, direction);
    return Boolean(segment);
  }

  neighbour(here, key) {
    const cards = [...here.parentElement.children];
    const at = cards.indexOf(here);
    if (key === "ArrowRight") return cards[at + 1];
    if (key === "ArrowLeft") return cards[at - 1];
    if (key === "Home") return cards[0];
    if (key === "End") return cards.at(-1);
    if (key !== "ArrowDown" && key !== "ArrowUp") return null;
    const tracks = [...this.root.querySelectorAll(".track")];
    const track = tracks[tracks.indexOf(here.parentElement) + (key === "ArrowDown" ? 1 : -1)];
    return track && nearest(track, here.getBoundingClientRect().left);
  }

  rove(node) {
    if (node) setCurrent(node.parentElement, node);
  }

  focusPlace() {
    const node = document.activeElement?.closest?.(".card");
    if (!node || !this.root.contains(node)) return null;
    const rowId = node.closest(".shelf").dataset.row;
    return { rowId, at: [...node.parentElement.children].indexOf(node), node };
  }

  restoreFocus({ rowId, at, node }) {
    if (node.isConnected) {
      if (!node.contains(document.activeElement)) focusCard(node, true);
      return;
    }
    const track = (this.shelves.get(rowId) || this.shelves.values().next().value)?.track;
    if (track?.children.length) focusCard(track.children[Math.min(at, track.children.length - 1)], true);
    else this.root.focus({ preventScroll: true });
  }

  // --- movement -----------------------------------------------------------------------------------------------------------

  positions() {
    const places = new Map();
    if (!motionAllowed()) return places;
    for (const node of this.root.querySelectorAll(".shelf, .card")) {
      const { left, top } = node.getBoundingClientRect();
      places.set(node, { left, top, parent: node.parentElement });
    }
    return places;
  }

  /** First, last, invert, play. Within a shelf a card slides, a new one fades in, a shelf rises or sinks. */
  glide(before) {
    if (!motionAllowed()) return;
    const timing = { duration: 420, easing: "cubic-bezier(.2,.8,.2,1)" };
    for (const node of this.root.querySelectorAll(".shelf, .card")) {
      const was = before.get(node);
      const { left, top } = node.getBoundingClientRect();
      const isCard = node.classList.contains("card");
      if (!was || was.parent !== node.parentElement) {
        node.animate([{ opacity: 0, transform: isCard ? "scale(.92)" : "translateY(12px)" }, { opacity: 1, transform: "none" }], timing);
        continue;
      }
      const [dx, dy] = isCard ? [was.left - left, 0] : [0, was.top - top];
      if (Math.abs(dx) + Math.abs(dy) < 1) continue;
      node.animate([{ transform: `translate(${dx}px, ${dy}px)` }, { transform: "none" }], timing);
    }
  }
}

function newShelf(row, number, act) {
  const id = `shelf-${number}-${Math.random().toString(36).slice(2, 8)}`;
  const segment = row.segment_id ? { segment_id: row.segment_id, title: row.title } : null;
  // What a row's title can do: one of a segment opens it.
  const title = segment ? el("button", { type: "button", class: "shelf-open", click: () => act.segment(segment) }) : el("span");
  const reason = el("p", { class: "reason" });
  const track = el("ul", { class: "track", role: "list", "aria-labelledby": id });
  const back = iconButton("left", "Scroll back", { tabindex: "-1", click: () => turn(track, -1) });
  const on = iconButton("right", "Scroll on", { tabindex: "-1", click: () => turn(track, 1) });
  const update = () => {
    back.disabled = track.scrollLeft < 8;
    on.disabled = track.scrollLeft + track.clientWidth > track.scrollWidth - 8;
  };
  track.addEventListener("scroll", update, { passive: true });
  new ResizeObserver(update).observe(track);
  const node = el("section", { class: `shelf kind-${row.kind}`, "data-row": row.row_id, "aria-labelledby": id },
    el("div", { class: "shelf-head" },
      el("div", { class: "shelf-words" }, el("h2", { id }, title), reason),
      segment ? nudges(segment, act) : null,
      el("div", { class: "turns" }, back, on)),
    track);
  return { node, title, reason, track, update, segment };
}

function nudges(segment, act) {
  const button = (name, words, direction) =>
    iconButton(name, `${words} like ${segment.title}`, { "data-key": `${name} ${segment.segment_id}`, click: () => act.nudge(segment, direction) });
  return el("div", { class: "nudges" }, button("more", "More", 1), button("less", "Less", -1));
}

function turn(track, direction) {
  track.scrollBy({ left: direction * track.clientWidth * 0.85, behavior: motionAllowed() ? "smooth" : "auto" });
}

/** Make `nodes` the children of `parent` and move only what is out of place: a moved element loses its scroll position. */
export function place(parent, nodes) {
  const kept = new Set(nodes);
  for (const child of [...parent.children]) if (!kept.has(child)) child.remove();
  nodes.forEach((node, i) => {
    if (parent.children[i] !== node) parent.insertBefore(node, parent.children[i] || null);
  });
}

function setCurrent(track, node) {
  for (const other of track.children) {
    other.classList.toggle("current", other === node);
    for (const button of other.querySelectorAll("button")) button.tabIndex = other === node ? 0 : -1;
  }
}

function focusCard(node, still = false) {
  setCurrent(node.parentElement, node);
  node.querySelector(".card-open").focus({ preventScroll: true });
  if (still) return;
  node.scrollIntoView({ block: "nearest", inline: "nearest", behavior: motionAllowed() ? "smooth" : "auto" });
}

function nearest(track, left) {
  const distance = (node) => Math.abs(node.getBoundingClientRect().left - left);
  return [...track.children].reduce((best, node) => (distance(node) < distance(best) ? node : best));
}
