// The list of answers: which of them the filters let through, a page at a time.
"use strict";

const PAGE = 50;
const MARKS = { "+": ["✓", "right"], "-": ["✗", "wrong"], "?": ["○", "unscored"], "!": ["!", "without an answer"] };
const WANTED = { right: "+", wrong: "-", unscored: "?", failed: "!" };
const WORDS = { right: "right", wrong: "wrong", unscored: "unscored", failed: "without an answer", cut: "cut off" };

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

// A gold answer as the dataset prints it, and its value where that is another text.
function goldText(gold, printed) {
  const shown = printed && printed !== gold ? `${printed} (${gold})` : gold;
  return shown.length > 60 ? shown.slice(0, 60) + "…" : shown;
}

// One benchmark's verdicts of a run, one character an example; rule -1 is the one that counts.
function marksOf(data, run, rule) {
  const of = data.verdicts[run];
  return (of && of[rule < 0 ? data.counts[run] : rule]) || "";
}

// Whether an example passes one side's filter; null where the filter lets everything through.
function test(data, run, rule, wanted, outcomes) {
  if (!wanted) return null;
  const said = data.said[run];
  if (wanted === "cut") return (place) => said !== null && said.cut[place] === "x";
  if (Object.hasOwn(WANTED, wanted)) {
    const marks = marksOf(data, run, rule);
    return (place) => marks[place] === WANTED[wanted];
  }
  const letter = String.fromCharCode(97 + outcomes.indexOf(wanted));
  return (place) => said !== null && said.kinds[place] === letter;
}

// The places of a benchmark's examples that pass all filters, added to `found` as [benchmark, place].
function matching(found, benchmark, data, haystack, state, outcomes) {
  const a = test(data, state.a, state.rule, state.va, outcomes);
  const b = test(data, state.b, state.rule, state.vb, outcomes);
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  const [facet, value] = state.facet ? [state.facet.split("=")[0], state.facet.slice(state.facet.indexOf("=") + 1)] : [];
  const facets = facet === undefined ? null : Object.hasOwn(data.facets, facet) ? data.facets[facet] : { values: [], at: [] };
  const wanted = facets && facets.values.indexOf(value);
  // Without any other filter, examples that A was not asked are none of A's answers.
  const mine = data.said[state.a];
  for (let place = 0; place < data.items.length; place++) {
    if (a ? !a(place) : state.only && (mine === null || mine.kinds[place] === " ")) continue;
    if (b && !b(place)) continue;
    if (facets && (wanted < 0 || facets.at[place] !== wanted)) continue;
    if (words.length && !words.every((word) => haystack[place].includes(word))) continue;
    found.push([benchmark, place]);
  }
}

function sideCell(label, className, data, run, rule, place) {
  const said = data.said[run];
  const read = said && said.read[place];
  return element("td", { "data-label": label, class: `said ${className}`, dir: "auto" },
    verdictMark(marksOf(data, run, rule)[place]), " ", read ? element("code", {}, read) : element("span", { class: "none" }, said && said.kinds[place] !== " " ? "nothing" : "–"));
}

function whyText(data, state, outcomes, place) {
  for (const run of state.b === state.a ? [state.a] : [state.a, state.b]) {
    const said = data.said[run];
    if (!said || said.kinds[place] === " ") continue;
    const kind = outcomes[said.kinds.charCodeAt(place) - 97];
    if (kind === "correct") continue;
    const who = run === state.a ? "" : "B: ";
    return who + (said.why[place] || kind.replaceAll("_", " ")) + (said.cut[place] === "x" && kind !== "truncated" ? ", cut off" : "");
  }
  return "";
}

function showList(view, index, state) {
  const start = Math.min(view.page * PAGE, Math.max(0, view.found.length - 1));
  const shown = view.found.slice(start, start + PAGE);
  document.querySelector("#found tbody").replaceChildren(...shown.map(([benchmark, place]) => {
    const data = view.data[benchmark];
    const [id, turn, sample, gold, question, printed] = data.items[place];
    const { name, title } = index.benchmarks[benchmark];
    const path = [view.several ? title : null, id, turn === null ? null : `turn ${turn}`, sample ? `sample ${sample}` : null];
    return element("tr", {},
      element("th", { scope: "row", dir: "auto" },
        element("a", { href: linkTo(name, data.items[place]) }, question || id),
        element("span", { class: "n" }, path.filter(Boolean).join(", "))),
      element("td", { class: "gold", "data-label": "Gold", dir: "auto" }, goldText(gold, printed)),
      sideCell("A said", "a", data, state.a, state.rule, place),
      sideCell("B said", "b", data, state.b, state.rule, place),
      element("td", { class: "why", "data-label": "Why", dir: "auto" }, whyText(data, state, index.outcomes, place)));
  }));
  const count = view.found.length;
  const all = view.all.toLocaleString("en");
  document.getElementById("count").textContent = count
    ? `${(start + 1).toLocaleString("en")}–${(start + shown.length).toLocaleString("en")} of ${count.toLocaleString("en")} answers (${all} in all)`
    : `None of ${all} answers`;
  document.getElementById("previous").disabled = start === 0;
  document.getElementById("next").disabled = start + PAGE >= count;
}
