// Asking for a key, where the server wants one. Loaded when it first does.

import { el } from "./dom.js";

/** A key of a role that somebody typed, or null where they would not. `refused`: what was wrong with the one sent. */
export function ask(role, refused) {
  const note = el("p", { class: "key-note", role: "alert", text: refused });
  const input = el("input", { id: "key", type: "password", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "key-about" });
  const form = el("form", { class: "key-in" },
    el("h2", { text: "This server asks for a key" }),
    el("p", { id: "key-about", class: "item-by", text: `One of role ${role}, as sparrow-serve keys add shows it. This tab forgets it when it is closed.` }),
    el("label", { for: "key", text: "Key" }),
    input, note,
    el("div", { class: "item-do" },
      el("button", { type: "submit", class: "solid", text: "Go on" }),
      el("button", { type: "button", class: "quiet", text: "Not now", click: () => dialog.close() })));
  const dialog = el("dialog", { class: "key", "aria-label": "This server asks for a key" }, form);
  return new Promise((resolve) => {
    let typed = null;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const value = input.value.trim();
      if (!/^[!-~]+$/.test(value)) {
        note.textContent = "A key has letters, digits, dashes and underscores only.";
        return;
      }
      typed = value;
      dialog.close();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(typed);
    });
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}
