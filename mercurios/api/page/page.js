// The dashboard: asks the GraphQL API with the documents under operations/, and shows what it answers.
import { WORDS } from "./words.js";

const $ = (id) => document.getElementById(id);
const state = { token: sessionStorage.getItem("token"), locale: localStorage.getItem("language"), shop: null };
const documents = new Map();

class Refused extends Error {
  constructor(code, message) { super(message); this.code = code; }
}

// --- the API

async function documentOf(name) {
  if (!documents.has(name)) {
    documents.set(name, fetch(`/assets/operations/${name}.graphql`).then((answer) => answer.text()));
  }
  return documents.get(name);
}

async function ask(name, variables = {}) {
  const query = await documentOf(name);
  let answer;
  try {
    answer = await fetch("/graphql", {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${state.token}` },
      body: JSON.stringify({ query, variables }),
    });
  } catch { throw new Refused("OFFLINE", words().offline); }
  const body = await answer.json();
  if (answer.status === 401) { leave(words().expired); throw new Refused("UNAUTHENTICATED", words().expired); }
  if (body.errors) throw new Refused(body.errors[0].extensions?.code, body.errors[0].message);
  return body.data;
}

// --- words, numbers and days

const words = () => WORDS[state.locale] ?? WORDS.en;
const money = (value) => value == null ? "–" : new Intl.NumberFormat(state.locale, { style: "currency", currency: state.shop.currency, maximumFractionDigits: Math.abs(value) < 1000 ? 2 : 0 }).format(value);
const count = (value) => value == null ? "–" : new Intl.NumberFormat(state.locale, { maximumFractionDigits: Math.abs(value) < 100 ? 2 : 0 }).format(value);
const part = (value, sign = "auto") => value == null ? "–" : new Intl.NumberFormat(state.locale, { style: "percent", maximumFractionDigits: 1, signDisplay: sign }).format(value);
const day = (iso) => new Intl.DateTimeFormat(state.locale, { dateStyle: "medium", timeZone: "UTC" }).format(new Date(`${iso}T00:00:00Z`));
const plus = (iso, days) => new Date(Date.parse(`${iso}T00:00:00Z`) + days * 864e5).toISOString().slice(0, 10);

// --- elements

function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") made.addEventListener("click", value); else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

function table(heads, rows, numeric = []) {
  const cell = (tag, text, place) => make(tag, { ...(numeric.includes(place) && { class: "number" }), ...(tag === "th" && { scope: "col" }) }, text ?? "–");
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": heads.join(", ") }, make("table", {},
    make("thead", {}, make("tr", {}, ...heads.map((text, place) => cell("th", text, place)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((text, place) => cell("td", text, place)))))));
}

// A chart is as wide as its place, so it is drawn once that is in the page: see `fill`.
const waiting = new Map();

function pictured(spec, title, rows) {
  if (!spec) return [rows];
  const place = make("div", { class: "chart", role: "img", "aria-label": title });
  waiting.set(place, spec);
  return [place, make("details", {}, make("summary", {}, words().rows), rows)];
}

async function fill(id, work) {
  const place = $(id);
  place.setAttribute("aria-busy", "true");
  const notice = make("p", { class: "waiting" }, words().loading);
  place.replaceChildren(notice);
  let parts;
  try { parts = await work(); } catch (error) { parts = [problem(error)]; }
  if (!notice.isConnected) return; // asked again meanwhile: the later answer counts
  place.replaceChildren(...parts);
  for (const part of parts.filter((one) => waiting.has(one))) {
    await window.draw(part, waiting.get(part));
    waiting.delete(part);
  }
  place.removeAttribute("aria-busy");
}

function problem(error) {
  return make("p", { class: error.code === "FORBIDDEN" ? "note" : "error" }, error.code === "FORBIDDEN" ? words().forbidden : error.message);
}

const shown = (column, value) => value == null ? "–"
  : column === "metric_time" ? day(value)
  : typeof value !== "number" || column === "branch" ? String(value)
  : /margin|rate|share|growth|like_for_like/.test(column) ? part(value)
  : /revenue|profit|value|sales|receipt$|open_to_buy/.test(column) ? money(value) : count(value);

function rowsOf(result) {
  const numeric = result.columns.map((_, place) => place).filter((place) => result.rows.some((row) => typeof row[place] === "number" && result.columns[place] !== "branch"));
  return table(result.columns.map((name) => words()[name] ?? name), result.rows.map((row) => row.map((value, place) => shown(result.columns[place], value))), numeric);
}

// --- what the page shows

function period() {
  const days = Number($("period").value), to = state.shop.newest;
  const from = plus(to, 1 - days);
  return { from, to, beforeFrom: plus(from, -days), beforeTo: plus(from, -1), grain: days > 91 ? "WEEK" : "DAY", locale: state.locale };
}

function figure(name, now, before, show) {
  const change = before ? now / before - 1 : null;
  const points = name === "gross_margin" && before != null ? now - before : null;
  const moved = points ?? change;
  const text = points != null ? words().points(new Intl.NumberFormat(state.locale, { maximumFractionDigits: 1, signDisplay: "exceptZero" }).format(points * 100))
    : change == null ? "" : part(change, "exceptZero");
  const way = moved > 0.0005 ? "up" : moved < -0.0005 ? "down" : "";
  return make("div", {}, make("dt", {}, words()[name]), make("dd", {}, show(now)), make("dd", { class: `change ${way}` }, text || "–"));
}

async function showFigures(span, sales) {
  const names = ["revenue", "receipts", "average_receipt", "units"], shows = [money, count, money, count];
  const { now, before } = await sales;
  const own = names.map((name, place) => figure(name, now.rows[0]?.[place], before.rows[0]?.[place], shows[place]));
  $("figures").replaceChildren(...own);
  $("compared").textContent = words().compared(day(span.from), day(span.to), day(span.beforeFrom), day(span.beforeTo));
  if (state.shop.role === "VIEWER") return;
  const { locale: _, grain: __, ...days } = span;
  const margin = await ask("margin", days);
  if (!own[0].isConnected) return; // asked again meanwhile
  $("figures").append(...[["gross_margin", part], ["gross_profit", money]].map(([name, show], place) => figure(name, margin.now.rows[0]?.[place], margin.before.rows[0]?.[place], show)));
}

async function showForecast() {
  const { forecast, forecastBacktest } = await ask("forecast", { locale: state.locale });
  const sum = forecast.points.reduce((all, point) => all + point.mean, 0);
  const champion = forecastBacktest.find((one) => one.role === "CHAMPION");
  const rows = table([words().day, words().expected, words().low, words().high], forecast.points.map((point) => [day(point.date), money(point.mean), money(point.lo80), money(point.hi80)]), [1, 2, 3]);
  const said = [words().forecastSaid(money(sum), null, null, forecast.model)];
  if (champion?.skill > 0) said.push(words().skill(part(champion.skill)));
  return [make("p", {}, said.join(" ")), ...pictured(forecast.chart, words().forecast, rows)];
}

async function showOrders() {
  const { reorderProposals: found } = await ask("orders", { locale: state.locale });
  if (!found.proposals.length) return [make("p", { class: "note" }, words().nothing)];
  const heads = ["article", "branch", "supplier", "quantity", "value", "stock", "why"].map((name) => words()[name]);
  const rows = found.proposals.map((one) => [one.label ?? one.article, one.branch ?? words().all, one.supplier, count(one.orderQuantity), money(one.orderValue), count(one.onHand), one.reasonText]);
  return [make("p", {}, words().ordersSaid(count(found.matches), money(found.orderValue))), table(heads, rows, [3, 4, 5])];
}

async function sqlOf(query) {
  try {
    const { metrics } = await ask("computed", query);
    return make("pre", { tabindex: "0", "aria-label": "SQL" }, metrics.sql);
  } catch (error) { return problem(error); }
}

// Whether an answer helped, for those who look after the definitions.
function rating(answer) {
  const said = make("span", { role: "status" });
  const button = (isHelpful, text) => make("button", { type: "button", onclick: async () => {
    try { await ask("rate", { answer: answer.id, isHelpful }); said.textContent = words().thanks; } catch (error) { said.textContent = error.message; }
  } }, text);
  return make("p", { class: "rating" }, words().helpful, " ", button(true, words().yes), button(false, words().no), said);
}

async function showState() {
  const { freshness, dataQuality } = await ask("state");
  const kept = freshness.find((one) => one.promise)?.promise.isKept;
  const rows = freshness.map((one) => [words()[one.subject] ?? one.subject, one.newestOn && day(one.newestOn), count(one.records)]);
  const broken = dataQuality.map((one) => [one.statement ?? one.rule, count(one.breaches)]);
  const parts = [make("p", {}, kept === false ? words().late : words().inTime), table([words().data, words().upTo, words().records], rows, [2])];
  if (broken.length) parts.push(make("details", {}, make("summary", {}, words().brokenRules(count(broken.length))), table([words().rule, words().breaches], broken, [1])));
  return parts;
}

async function showAnswer(question) {
  await fill("answer", async () => {
    const { ask: answer } = await ask("ask", { question, locale: state.locale });
    const how = make("details", {}, make("summary", {}, words().how),
      make("p", {}, `${words().sources}: ${answer.sources.join("; ") || "–"}`),
      make("pre", { tabindex: "0" }, JSON.stringify(answer.query, null, 2)), make("p", { class: "note" }, words().stand(answer.release)));
    if (state.shop.role !== "VIEWER") how.addEventListener("toggle", async () => how.append(await sqlOf(answer.query)), { once: true });
    const said = make("p", { class: "said" }, answer.text);
    if (!answer.columns) return [said, answer.query ? how : null, rating(answer)].filter(Boolean);
    return [said, ...pictured(answer.chart, answer.text, rowsOf(answer)), how, rating(answer)];
  });
}

function showAll() {
  const span = period(), sales = ask("sales", span);
  sales.catch(() => {});
  showFigures(span, sales).catch((error) => $("figures").append(problem(error)));
  for (const [id, title] of [["trend", "trend"], ["branches", "branches"], ["categories", "categories"]]) {
    fill(id, async () => {
      const result = (await sales)[id];
      const rows = rowsOf({ columns: result.columns ?? ["metric_time", "revenue"], rows: result.rows });
      return pictured(result.chart, words()[title], rows);
    });
  }
  fill("risks", async () => {
    const { risks } = await ask("risks");
    return [table([words().category, words().risk, words().articles], risks.rows.map(([name, ...numbers]) => [name, ...numbers.map(count)]), [1, 2])];
  });
  fill("state", showState);
  fill("forecast", showForecast);
  fill("orders", showOrders);
}

// --- signing in and out, language

function speak() {
  document.documentElement.lang = state.locale;
  for (const one of document.querySelectorAll("[data-text]")) one.textContent = words()[one.dataset.text];
  $("examples").replaceChildren(...words().examples.map((text) => make("li", {}, make("button", { type: "button", onclick: () => { $("question").value = text; showAnswer(text); } }, text))));
  $("language").value = state.locale;
  if (!state.shop) return;
  const { tenant, newest } = state.shop, old = Math.floor((Date.parse(tenant.release.asOf) - Date.parse(`${newest}T00:00:00Z`)) / 864e5);
  $("shop").textContent = tenant.name;
  document.title = `${tenant.name} – Mercurios`;
  $("freshness").textContent = old > 3 ? words().stale(day(newest), count(old)) : words().fresh(day(newest));
  $("release").textContent = words().release(tenant.release.id, new Intl.DateTimeFormat(state.locale, { dateStyle: "medium", timeStyle: "short" }).format(new Date(tenant.release.at)));
}

async function enter() {
  const found = await ask("shop");
  state.shop = { tenant: found.tenant, currency: found.tenant.currency, role: found.tenant.role, newest: found.newest.rows[0]?.[0] };
  state.locale ??= found.tenant.locale.startsWith("de") ? "de" : "en";
  $("enter").hidden = true; $("board").hidden = false; $("controls").hidden = false;
  speak();
  showAll();
}

function leave(why = "") {
  sessionStorage.removeItem("token");
  state.token = null; state.shop = null;
  $("board").hidden = true; $("controls").hidden = true; $("enter").hidden = false;
  $("enter-error").textContent = why;
  $("token").focus();
}

$("enter").addEventListener("submit", async (event) => {
  event.preventDefault();
  state.token = $("token").value.trim();
  $("token").value = "";
  try { await enter(); sessionStorage.setItem("token", state.token); } catch (error) { leave(error.message); }
});
$("ask").addEventListener("submit", (event) => { event.preventDefault(); showAnswer($("question").value); });
$("leave").addEventListener("click", () => leave());
$("period").addEventListener("change", showAll);
$("language").addEventListener("change", (event) => { state.locale = event.target.value; localStorage.setItem("language", state.locale); speak(); showAll(); $("answer").replaceChildren(); });

// `mercurios up` prints a link that carries a token after the #, where no server sees it.
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) { state.token = given; sessionStorage.setItem("token", given); history.replaceState(null, "", location.pathname); }
if (!state.locale && !state.token) state.locale = navigator.language.startsWith("de") ? "de" : "en";
speak();
if (state.token) enter().catch((error) => leave(error.message)); else leave();
