// What an item looks like: words from its properties, and a cover. The picture the catalogue names is shown once it has
// loaded; until then, or for ever, a drawn cover: colours, plate and type follow from the item id, so an item always looks the same.

import { el, svg } from "./dom.js";

const TITLES = ["title", "name", "label", "headline"];
const MAKERS = ["authors", "author", "artist", "creator", "director", "brand", "manufacturer", "publisher"];
const KINDS = ["category", "genre", "type"];
const PICTURES = ["image_url", "image", "cover_url", "thumbnail"];

/** Words for an item of any catalogue: {title, series, by, year, name}; `name` is how sentences call it. */
export function describe(item) {
  const properties = item.properties || {};
  const full = first(properties, TITLES) || item.item_id;
  const parts = /^(.*\S)\s+\(([^()]+)\)$/.exec(full);
  const title = parts ? parts[1] : full;
  return {
    title,
    full,
    series: parts ? parts[2] : "",
    by: first(properties, MAKERS) || first(properties, KINDS),
    year: properties.year === undefined || properties.year === null ? "" : String(properties.year),
  };
}

function first(properties, keys) {
  for (const key of keys) {
    const value = properties[key];
    if (Array.isArray(value) && value.length) return value.join(", ");
    if ((typeof value === "string" && value.trim()) || typeof value === "number") return String(value).trim();
  }
  return "";
}

/** The cover element. `mini` leaves the words out: for thumbnails that stand beside a title. */
export function cover(item, mini = false) {
  const words = describe(item);
  const next = randomOf(item.item_id);
  const colours = PALETTES[Math.floor(next() * PALETTES.length)];
  const plates = words.full.length > 40 ? PLATES.filter((plate) => plate.roomy) : PLATES;
  const plate = plates[Math.floor(next() * plates.length)];
  const drawn = svg("svg", { viewBox: "0 0 200 300", preserveAspectRatio: "xMidYMid slice", class: "cover-art" });
  drawn.append(svg("rect", { width: 200, height: 300, fill: colours.ground }), ...plate.draw(next, colours, words));
  const node = el("div", { class: mini ? "cover mini" : "cover", "aria-hidden": "true" }, drawn);
  node.style.setProperty("--cover-ink", plate.panel ? colours.panelInk : colours.ink);
  if (!mini) node.append(lettering(words, plate.text, next() < 0.62));
  const address = pictureOf(item.properties || {});
  if (address) node.append(picture(address, node));
  return node;
}

function lettering(words, place, serif) {
  const title = el("span", { class: "cover-title", text: words.title });
  title.style.setProperty("--cover-size", `${titleSize(words.title)}cqw`);
  return el("div", { class: `cover-text at-${place} ${serif ? "serif" : "sans"}` },
    words.series ? el("span", { class: "cover-series", text: words.series }) : null,
    title,
    words.by ? el("span", { class: "cover-by", text: words.by.split(", ")[0] }) : null);
}

/** Percent of the cover's width: smaller for longer titles, and so that the longest word fits on a line. */
function titleSize(title) {
  const longest = Math.max(...title.split(/[\s-]+/).map((word) => word.length));
  const byLength = title.length <= 9 ? 18 : title.length <= 16 ? 15.5 : title.length <= 28 ? 13 : title.length <= 46 ? 10.5 : 8.6;
  return Math.max(7, Math.min(byLength, 136 / longest)).toFixed(1);
}

function pictureOf(properties) {
  const address = first(properties, PICTURES);
  // Stand-in pictures say nothing about the item: the drawn cover says more.
  if (!address || /no[-_]?(photo|image|cover)/i.test(address) || !URL.canParse(address, document.baseURI)) return "";
  const url = new URL(address, document.baseURI);
  return url.protocol === "https:" || url.protocol === "data:" || url.origin === location.origin ? url.href : "";
}

function picture(address, node) {
  const image = el("img", { alt: "", loading: "lazy", decoding: "async", referrerpolicy: "no-referrer" });
  image.addEventListener("load", () => (image.naturalWidth > 1 ? node.classList.add("pictured") : image.remove()));
  image.addEventListener("error", () => image.remove());
  image.src = address;
  return image;
}

/** Numbers in [0, 1) that depend on the text alone: FNV-1a as the seed of mulberry32. */
export function randomOf(text) {
  let state = 0x811c9dc5;
  for (const char of text) state = Math.imul(state ^ char.codePointAt(0), 0x01000193);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

// ground, ink (reads on the ground at 4.5:1 or more), two tones for the drawing, and the ink of a light panel.
const PALETTES = [
  ["#1f3a4d", "#f6ecd9", "#e2a24b", "#35607a"], ["#7a2e2b", "#f8e8d4", "#e9b872", "#9d4a41"],
  ["#eadfc8", "#2b2622", "#b5452c", "#d0bd98"], ["#2f4a3c", "#f3ecda", "#d8b45f", "#4c6e5b"],
  ["#e58f65", "#2a140c", "#7c2d1c", "#f3b893"], ["#efc462", "#2a2113", "#94401f", "#f7dd9d"],
  ["#4a3a5e", "#f5ebf1", "#e39aa0", "#6a557f"], ["#bdd3c8", "#1d322b", "#b9502f", "#98b8aa"],
  ["#243042", "#edf1f4", "#86b9cd", "#3c4e68"], ["#ecd9d2", "#43202a", "#a33d4d", "#dbbcb2"],
  ["#0f4c5c", "#f5f0e1", "#fb9a3c", "#2b7183"], ["#d7dfe7", "#1b2a41", "#c8553d", "#b4c2d1"],
  ["#211f1d", "#f6f0e6", "#d9a441", "#46403a"], ["#8c4a2f", "#fbeedd", "#f2c57c", "#ab6a4c"],
  ["#d8d5a8", "#2c2f16", "#6c7a2b", "#c1bd83"], ["#395b8a", "#f3f5f8", "#f4c095", "#5a7bab"],
].map(([ground, ink, accent, tone]) => ({ ground, ink, accent, tone, panelInk: "#2a241e" }));

const disc = (cx, cy, r, fill, more = {}) => svg("circle", { cx, cy, r, fill, ...more });
const bar = (x, y, width, height, fill, more = {}) => svg("rect", { x, y, width, height, fill, ...more });
const line = (d, stroke, width, more = {}) => svg("path", { d, stroke, "stroke-width": width, fill: "none", ...more });
const shape = (d, fill, more = {}) => svg("path", { d, fill, ...more });
const range = (count) => Array.from({ length: count }, (_, i) => i);

// A plate draws on 200 x 300 and says where the words go; it leaves that part quiet. A roomy one has place for a long title.
const PLATES = [
  { text: "top", draw: sun, roomy: true }, { text: "top", draw: hills, roomy: true }, { text: "top", draw: arcs },
  { text: "top", draw: dots, roomy: true }, { text: "top", draw: peaks, roomy: true }, { text: "top", draw: weave, roomy: true },
  { text: "middle", draw: panel, panel: true }, { text: "middle", draw: frame, roomy: true }, { text: "bottom", draw: tiles },
  { text: "bottom", draw: organ }, { text: "bottom", draw: rings }, { text: "bottom", draw: moon }, { text: "bottom", draw: initial },
  { text: "bottom", draw: leaves }, { text: "top", draw: skyline, roomy: true }, { text: "bottom", draw: orbits },
  { text: "top", draw: petals, roomy: true }, { text: "bottom", draw: kites },
];

function sun(next, { accent, tone }) {
  const x = 60 + next() * 80;
  const horizon = 226 + next() * 16;
  const glints = range(4).map((i) => bar(x - 46 + i * 9, horizon + 12 + i * 14, 92 - i * 18, 4, accent, { rx: 2, opacity: 0.85 - i * 0.17 }));
  return [disc(x, horizon, 56 + next() * 16, accent), bar(0, horizon, 200, 300 - horizon, tone), ...glints];
}

function hills(next, { accent, tone, ink }) {
  const ridge = (y, fill, opacity) => {
    const [a, b, c] = [next(), next(), next()].map((value) => y - 26 + value * 52);
    return shape(`M0 ${y}C40 ${a} 70 ${b} 105 ${y}S165 ${c} 200 ${y - 12}V300H0Z`, fill, { opacity });
  };
  return [disc(40 + next() * 120, 178, 17, accent, { opacity: 0.9 }), ridge(208, tone, 1), ridge(238, accent, 0.8), ridge(268, ink, 0.85)];
}

function arcs(next, { accent, tone, ink }) {
  const x = next() < 0.5 ? 0 : 200;
  return range(6).map((i) => disc(x, 300, 144 - i * 24, [tone, accent, ink][i % 3]));
}

function panel(next, { accent, tone }) {
  const stripes = next() < 0.5 ? range(5).map((i) => bar(0, 14 + i * 12, 200, 3, tone)) : [disc(100, 40, 20, tone)];
  return [...stripes, bar(0, 78, 200, 152, "#f6efe2"), bar(0, 78, 200, 5, accent), bar(0, 225, 200, 5, accent), disc(100, 263, 11, accent)];
}

function frame(next, { accent, tone, ink }) {
  const sides = 4 + Math.floor(next() * 5);
  const star = (cy) => range(sides).map((i) => bar(98.6, cy - 15, 2.8, 15, accent, { transform: `rotate(${(360 / sides) * i} 100 ${cy})`, rx: 1.4 }));
  return [bar(12, 12, 176, 276, "none", { stroke: accent, "stroke-width": 2 }), bar(18, 18, 164, 264, "none", { stroke: ink, "stroke-width": 0.8, opacity: 0.7 }),
    disc(100, 52, 22, tone), disc(100, 248, 22, tone), ...star(52), ...star(248)];
}

function tiles(next, { accent, tone, ink }) {
  const corners = ["M0 0H50A50 50 0 0 1 0 50Z", "M50 0V50A50 50 0 0 1 0 0Z", "M50 50H0A50 50 0 0 1 50 0Z", "M0 50V0A50 50 0 0 1 50 50Z"];
  const pick = (list) => list[Math.floor(next() * list.length)];
  return range(12).map((i) => shape(pick(corners), pick([accent, tone, tone, ink]), { transform: `translate(${(i % 4) * 50} ${Math.floor(i / 4) * 50})` }));
}

function organ(next, { accent, tone, ink }) {
  const fills = [accent, tone, accent, tone, ink];
  return range(11).map((i) => bar(14 + i * 16, -8, 10, 50 + next() * 96, fills[Math.floor(next() * 5)], { rx: 5 }));
}

function dots(next, { accent, tone }) {
  const lit = next();
  return range(77).map((i) => {
    const [column, row] = [i % 11, Math.floor(i / 11)];
    return disc(10 + column * 18, 172 + row * 19, 1.5 + row * 1.05, Math.abs(column / 10 - lit) < 0.16 ? accent : tone);
  });
}

function rings(next, { accent, tone, ink }) {
  const [x, y] = [70 + next() * 60, 64 + next() * 10];
  const circles = range(5).map((i) => disc(x, y, 70 - i * 13.5, "none", { stroke: i % 2 ? tone : accent, "stroke-width": 5.5 }));
  return [...circles, disc(x, y, 8, ink)];
}

function peaks(next, { accent, tone, ink }) {
  const peak = (x, y, half, fill) => shape(`M${x - half} 300L${x} ${y}L${x + half} 300Z`, fill);
  const [a, b] = [40 + next() * 40, 120 + next() * 40];
  return [disc(next() < 0.5 ? 158 : 42, 172, 15, accent), peak(a, 178, 105, tone), peak(b, 204, 95, accent), peak(a + 45, 246, 120, ink)];
}

function moon(next, { ground, accent, tone }) {
  const stars = range(16).map(() => disc(10 + next() * 180, 10 + next() * 130, 0.8 + next() * 1.5, accent, { opacity: 0.75 }));
  const turn = next() < 0.5 ? 17 : -17;
  return [disc(100, 76, 62, tone), ...stars, disc(100, 76, 36, accent), disc(100 + turn, 68, 31, tone), bar(0, 298, 200, 2, ground)];
}

function initial(next, { accent, tone }, words) {
  const letter = svg("text", { x: 90 + next() * 20, y: 140, "text-anchor": "middle", "font-size": 168, fill: tone, class: "cover-initial" });
  const telling = words.title.replace(/^(the|an?)\s+/i, "");
  letter.textContent = (/[\p{L}\p{N}]/u.exec(telling) || ["*"])[0].toUpperCase();
  return [letter, bar(0, 291, 200, 9, accent)];
}

function weave(next, { accent, tone, ink }) {
  const step = 20 + Math.floor(next() * 3) * 5;
  const rows = range(6).map((i) => {
    const y = 178 + i * 22;
    const d = range(Math.ceil(200 / step) + 1).map((x) => `${x ? "L" : "M"}${x * step} ${y + (x % 2 ? 13 : 0)}`).join("");
    return line(d, [accent, tone, ink][i % 3], 6, { "stroke-linejoin": "round" });
  });
  return rows;
}

function leaves(next, { accent, tone, ink }) {
  const lean = next() * 16 - 8;
  const pairs = range(5).flatMap((i) => {
    const y = 138 - i * 27;
    const leaf = `M100 ${y}C118 ${y - 34} 150 ${y - 34} 162 ${y - 26}C156 ${y - 4} 126 ${y + 8} 100 ${y}Z`;
    return [shape(leaf, i % 2 ? accent : tone), shape(leaf, i % 2 ? tone : accent, { transform: "matrix(-1 0 0 1 200 0)" })];
  });
  return [svg("g", { transform: `rotate(${lean} 100 150)` }, line("M100 158V-10", ink, 2.5), ...pairs)];
}

function skyline(next, { accent, tone, ink }) {
  const houses = (count, low, high, fill) => range(count).map((i) => {
    const height = low + next() * (high - low);
    return bar((200 / count) * i, 300 - height, 200 / count + 0.5, height, fill);
  });
  const windows = range(14).map(() => bar(10 + Math.floor(next() * 18) * 10, 262 + Math.floor(next() * 4) * 10, 4, 5, accent));
  return [disc(30 + next() * 140, 190, 20, accent), ...houses(9, 60, 122, tone), ...houses(7, 16, 62, ink), ...windows];
}

function orbits(next, { accent, tone, ink }) {
  const [x, y] = [100, 78];
  const paths = range(4).map((i) => svg("ellipse", { cx: x, cy: y, rx: 34 + i * 21, ry: (34 + i * 21) * 0.62, fill: "none", stroke: tone, "stroke-width": 2 }));
  const planets = range(4).map((i) => {
    const angle = next() * 2 * Math.PI;
    const reach = 34 + i * 21;
    return disc(x + reach * Math.cos(angle), y + reach * 0.62 * Math.sin(angle), 4 + next() * 6, i % 2 ? ink : accent);
  });
  return [...paths, disc(x, y, 17, accent), ...planets];
}

function petals(next, { accent, tone, ink }) {
  const count = 6 + Math.floor(next() * 4);
  const [x, y] = [60 + next() * 80, 246];
  const petal = (i) => svg("ellipse", { cx: x, cy: y - 36, rx: 17, ry: 36, fill: i % 2 ? accent : tone, opacity: 0.92, transform: `rotate(${(360 / count) * i} ${x} ${y})` });
  return [bar(x - 1.5, y, 3, 60, ink), ...range(count).map(petal), disc(x, y, 13, ink)];
}

function kites(next, { accent, tone, ink }) {
  const kite = (x, y, size, left, right) => [shape(`M${x} ${y - size}L${x - size * 0.7} ${y}L${x} ${y + size * 1.25}Z`, left), shape(`M${x} ${y - size}L${x + size * 0.7} ${y}L${x} ${y + size * 1.25}Z`, right)];
  const [a, b] = [40 + next() * 30, 120 + next() * 40];
  return [...kite(a, 62, 40, tone, accent), ...kite(b, 46, 28, accent, tone), ...kite(150 - a / 2, 118, 20, ink, tone)];
}
