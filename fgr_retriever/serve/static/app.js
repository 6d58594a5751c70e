// What the user does, and what the server answers. How it looks is in view.js.

import * as view from "./view.js";

const byId = (id) => document.getElementById(id);
const [query, k, error] = ["query", "k", "error"].map(byId);
const [threshold, thresholdAuto] = ["threshold", "threshold-auto"].map(byId);
const [budget, budgetNone, unit] = ["budget", "budget-none", "unit"].map(byId);

let found = null; // the last answer of /api/search
let trimming = false; // a trim is under way
let stale = false; // the settings changed since it was sent
let asked = 0; // searches so far: an answer that comes late is not shown

async function ask(path, body) {
  const options = body && {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  const response = await fetch(path, options).catch(() => {
    throw new Error("The server does not answer. Is fgr serve running?");
  });
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.detail || answer.title), { status: response.status });
  return answer;
}

const settings = () => ({
  threshold: thresholdAuto.checked ? null : Number(threshold.value) / 100,
  max_tokens: budgetNone.checked ? null : Number(budget.value),
  unit: unit.value,
  on_empty: "drop",
});

function fail(problem) {
  error.textContent = problem.message;
  error.hidden = false;
}

async function search() {
  const number = ++asked;
  const question = query.value.trim();
  if (!question) return;
  error.hidden = true;
  view.busy(true);
  try {
    const answer = await ask("/api/search", { query: question, k: Number(k.value), trim: settings() });
    if (number !== asked) return;
    found = answer;
    history.replaceState(null, "", `?${new URLSearchParams({ q: question, k: k.value })}`);
    budget.max = Math.max(found.result.tokens_before, 1);
    if (budgetNone.checked) budget.value = budget.max;
    view.busy(false);
    view.showHits(found);
    view.showTrim(found, found.result);
  } catch (problem) {
    if (number !== asked) return;
    view.busy(false);
    fail(problem);
  }
}

// One trim is on its way at a time; what changed meanwhile goes with the next.
async function trim() {
  view.showSettings(settings());
  stale = true;
  if (trimming || !found) return;
  trimming = true;
  try {
    while (stale) {
      stale = false;
      const of = found;
      const result = await ask("/api/trim", { search: of.search, trim: settings() });
      if (of === found) view.showTrim(found, result);
    }
    error.hidden = true;
  } catch (problem) {
    if (problem.status === 404) search(); // the server forgot this search
    else fail(problem);
  } finally {
    trimming = false;
  }
}

async function copy() {
  try {
    await navigator.clipboard.writeText(byId("context-text").textContent);
    byId("copied").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(byId("context-text")); // browsers allow the clipboard to safe origins only
    byId("copied").textContent = "Selected: press Ctrl+C";
  }
}

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
k.addEventListener("change", () => found && search());
byId("trim").addEventListener("submit", (event) => event.preventDefault());
threshold.addEventListener("input", () => {
  thresholdAuto.checked = false;
  trim();
});
budget.addEventListener("input", () => {
  budgetNone.checked = false;
  trim();
});
for (const control of [thresholdAuto, budgetNone, unit]) control.addEventListener("change", trim);
byId("copy").addEventListener("click", copy);
view.listen();
view.showSettings(settings());

if (matchMedia("(max-width: 60rem)").matches) byId("context").open = false;
ask("/api/info").then(view.showInfo, fail);
const start = new URLSearchParams(location.search);
if (start.has("q")) {
  query.value = start.get("q");
  if ([...k.options].some((option) => option.value === start.get("k"))) k.value = start.get("k");
  search();
}
