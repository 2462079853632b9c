// The answers: the address after # says what is shown, an example or a filtered list.
//   #benchmark/id, #benchmark/id/turn, #benchmark/id/turn/sample     an example
//   #?benchmark=…&rule=…&a=RUN&va=right&b=RUN&vb=wrong&q=words&facet=steps%3D2     a list
"use strict";

(async () => {
  const index = await evalkit.load("index");
  const form = document.getElementById("filters");
  const problem = document.getElementById("problem");
  const facet = document.getElementById("facet");
  // benchmark -1: all; rule -1: the one that counts; only: a run was asked for, so only what it was asked.
  const state = { benchmark: 0, rule: -1, a: 0, b: Math.min(1, index.runs.length - 1), va: "", vb: "", q: "", facet: "", only: false };
  const view = { page: 0, found: [], data: {}, haystack: {}, all: 0, several: false };
  const TEXTS = ["va", "vb", "q"];

  const named = (list, key, name, other) => {
    const at = list.findIndex((each) => (key ? each[key] : each) === name);
    return at < 0 ? other : at;
  };
  const fill = (name, options) => form.elements[name].replaceChildren(...options);
  const option = (value, text) => element("option", { value }, text);

  function stateToForm() {
    for (const name of ["benchmark", "rule", "a", "b", ...TEXTS]) form.elements[name].value = state[name];
    facet.hidden = state.facet === "";
    facet.textContent = `${state.facet.replaceAll("_", " ").replace("=", ": ")} ✕`;
    facet.setAttribute("aria-label", `show more than ${state.facet}`);
  }

  function listAddress() {
    const given = {
      benchmark: state.benchmark < 0 ? "" : index.benchmarks[state.benchmark].name,
      rule: state.rule < 0 ? "" : index.rules[state.rule],
      a: index.runs[state.a].slug, va: state.va, b: index.runs[state.b].slug, vb: state.vb, q: state.q, facet: state.facet,
    };
    return "#?" + new URLSearchParams(Object.entries(given).filter(([, value]) => value !== ""));
  }

  function readList(query) {
    const given = new URLSearchParams(query);
    const known = (name) => name === "" || name === "cut" || Object.hasOwn(WANTED, name) || index.outcomes.includes(name);
    if (query) {
      state.benchmark = given.has("benchmark") ? named(index.benchmarks, "name", given.get("benchmark"), 0) : -1;
      state.rule = named(index.rules, null, given.get("rule"), -1);
    }
    if (given.has("a")) state.a = named(index.runs, "slug", given.get("a"), 0);
    if (given.has("b")) state.b = named(index.runs, "slug", given.get("b"), 0);
    else if (given.has("a") && state.b === state.a) state.b = index.runs.length > 1 ? (state.a === 0 ? 1 : 0) : 0;
    state.only = given.has("a");
    for (const name of ["va", "vb"]) state[name] = known(given.get(name) || "") ? given.get(name) || "" : "";
    state.q = given.get("q") || "";
    state.facet = (given.get("facet") || "").slice(0, 200);
  }

  async function open(benchmark) {
    if (view.data[benchmark]) return;
    const data = await evalkit.load(index.benchmarks[benchmark].chunk);
    view.data[benchmark] = data;
    view.haystack[benchmark] = data.items.map(([id, , , gold, question, printed]) => `${id}\n${question}\n${gold}\n${printed}`.toLowerCase());
  }

  async function refreshList() {
    const chosen = state.benchmark < 0 ? index.benchmarks.map((each, number) => number) : [state.benchmark];
    for (const benchmark of chosen) await open(benchmark);
    view.several = chosen.length > 1;
    view.found = [];
    view.all = 0;
    for (const benchmark of chosen) {
      matching(view.found, benchmark, view.data[benchmark], view.haystack[benchmark], state, index.outcomes);
      view.all += view.data[benchmark].items.length;
    }
    showList(view, index, state);
  }

  async function showListPage(query) {
    if (`#?${query}` !== listAddress()) view.page = 0; // back from an example, the page stays
    readList(query);
    await refreshList();
    stateToForm();
    document.getElementById("example").hidden = true;
    document.getElementById("list").hidden = false;
  }

  function find(benchmark, id, turn, sample) {
    return view.data[benchmark].items.findIndex((item) => item[0] === id && item[1] === turn && item[2] === sample);
  }

  async function showExamplePage(address) {
    const [name, id, turn = "-", sample = "0"] = address.split("/").map(decodeURIComponent);
    const benchmark = index.benchmarks.findIndex((each) => each.name === name);
    if (benchmark < 0) throw new Error(`No benchmark is called ${name}.`);
    await open(benchmark);
    const place = find(benchmark, id, turn === "-" ? null : Number(turn), Number(sample));
    if (place < 0) throw new Error(`${index.benchmarks[benchmark].title} has no such example: ${id}`);
    if (!view.found.some(([of, at]) => of === benchmark && at === place)) {
      Object.assign(state, { benchmark, va: "", vb: "", q: "", facet: "", only: false });
      await refreshList();
    }
    await showPlace(benchmark, place);
  }

  async function showPlace(benchmark, place) {
    const { starts, items, counts } = view.data[benchmark];
    const { title, chunk } = index.benchmarks[benchmark];
    const part = starts.findLastIndex((start) => start <= place);
    const content = await evalkit.load(`${chunk}-${part}`);
    const link = (at, text, rel) => (at === undefined ? null
      : element("a", { rel, href: linkTo(index.benchmarks[at[0]].name, view.data[at[0]].items[at[1]]) }, text));
    const at = view.found.findIndex(([of, where]) => of === benchmark && where === place);
    const around = {
      benchmark: title,
      back: element("a", { href: listAddress(), rel: "up" }, `← ${view.found.length.toLocaleString("en")} answers`),
      where: at < 0 ? null : `${(at + 1).toLocaleString("en")} of ${view.found.length.toLocaleString("en")}`,
      previous: link(at > 0 ? view.found[at - 1] : undefined, "Previous", "prev"),
      next: link(at >= 0 ? view.found[at + 1] : undefined, "Next", "next"),
    };
    document.getElementById("list").hidden = true;
    document.getElementById("example").hidden = false;
    const chosen = { a: state.a, b: state.b, rule: state.rule };
    showExample(place - starts[part], items[place], content, index, chosen, counts, around, async (rule) => {
      state.rule = rule;
      await refreshList();
      await showPlace(benchmark, place);
      document.getElementById("rule-here").focus();
    });
  }

  async function route(moved) {
    problem.hidden = true;
    const address = location.hash.slice(1);
    try {
      if (address === "" || address.startsWith("?")) await showListPage(address.slice(1));
      else {
        await showExamplePage(address);
        window.scrollTo(0, 0);
        if (moved) document.querySelector("#example h1").focus({ preventScroll: true });
      }
    } catch (error) {
      document.getElementById("example").hidden = true;
      problem.textContent = error.message;
      problem.hidden = false;
    }
  }

  async function changed() {
    for (const name of ["benchmark", "rule", "a", "b", ...TEXTS]) {
      const value = form.elements[name].value;
      state[name] = TEXTS.includes(name) ? value : Number(value);
    }
    state.only = false;
    view.page = 0;
    history.replaceState(null, "", listAddress());
    await refreshList();
  }

  function turn(pages) {
    view.page += pages;
    showList(view, index, state);
    document.getElementById("list").scrollIntoView();
  }

  // j, k and arrows: through the list, and from one answer to the next.
  function moveInList(by) {
    const links = [...document.querySelectorAll("#found tbody a")];
    const at = links.indexOf(document.activeElement);
    const next = links[at < 0 ? (by > 0 ? 0 : links.length - 1) : at + by];
    if (!next) return;
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  }

  function follow(rel) {
    const link = document.querySelector(`#example a[rel=${rel}]`);
    if (link) location.hash = new URL(link.href).hash;
    return link !== null;
  }

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    const inList = !document.getElementById("list").hidden;
    const scrolls = event.target.closest("pre, .box");
    const by = { j: 1, k: -1, ArrowDown: inList && !scrolls ? 1 : 0, ArrowUp: inList && !scrolls ? -1 : 0,
      ArrowRight: inList || scrolls ? 0 : 1, ArrowLeft: inList || scrolls ? 0 : -1 }[event.key];
    // A link of the list is in its box: there arrows go on from it.
    const arrow = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (inList && arrow && event.target.closest("#found a")) moveInList(arrow);
    else if (by && inList) moveInList(by);
    else if (by) follow(by > 0 ? "next" : "prev");
    else if (!inList && (event.key === "Escape" || event.key === "u")) follow("up");
    else return;
    event.preventDefault();
  }

  const side = () => [option("", "anything"), ...Object.entries(WORDS).map(([value, text]) => option(value, text)),
    element("optgroup", { label: "outcome" }, ...index.outcomes.filter((each) => each !== "correct" && each !== "unscored").map((each) => option(each, each.replaceAll("_", " "))))];
  fill("benchmark", [option(-1, "all"), ...index.benchmarks.map((each, number) => option(number, each.title))]);
  fill("rule", [option(-1, "the one that counts"), ...index.rules.map((rule, number) => option(number, rule))]);
  for (const name of ["a", "b"]) fill(name, index.runs.map((run, number) => option(number, run.label)));
  for (const name of ["va", "vb"]) fill(name, side());
  document.getElementById("list").classList.toggle("alone", index.runs.length < 2);
  if (matchMedia("(max-width: 40rem)").matches) document.getElementById("filter").open = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", changed);
  form.elements.q.addEventListener("input", changed);
  form.addEventListener("click", async ({ target }) => {
    if (target === facet) {
      state.facet = "";
      stateToForm();
    } else if (target.dataset.va === undefined) return;
    else {
      form.elements.va.value = target.dataset.va;
      form.elements.vb.value = target.dataset.vb;
    }
    await changed();
  });
  document.getElementById("previous").addEventListener("click", () => turn(-1));
  document.getElementById("next").addEventListener("click", () => turn(1));
  document.addEventListener("keydown", key);
  window.addEventListener("hashchange", () => route(true));
  await route(false);
})();
