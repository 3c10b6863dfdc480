// What stands in place of the rows while nothing is published: said kindly, with what to do. Loaded where that is so.

import { el } from "./dom.js";

/** The message; `moving`: the bird may hop. */
export function waiting(moving) {
  const bird = document.querySelector(".wordmark svg").cloneNode(true);
  bird.setAttribute("class", moving ? "waiting-bird hop" : "waiting-bird");
  return el("div", { class: "waiting" }, bird,
    el("h2", { text: "No index is published yet" }),
    el("p", { text: "As soon as one is, the rows appear here; this page looks again by itself." }),
    el("pre", {}, el("code", { text: "sparrow-train fit --dataset goodbooks --run run\nsparrow-train publish run --snapshots snapshots" })));
}
