// One example: what was asked, the gold answer, and what each model said, with the extracted span marked.
"use strict";

// A prompt's lines, those of a table ("a | b | c") as a table: the same text, easier to read.
function promptText(text) {
  const made = [];
  let plain = [];
  let cells = [];
  const flush = () => {
    if (plain.length) made.push(element("p", { dir: "auto" }, plain.join("\n").replace(/^\n+|\n+$/g, "")));
    if (cells.length) {
      made.push(element("div", { class: "box" }, element("table", {}, element("tbody", {},
        ...cells.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, cell))))))));
    }
    plain = [];
    cells = [];
  };
  const lines = text.split("\n").map((line) => [line, line.split(" | ")]);
  lines.forEach(([line, parts], at) => {
    const near = [lines[at - 1], lines[at + 1]].some((other) => other && other[1].length === parts.length);
    const inTable = parts.length > 1 && near;
    if (inTable ? plain.length : cells.length) flush();
    if (inTable) cells.push(parts);
    else plain.push(line);
  });
  flush();
  return made;
}

function promptDetails(prompt, texts, label) {
  return element("details", { open: "" }, element("summary", {}, label),
    element("div", { class: "prompt" },
      ...prompt.map(([role, text]) => element("section", {}, element("h3", { class: "role" }, role), ...promptText(texts[text])))));
}

function verdictOf(answer, rule) {
  return answer.verdicts.find((verdict) => verdict[0] === rule);
}

function outputText(answer, verdict) {
  if (answer.text === null) return [element("p", { class: "none" }, answer.error ? `no output: ${answer.error}` : "no output")];
  const span = verdict && verdict[4];
  const body = element("pre", { tabindex: "0", dir: "auto" });
  if (span) {
    body.append(answer.text.slice(0, span[0]), element("mark", {}, answer.text.slice(span[0], span[1])), answer.text.slice(span[1]));
  } else {
    body.append(answer.text);
  }
  return [body];
}

function facts(answer) {
  const number = (value, unit) => (value === null ? null : `${value.toLocaleString("en")} ${unit}`);
  return [
    answer.finish && `finish: ${answer.finish}`,
    number(answer.tokens, "tokens"),
    number(answer.promptTokens, "prompt tokens"),
    answer.abandoned ? "right, then abandoned" : null,
  ].filter(Boolean).join(" · ");
}

function outputCard(answer, runs, rule, prompts, side) {
  const verdict = verdictOf(answer, rule);
  const [, code, failure, extracted, , note] = verdict || [];
  const label = runs[answer.run].label;
  return element("section", { class: "output", "aria-label": `Output of ${label}` },
    element("h3", {}, verdictMark(code), " ", side ? `${side}: ` : "", element("a", { href: `record.html#${runs[answer.run].anchor}` }, label)),
    element("p", { class: "verdict" }, verdict ? failure.replaceAll("_", " ") : "this rule does not apply", note ? `: ${note}` : ""),
    answer.reason ? element("p", { class: "reason", dir: "auto" }, answer.reason) : "",
    element("p", { class: "extracted" }, "extracted ", extracted ? element("code", { dir: "auto" }, extracted) : "nothing"),
    ...outputText(answer, verdict),
    element("p", { class: "note" }, facts(answer), prompts > 1 ? ` · prompt ${answer.prompt + 1}` : ""));
}

function rulesTable(answers, runs, rules) {
  const used = rules.map((name, number) => number).filter((number) => answers.some((answer) => verdictOf(answer, number)));
  const row = (number) => element("tr", {}, element("th", { scope: "row" }, element("code", {}, rules[number])),
    ...answers.map((answer) => {
      const verdict = verdictOf(answer, number);
      const extracted = verdict && verdict[3];
      return element("td", {}, verdictMark(verdict && verdict[1]), " ",
        extracted ? element("code", { dir: "auto" }, extracted.length > 40 ? extracted.slice(0, 40) + "…" : extracted) : "");
    }));
  return element("div", { class: "box", role: "region", "aria-label": "Verdict of every rule", tabindex: "0" },
    element("table", {}, element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Rule"),
      ...answers.map((answer) => element("th", { scope: "col" }, runs[answer.run].label)))),
      element("tbody", {}, ...used.map(row))));
}

function ruleChoice(rules, chosen, onChange) {
  const select = element("select", { id: "rule-here" }, element("option", { value: -1 }, "the one that counts"),
    ...rules.map((name, number) => element("option", { value: number }, name)));
  select.value = chosen;
  select.addEventListener("change", () => onChange(Number(select.value)));
  return element("label", {}, "Rule ", select);
}

// `around` has the links to the list and to the neighbours in it; `chosen` what the filters are, `counts` the
// rule that counts for each run. What is hidden has no places to scroll to: the article must be shown by then.
function showExample(place, item, content, index, chosen, counts, around, onRule) {
  const [id, turn, sample, gold, question, printed] = item;
  const example = content.items[place];
  const first = [chosen.a, chosen.b];
  const rank = (answer) => (first.includes(answer.run) ? first.indexOf(answer.run) : first.length);
  const answers = [...example.answers].sort((x, y) => rank(x) - rank(y) || x.run - y.run);
  const ruleOf = (answer) => (chosen.rule < 0 ? counts[answer.run] : chosen.rule);
  const sideOf = (answer) => (index.runs.length < 2 ? "" : answer.run === chosen.a ? "A" : answer.run === chosen.b ? "B" : "");
  const prompts = example.prompts.map((prompt, number) =>
    promptDetails(prompt, content.texts, example.prompts.length > 1 ? `Prompt ${number + 1}` : "Prompt"));
  const name = [around.benchmark, id, turn === null ? null : `turn ${turn}`, sample ? `sample ${sample}` : null];
  const fact = (key, value, className = "") => element("div", { class: className }, element("dt", {}, key), element("dd", { dir: "auto" }, value));
  const article = document.getElementById("example");
  article.replaceChildren(
    element("nav", { class: "pager", "aria-label": "Answers" }, element("p", {}, around.back),
      element("p", {}, element("span", { class: "keys" }, "k, j: previous, next · Esc: list"), around.where, around.previous, " ", around.next)),
    element("p", { class: "path" }, name.filter(Boolean).join(" · ")),
    element("div", { class: "asked" },
      element("h1", { tabindex: "-1", dir: "auto" }, question || id),
      element("dl", { class: "facts" },
        fact("gold", printed || gold, "gold"),
        ...(printed && printed !== gold ? [fact("as a value", gold)] : []),
        ...example.facets.map(([key, value]) => fact(key.replaceAll("_", " "), value)))),
    element("div", { class: "filters" }, ruleChoice(index.rules, chosen.rule, onRule)),
    element("div", { class: "outputs" }, ...answers.map((answer) => outputCard(answer, index.runs, ruleOf(answer), example.prompts.length, sideOf(answer)))),
    ...prompts,
    element("details", { class: "fold" }, element("summary", {}, "Every rule"), rulesTable(answers, index.runs, index.rules)));
  // The answer is mostly at the end of a long trace: show it, with some of what leads to it.
  for (const mark of article.querySelectorAll("pre mark")) {
    mark.parentElement.scrollTop = mark.offsetTop - mark.parentElement.clientHeight / 2;
  }
}
