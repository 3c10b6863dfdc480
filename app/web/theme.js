// Light or dark: as the system says, until the reader turns it. Loaded when somebody does; page.js applies what is kept.

/** Turn to the other one. It is kept as long as it differs from the system's. */
export function turn(page) {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const next = (root.dataset.theme || system) === "dark" ? "light" : "dark";
  if (next === system) delete root.dataset.theme;
  else root.dataset.theme = next;
  page.keep("sparrow.theme", next === system ? "" : next);
}
