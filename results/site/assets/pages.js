// What pages do beside their tables: the memory slider, the pickers of Compare, tabs, and folded targets.
"use strict";

(() => {
  const sizeText = (bytes) => {
    const unit = [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]].find(([size]) => bytes >= size) || [1, "bytes"];
    return `${(bytes / unit[0]).toFixed(2)} ${unit[1]}`;
  };

  function slider(budget) {
    const name = CSS.escape(budget.dataset.budget);
    const input = budget.querySelector("input");
    const steps = [...document.querySelectorAll(`[data-steps="${name}"] li`)];
    const rows = [...document.querySelectorAll(`table[data-group="${name}"] tbody tr`)];
    const update = () => {
      const memory = Number(input.value);
      budget.querySelector("output").textContent = sizeText(memory);
      input.setAttribute("aria-valuetext", sizeText(memory));
      const step = steps.findLast((each) => Number(each.dataset.from) <= memory);
      const words = step ? step.textContent.slice(step.textContent.indexOf(":") + 1).trim() : "nothing that is fit";
      budget.querySelector(".choice").textContent = `With that: ${words}`;
      for (const row of rows) {
        row.classList.toggle("too-large", Number(row.dataset.need) > memory);
        row.classList.toggle("chosen", step !== undefined && row.querySelector("th").textContent.trim() === step.dataset.name);
      }
    };
    input.addEventListener("input", update);
    budget.hidden = false;
    update();
  }

  function pickers(form) {
    const pairs = [...document.querySelectorAll("section.pair")];
    const [group, reference, candidate] = ["group", "reference", "candidate"].map((name) => form.querySelector(`[name=${name}]`));
    const options = (select, names, chosen) => {
      select.replaceChildren(...names.map((name) => new Option(name, name, false, name === chosen)));
    };
    const here = () => pairs.filter((pair) => !group || pair.dataset.group === group.value);
    const show = (pair) => {
      for (const each of pairs) each.hidden = each !== pair;
      if (group) group.value = pair.dataset.group;
      options(reference, [...new Set(here().map((each) => each.dataset.reference))], pair.dataset.reference);
      options(candidate, here().filter((each) => each.dataset.reference === pair.dataset.reference).map((each) => each.dataset.candidate), pair.dataset.candidate);
    };
    const choose = () => {
      const those = here().filter((pair) => pair.dataset.reference === reference.value);
      show(those.find((pair) => pair.dataset.candidate === candidate.value) || those[0] || here()[0]);
      history.replaceState(null, "", `#${pairs.find((pair) => !pair.hidden).id}`);
    };
    const route = () => show(pairs.find((pair) => `#${pair.id}` === location.hash) || pairs[0]);
    form.addEventListener("change", choose);
    window.addEventListener("hashchange", route);
    form.hidden = false;
    route();
  }

  function tabs(bar) {
    const links = [...bar.querySelectorAll("a")];
    const show = () => {
      const chosen = links.find((link) => link.hash === location.hash) || links[0];
      for (const link of links) {
        document.querySelector(link.hash).hidden = link !== chosen;
        if (link === chosen) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
    };
    window.addEventListener("hashchange", show);
    show();
  }

  function unfold() {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === "DETAILS") {
      target.open = true;
      target.scrollIntoView();
    }
  }

  for (const budget of document.querySelectorAll("[data-budget]")) slider(budget);
  const form = document.getElementById("pickers");
  if (form) pickers(form);
  const bar = document.getElementById("tabs");
  if (bar) tabs(bar);
  if (document.querySelector("details.run")) {
    window.addEventListener("hashchange", unfold);
    unfold();
  }
})();
