// A run that goes on: how far it is, from the server that these pages come from, and its answers as they come.
"use strict";

(() => {
  const EVERY = 2000; // milliseconds
  const bar = document.getElementById("live");
  let version = null;

  const made = (name, attributes, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };

  function show(status) {
    bar.hidden = false;
    bar.replaceChildren(...status.runs.map((run) => made("p", {},
      made("strong", {}, run.label), " ",
      made("progress", { max: run.wanted, value: run.there, "aria-label": `${run.label}: answers so far` }), " ",
      `${run.there.toLocaleString("en")} of ${run.wanted.toLocaleString("en")} answers${run.working ? "" : ", not at work"}`)));
    if (!status.runs.length) bar.append(made("p", {}, "Every run is complete."));
    if (version !== status.version) {
      const link = made("a", { href: "" }, "Show the new answers");
      link.addEventListener("click", (event) => {
        event.preventDefault();
        location.reload();
      });
      bar.append(made("p", {}, link));
    }
  }

  // Whoever reads an answer, or has begun to type, is not interrupted: there the link is enough.
  function busy() {
    const example = document.getElementById("example");
    const typing = document.activeElement && document.activeElement.closest("input, select, textarea");
    return (example && !example.hidden) || typing || document.querySelector("main details.fold[open]");
  }

  async function ask() {
    try {
      const response = await fetch("status.json", { cache: "no-store" });
      if (!response.ok) throw new Error(String(response.status));
      const status = await response.json();
      if (version === null) version = status.version;
      if (version !== status.version && !busy()) {
        location.reload();
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
