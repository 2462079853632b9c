// The list of examples: which of them the filters let through, a page at a time.
"use strict";

const PAGE = 50;
const MARKS = { "+": ["✓", "right"], "-": ["✗", "wrong"], "?": ["○", "unscored"], "!": ["!", "without an answer"] };
const WANTED = { right: "+", wrong: "-", unscored: "?", failed: "!" };

// An element with text and children; text is never read as HTML.
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null).map((child) => (child instanceof Node ? child : String(child))));
  return made;
}

function verdictMark(code) {
  const [sign, word] = MARKS[code] || ["–", "no verdict"];
  return element("span", { class: `mark ${word.split(" ")[0]}` },
    element("span", { "aria-hidden": "true" }, sign), element("span", { class: "hidden" }, word));
}

function linkTo(benchmark, item) {
  const [id, turn, sample] = item;
  const parts = [benchmark, id];
  if (turn !== null || sample) parts.push(turn === null ? "-" : turn);
  if (sample) parts.push(sample);
  return "#" + parts.map(encodeURIComponent).join("/");
}

// The places of the examples that pass; `marks(run)` gives a run's verdicts, one character an example.
function matching(items, haystack, marks, state) {
  const a = WANTED[state.va] && marks(state.a);
  const b = WANTED[state.vb] && marks(state.b);
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  const found = [];
  for (let place = 0; place < items.length; place++) {
    if (state.va && (!a || a[place] !== WANTED[state.va])) continue;
    if (state.vb && (!b || b[place] !== WANTED[state.vb])) continue;
    if (words.every((word) => haystack[place].includes(word))) found.push(place);
  }
  return found;
}

function showList(view, benchmark, items, marks, state) {
  const start = Math.min(view.page * PAGE, Math.max(0, view.found.length - 1));
  const shown = view.found.slice(start, start + PAGE);
  const a = marks(state.a);
  const b = marks(state.b);
  document.querySelector("#found tbody").replaceChildren(...shown.map((place) => {
    const [id, turn, sample, gold, question] = items[place];
    const name = [id, turn === null ? "" : `turn ${turn}`, sample ? `sample ${sample}` : ""];
    return element("tr", {},
      element("td", {}, verdictMark(a && a[place])),
      element("td", {}, verdictMark(b && b[place])),
      element("th", { scope: "row" }, element("a", { href: linkTo(benchmark, items[place]) }, name.filter(Boolean).join(", "))),
      element("td", { class: "text", dir: "auto" }, question),
      element("td", { class: "gold", dir: "auto" }, gold.length > 60 ? gold.slice(0, 60) + "…" : gold));
  }));
  const count = view.found.length;
  document.getElementById("count").textContent = count
    ? `${(start + 1).toLocaleString("en")}–${(start + shown.length).toLocaleString("en")} of ${count.toLocaleString("en")} examples (${items.length.toLocaleString("en")} in all)`
    : `None of ${items.length.toLocaleString("en")} examples`;
  document.getElementById("previous").disabled = start === 0;
  document.getElementById("next").disabled = start + PAGE >= count;
}
