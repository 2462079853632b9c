// The example browser: the address after # says what is shown, an example or a filtered list.
//   #benchmark/id, #benchmark/id/turn, #benchmark/id/turn/sample     an example
//   #?benchmark=…&rule=…&a=RUN&va=right&b=RUN&vb=wrong&q=words       a list
"use strict";

(async () => {
  const index = await evalkit.load("index");
  const form = document.getElementById("filters");
  const problem = document.getElementById("problem");
  const state = { benchmark: 0, rule: 0, a: 0, b: Math.min(1, index.runs.length - 1), va: "", vb: "", q: "" };
  const view = { page: 0, found: [], data: null, haystack: [], benchmark: -1 };

  const marks = (run) => (view.data.verdicts[run] || [])[state.rule] || "";
  const named = (list, key, name) => Math.max(0, list.findIndex((each) => (key ? each[key] : each) === name));

  function fill(name, options) {
    form.elements[name].replaceChildren(...options.map((option, number) => element("option", { value: number }, option)));
  }

  function stateToForm() {
    for (const [name, value] of Object.entries(state)) form.elements[name].value = value;
  }

  function listAddress() {
    const given = {
      benchmark: index.benchmarks[state.benchmark].name, rule: index.rules[state.rule],
      a: index.runs[state.a].slug, va: state.va, b: index.runs[state.b].slug, vb: state.vb, q: state.q,
    };
    return "#?" + new URLSearchParams(Object.entries(given).filter(([, value]) => value !== ""));
  }

  function readList(query) {
    const given = new URLSearchParams(query);
    if (given.has("benchmark")) state.benchmark = named(index.benchmarks, "name", given.get("benchmark"));
    if (given.has("rule")) state.rule = named(index.rules, null, given.get("rule"));
    if (given.has("a")) state.a = named(index.runs, "slug", given.get("a"));
    if (given.has("b")) state.b = named(index.runs, "slug", given.get("b"));
    for (const name of ["va", "vb"]) state[name] = Object.hasOwn(WANTED, given.get(name) || "") ? given.get(name) : "";
    state.q = given.get("q") || "";
  }

  async function open(benchmark) {
    if (view.benchmark === benchmark) return;
    view.data = await evalkit.load(index.benchmarks[benchmark].chunk);
    view.haystack = view.data.items.map(([id, , , gold, question]) => `${id}\n${question}\n${gold}`.toLowerCase());
    view.benchmark = benchmark;
  }

  async function refreshList() {
    await open(state.benchmark);
    view.found = matching(view.data.items, view.haystack, marks, state);
    showList(view, index.benchmarks[state.benchmark].name, view.data.items, marks, state);
  }

  async function showListPage(query) {
    if (`#?${query}` !== listAddress()) view.page = 0; // back from an example, the page stays
    readList(query);
    await refreshList();
    stateToForm();
    document.getElementById("example").hidden = true;
    document.getElementById("list").hidden = false;
  }

  function find(id, turn, sample) {
    return view.data.items.findIndex((item) => item[0] === id && item[1] === turn && item[2] === sample);
  }

  async function showExamplePage(address) {
    const [benchmark, id, turn = "-", sample = "0"] = address.split("/").map(decodeURIComponent);
    const number = index.benchmarks.findIndex((each) => each.name === benchmark);
    if (number < 0) throw new Error(`No benchmark is called ${benchmark}.`);
    if (number !== state.benchmark || view.benchmark < 0) {
      state.benchmark = number;
      await refreshList();
    }
    const place = find(id, turn === "-" ? null : Number(turn), Number(sample));
    if (place < 0) throw new Error(`${index.benchmarks[number].title} has no such example: ${id}`);
    await showPlace(place);
  }

  async function showPlace(place) {
    const { starts, items } = view.data;
    const { name, title, chunk } = index.benchmarks[state.benchmark];
    const part = starts.findLastIndex((start) => start <= place);
    const content = await evalkit.load(`${chunk}-${part}`);
    const link = (at, text) => (at === undefined ? null : element("a", { href: linkTo(name, items[at]) }, text));
    const at = view.found.indexOf(place);
    const around = {
      benchmark: title,
      back: element("a", { href: listAddress() }, `← ${view.found.length.toLocaleString("en")} examples`),
      previous: link(at > 0 ? view.found[at - 1] : undefined, "Previous"),
      next: link(at >= 0 ? view.found[at + 1] : undefined, "Next"),
    };
    document.getElementById("list").hidden = true;
    document.getElementById("example").hidden = false;
    showExample(place - starts[part], items[place], content, index, state, around, async (rule) => {
      state.rule = rule;
      await refreshList();
      await showPlace(place);
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
        if (moved) document.querySelector("#example h1").focus();
      }
    } catch (error) {
      document.getElementById("example").hidden = true;
      problem.textContent = error.message;
      problem.hidden = false;
    }
  }

  async function changed() {
    for (const name of Object.keys(state)) {
      const value = form.elements[name].value;
      state[name] = ["va", "vb", "q"].includes(name) ? value : Number(value);
    }
    view.page = 0;
    history.replaceState(null, "", listAddress());
    await refreshList();
  }

  function turn(pages) {
    view.page += pages;
    showList(view, index.benchmarks[state.benchmark].name, view.data.items, marks, state);
    document.getElementById("list").scrollIntoView();
  }

  if (!index.benchmarks.length) {
    problem.textContent = "No run is on the leaderboard yet.";
    problem.hidden = false;
    return;
  }
  fill("benchmark", index.benchmarks.map((each) => each.title));
  fill("rule", index.rules);
  for (const name of ["a", "b"]) fill(name, index.runs.map((run) => run.label));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", changed);
  form.elements.q.addEventListener("input", changed);
  form.addEventListener("click", ({ target }) => {
    if (target.dataset.va === undefined) return;
    form.elements.va.value = target.dataset.va;
    form.elements.vb.value = target.dataset.vb;
    changed();
  });
  document.getElementById("previous").addEventListener("click", () => turn(-1));
  document.getElementById("next").addEventListener("click", () => turn(1));
  window.addEventListener("hashchange", () => route(true));
  await route(false);
})();
