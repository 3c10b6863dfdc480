// What a reader does that changes the store: liking, hiding, starting over. Loaded when it is first done.

import * as api from "./api.js";
import { describe } from "./cover.js";
import { sentence, toast } from "./dom.js";

/** Record that the reader likes or hides an item; `node` is its card, or null. The page follows. */
export async function record(page, item, kind, node) {
  if (node?.classList.contains("leaving")) return;
  const { title } = describe(item);
  node?.classList.add("leaving");
  try {
    await api.record(page.reader(), item.item_id, kind);
  } catch (problem) {
    node?.classList.remove("leaving");
    toast(`${title} was not ${kind === "like" ? "liked" : "hidden"}: ${sentence(problem.message)}`, { tone: "bad" });
    return;
  }
  if (page.reader() === page.you) page.keep("sparrow.begun", "yes");
  const changed = await page.refresh();
  toast(`${kind === "like" ? "Liked" : "Hid"} ${title}. ${changed ? "The page has changed." : ""}`.trim());
}

/** Forget all that is stored of the visitor. */
export async function startOver(page) {
  try {
    await api.forget(page.you);
    page.keep("sparrow.begun", "");
    await page.refresh();
    toast("Forgotten. A clean page.");
  } catch (problem) {
    toast(sentence(problem.message), { tone: "bad" });
  }
}
