// From answers of the API to the page. Text goes in as text nodes only: nothing is ever parsed as HTML.

const byId = (id) => document.getElementById(id);
const percent = (share) => `${Math.round(100 * share)}%`;
const STEPS = 10;

let characters = []; // of each hit, by code point, as the API counts
let pinned = null; // the word that a click keeps marked

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export function busy(is) {
  document.body.setAttribute("aria-busy", String(is));
  byId("status").textContent = is ? "Searching …" : "";
}

export function showInfo(info) {
  byId("about").textContent = `${info.passages.toLocaleString("en")} passages in ${info.name}`;
}

export function showSettings(settings) {
  byId("threshold-value").textContent = settings.threshold === null ? "automatic" : settings.threshold.toFixed(2);
  byId("budget-value").textContent = settings.max_tokens === null ? "no limit" : `${settings.max_tokens} tokens`;
}

export function showHits(found) {
  pinned = null;
  characters = found.hits.map((hit) => Array.from(hit.text));
  document.title = `${found.query} · fgr`;
  const count = found.hits.length;
  const passages = count === 1 ? "1 passage" : `${count || "No"} passages`;
  byId("status").textContent = `${passages} found in ${found.ms.toFixed(0)} ms`;
  byId("found").hidden = !count;
  byId("words").replaceChildren(...found.words.map(wordButton));
  byId("hits").replaceChildren(...found.hits.map(article));
}

export function showTrim(found, result) {
  hideTip();
  found.hits.forEach((hit, place) => showKept(found, place, result.hits[place]));
  showCounts(result);
  showSupport(result);
  byId("context-text").textContent = result.context;
  byId("copied").textContent = "";
  mark(pinned);
}

function showCounts({ tokens_before: before, tokens_after: after, report }) {
  const share = before ? Math.max(0, 1 - after / before) : 0;
  byId("share").textContent = percent(share);
  byId("share-of").textContent = "of the tokens saved";
  byId("bar").style.setProperty("--kept-share", String(1 - share));
  const mass = `${percent(report.mass_kept)} of the evidence kept`;
  byId("counts").textContent = `${before} tokens before, ${after} after, ${mass}`;
  byId("weak").hidden = !report.weak;
  byId("weak").textContent = "The evidence is weak: try other words.";
}

function showSupport({ hits, report }) {
  const missing = report.uncovered.join(", ");
  byId("uncovered").textContent = missing ? `Nothing kept supports ${missing}.` : "Point at a word for its spans.";
  const spans = hits.flatMap((hit) => hit.spans);
  for (const button of byId("words").querySelectorAll("button")) {
    const count = spans.filter((span) => span.words.includes(Number(button.dataset.word))).length;
    const uncovered = report.uncovered.includes(button.dataset.text);
    button.classList.toggle("uncovered", uncovered);
    button.lastChild.textContent = count || "";
    const supports = count === 1 ? "1 span supports it" : `${count || "no"} spans support it`;
    button.setAttribute("aria-label", `${button.dataset.text}: ${uncovered ? "nothing kept supports it" : supports}`);
  }
}

// Words without a meaning of their own support nothing: they only make the question readable.
function wordButton(word, number) {
  if (!word.content) return element("li", {}, word.text);
  const attributes = { type: "button", "aria-pressed": "false", "data-word": number, "data-text": word.text };
  return element("li", {}, element("button", attributes, word.text, element("small")));
}

function article(hit, place) {
  const head = element("h2", { id: `hit-${place}` }, element("span", { class: "rank" }, `${hit.rank}`), " ");
  head.append(element("bdi", {}, hit.title));
  const rows = [["id", hit.id], ...Object.entries(hit.metadata)].map(([key, value]) =>
    element("div", {}, element("dt", {}, key), element("dd", {}, typeof value === "string" ? value : JSON.stringify(value)))
  );
  return element(
    "article",
    { "aria-labelledby": `hit-${place}` },
    head,
    element("p", { class: "facts soft", id: `facts-${place}` }),
    element("div", { class: "text", dir: "auto", id: `text-${place}` }),
    element(
      "details",
      {},
      element("summary", {}, "Offsets and metadata"),
      element("ol", { class: "offsets", id: `offsets-${place}` }),
      element("dl", {}, ...rows)
    )
  );
}

function showKept(found, place, kept) {
  const hit = found.hits[place];
  const share = kept.spans.length ? `kept ${percent(kept.kept)}` : `kept nothing: ${kept.reason}`;
  byId(`facts-${place}`).textContent = `score ${hit.score.toFixed(2)}, ${share}`;
  byId(`text-${place}`).replaceChildren(...pieces(hit, kept.spans, characters[place], found.words));
  byId(`offsets-${place}`).replaceChildren(
    ...kept.spans.map((span) => element("li", {}, `${span.start}–${span.end}: ${says(span, found.words)}`))
  );
}

const says = (span, words) => {
  const names = span.words.map((word) => words[word].text).join(", ");
  return `evidence ${percent(span.score)}${names && `, supports ${names}`}`;
};

// The text in order: stretches between spans, and spans as marks that can be focused.
function* pieces(hit, spans, text, words) {
  const tokens = { all: hit.tokens, next: 0 };
  let end = 0;
  for (const span of spans) {
    yield* heated(text, end, span.start, tokens);
    const attributes = { role: "group", tabindex: 0, "aria-label": says(span, words), "data-words": span.words.join(" ") };
    yield element("mark", attributes, ...heated(text, span.start, span.end, tokens));
    end = span.end;
  }
  yield* heated(text, end, text.length, tokens);
}

// The characters from `start` to `end`, tokens coloured by their evidence.
function* heated(text, start, end, tokens) {
  let place = start;
  const slice = (until) => text.slice(place, until).join("");
  while (tokens.next < tokens.all.length && tokens.all[tokens.next][0] < end) {
    const [from, to, probability, word] = tokens.all[tokens.next];
    if (from > place) {
      yield slice(from);
      place = from;
    }
    const until = Math.min(to, end);
    const step = Math.min(Math.floor(probability * STEPS), STEPS - 1);
    if (until > place && step > 0) {
      const attributes = word === null ? {} : { "data-word": word };
      yield element("span", { class: `h${step}`, ...attributes }, slice(until));
    } else {
      yield slice(until);
    }
    place = Math.max(place, until);
    if (to > end) return; // the rest of the token lies in the next piece
    tokens.next += 1;
  }
  yield slice(end);
}

// Mark what supports a word; null takes the marks away.
function mark(word) {
  for (const one of byId("hits").querySelectorAll("mark")) {
    one.classList.toggle("supports", word !== null && one.dataset.words.split(" ").includes(word));
  }
  for (const one of byId("hits").querySelectorAll("[data-word]")) one.classList.toggle("match", one.dataset.word === word);
}

// Show which words a span supports: beside it, and among the words.
function showTip(span) {
  const tip = byId("tip");
  const supported = span.dataset.words.split(" ");
  tip.textContent = span.getAttribute("aria-label");
  tip.hidden = false;
  const box = span.getClientRects()[0];
  const left = Math.min(box.left, document.documentElement.clientWidth - tip.offsetWidth - 8);
  const above = box.top - tip.offsetHeight - 6;
  tip.style.left = `${Math.max(8, left) + scrollX}px`;
  tip.style.top = `${(above < 0 ? span.getBoundingClientRect().bottom + 6 : above) + scrollY}px`;
  for (const button of byId("words").querySelectorAll("button")) {
    button.classList.toggle("on", supported.includes(button.dataset.word));
  }
}

function hideTip() {
  byId("tip").hidden = true;
  for (const button of byId("words").querySelectorAll(".on")) button.classList.remove("on");
}

function pin(button) {
  pinned = pinned === button.dataset.word ? null : button.dataset.word;
  for (const one of byId("words").querySelectorAll("button")) {
    one.setAttribute("aria-pressed", String(one.dataset.word === pinned));
  }
  mark(pinned);
}

export function listen() {
  const [words, hits] = [byId("words"), byId("hits")];
  const on = (area, selector, enter, leave) => {
    for (const [type, act] of [["mouseover", enter], ["focusin", enter], ["mouseout", leave], ["focusout", leave]]) {
      area.addEventListener(type, (event) => {
        const target = event.target.closest(selector);
        if (target) act(target);
      });
    }
  };
  on(words, "button", (button) => mark(button.dataset.word), () => mark(pinned));
  on(hits, "mark", showTip, hideTip);
  words.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) pin(button);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hideTip();
  });
}
