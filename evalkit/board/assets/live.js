// A run that goes on: how far it is, from the server that these pages come from, and its answers as they come.
"use strict";

(() => {
  const EVERY = 2000; // milliseconds
  const bar = document.getElementById("live");
  // Every state of the site has addresses of its own: /TOKEN/VERSION/PAGE.
  const [mine, page] = location.pathname.split("/").slice(-2);

  const made = (name, attributes, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };

  const next = (status) => `../${Number(status.version)}/${page}${location.hash}`;

  function show(status) {
    bar.hidden = false;
    bar.replaceChildren(...status.runs.map((run) => made("p", {},
      made("strong", {}, run.label), " ",
      made("progress", { max: run.wanted || 1, value: run.there, "aria-label": `${run.label}: answers so far` }), " ",
      `${run.there.toLocaleString("en")} of ${run.wanted ? run.wanted.toLocaleString("en") : "?"} answers${run.working ? "" : ", not at work"}`)));
    if (!status.runs.length) bar.append(made("p", {}, "Every run is complete."));
    if (mine !== String(status.version)) {
      bar.append(made("p", {}, made("a", { href: next(status) }, "Show the new answers")));
    }
  }

  // Whoever reads an answer, or has begun to type, is not interrupted: there the link is enough.
  function busy() {
    const example = document.getElementById("example");
    const typing = document.activeElement && document.activeElement.closest("input, select, textarea");
    const unfolded = document.querySelector("main details.fold[open], main details.run[open]");
    return (example && !example.hidden) || typing || unfolded || window.scrollY > 200;
  }

  async function ask() {
    try {
      const response = await fetch("status.json", { cache: "no-store" });
      if (!response.ok) throw new Error(String(response.status));
      const status = await response.json();
      if (mine !== String(status.version) && !busy()) {
        location.replace(next(status));
        return;
      }
      show(status);
    } catch {
      bar.hidden = false;
      bar.replaceChildren(made("p", {}, "The server has ended: what is shown is how far it got."));
      return;
    }
    setTimeout(ask, EVERY);
  }

  ask();
})();
