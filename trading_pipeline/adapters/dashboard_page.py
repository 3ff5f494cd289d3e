"""The HTML of the live page: one file, no script of elsewhere, legible on a phone."""

from html import escape
from string import Template

PORT, REPORT = 8710, "/report"  # where the page is, and below it the files of the report
REPORTS_PORT = 8711  # where `trading-pipeline ui` has those of all markets


def page(market: str, token: str, nonce: str) -> str:
    """The page of a market.

    Args:
        token: goes back with each word of the operator. nonce: of its style and script.
    """
    named = {"market": escape(market), "token": escape(token), "nonce": escape(nonce)}
    return Template(_PAGE).substitute(named)


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="market" content="$market">
<meta name="token" content="$token">
<title>$market: paper session</title>
<link rel="icon" href="data:,">
<style nonce="$nonce">
:root { color-scheme: light; --ink: #1d2733; --quiet: #5a6673; --rule: #e3e8ee; --amber: #8a5a10;
  --gain: #23744a; --loss: #b03a2e; --line: #0b5cad; --band: #dfe5ec; }
* { box-sizing: border-box; }
body { margin: 0; background: #f4f6f8; color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 16px 16px 48px; }
header { display: flex; flex-wrap: wrap; gap: 8px 16px; align-items: center; margin-bottom: 12px; }
h1 { font-size: 1.4rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 0 0 8px; }
.pill { border-radius: 99px; padding: 2px 12px; font-size: .875rem; font-weight: 600;
  color: #fff; background: var(--quiet); }
.good { background: var(--gain); }
.warn { background: var(--amber); }
.bad { background: var(--loss); }
.words { margin-left: auto; display: flex; gap: 8px; }
button { font: inherit; font-weight: 600; min-height: 44px; padding: 6px 18px; border-radius: 8px;
  border: 1px solid var(--quiet); background: #fff; color: var(--ink); cursor: pointer; }
button.halt { background: var(--loss); border-color: var(--loss); color: #fff; }
button:focus-visible, input:focus-visible { outline: 3px solid var(--line); outline-offset: 1px; }
#notice { background: #fdf0ee; border-left: 5px solid var(--loss); border-radius: 6px;
  padding: 8px 14px; margin: 0 0 12px; overflow-wrap: anywhere; }
section { background: #fff; border: 1px solid var(--rule); border-radius: 8px; padding: 14px 18px;
  margin: 0 0 12px; }
.tiles { display: grid; gap: 12px; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr));
  margin-bottom: 12px; }
.tile { background: #fff; border: 1px solid var(--rule); border-radius: 8px; padding: 10px 14px;
  display: flex; flex-direction: column; min-width: 0; }
.tile b { font-size: 1.35rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tile small, .quiet { color: var(--quiet); font-size: .82rem; overflow-wrap: anywhere; }
.two { display: grid; gap: 0 12px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); }
table { border-collapse: collapse; width: 100%; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 5px 6px; border-bottom: 1px solid var(--rule); }
th:first-child, td:first-child { text-align: left; }
th.words-of { text-align: left; }
td.words-of { text-align: left; overflow-wrap: anywhere; color: var(--quiet); }
ul { margin: 0; padding-left: 18px; } li { overflow-wrap: anywhere; margin: 2px 0; }
details { border-bottom: 1px solid var(--rule); padding: 5px 0; font-size: .9rem; }
summary { cursor: pointer; min-height: 32px; }
svg { display: block; width: 100%; height: 260px; }
svg text { font-size: 12px; fill: var(--quiet); }
dialog { border: 0; border-radius: 12px; padding: 20px; width: min(440px, calc(100vw - 32px));
  color: var(--ink); }
dialog::backdrop { background: rgb(20 30 40 / .55); }
dialog p { margin: 0 0 12px; } dialog h2 { font-size: 1.2rem; }
dialog input { font: inherit; width: 100%; min-height: 44px; padding: 6px 10px; margin-bottom: 12px;
  border: 1px solid var(--quiet); border-radius: 8px; }
dialog form { display: flex; flex-wrap: wrap; gap: 8px; justify-content: flex-end; }
@media (max-width: 600px) {
  main { padding: 10px 8px 32px; } section { padding: 10px 12px; }
  .words { margin-left: 0; width: 100%; } .words button { flex: 1; padding: 6px 4px; }
  .tiles { grid-template-columns: 1fr 1fr; gap: 8px; } .tile b { font-size: 1.1rem; }
  svg { height: 210px; }
}
</style>
</head>
<body>
<main>
<header>
  <h1>$market <span id="session" class="quiet"></span></h1>
  <span id="runs" class="pill">...</span>
  <span id="intent" class="pill">...</span>
  <span id="risk" class="pill">...</span>
  <span id="recipe" class="pill">...</span>
  <div class="words">
    <button id="resume" type="button">Resume</button>
    <button id="pause" type="button">Pause</button>
    <button id="halt" type="button" class="halt">Halt</button>
  </div>
</header>
<p id="notice" role="alert" hidden></p>
<div class="tiles">
  <div class="tile"><small>Equity</small><b id="equity">...</b><small id="made"></small></div>
  <div class="tile"><small>Drawdown</small><b id="drawdown">...</b>
    <small id="deepest"></small></div>
  <div class="tile"><small>Heartbeat</small><b id="heartbeat">...</b>
    <small id="holder"></small></div>
  <div class="tile"><small>Next bar opens</small><b id="next">...</b><small id="last"></small></div>
</div>
<section><h2>Equity against the backtest</h2>
  <svg id="chart" role="img" aria-label="equity, and the band that the backtest expects"></svg>
  <p class="quiet" id="legend"></p></section>
<div class="two">
  <section><h2>Positions</h2><div id="positions"></div></section>
  <section><h2>Open orders</h2><div id="orders"></div></section>
</div>
<section><h2>Risk</h2><div id="limits"></div></section>
<section><h2>Last decisions</h2><div id="decisions"></div></section>
</main>
<dialog id="ask">
  <h2 id="question"></h2><p id="meaning"></p>
  <form method="dialog">
    <input id="reason" placeholder="Why? It is kept with your word" maxlength="200"
      aria-label="reason" autocomplete="off">
    <button id="no" type="button">Cancel</button>
    <button id="yes" type="button"></button>
  </form>
</dialog>
<script nonce="$nonce">
"use strict";
const at = id => document.getElementById(id);
const [market, token] = ["market", "token"].map(
  name => document.querySelector("meta[name=" + name + "]").content);
const number = (x, digits = 2) => x == null ? "n/a" :
  x.toLocaleString("en-US", {minimumFractionDigits: digits, maximumFractionDigits: digits});
const units = x => x.toLocaleString("en-US", {maximumFractionDigits: 8});
const share = x => x == null ? "n/a" : number(100 * x) + " %";
const stamp = iso => iso ? iso.slice(0, 16).replace("T", " ") + " UTC" : "none";
const text = (id, value) => { at(id).textContent = value; };
const pill = (id, value, kind) => { text(id, value); at(id).className = "pill " + kind; };
function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 120) return s + " s";
  if (s < 7200) return Math.round(s / 60) + " min";
  return s < 172800 ? Math.round(s / 3600) + " h" : Math.round(s / 86400) + " days";
}
function make(name, content, kind) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (typeof content === "string") made.textContent = content;
  else made.append(...content);
  return made;
}
function table(heads, rows, words = -1) {
  if (!rows.length) return make("p", "none", "quiet");
  const cell = (value, n) => make("td", value, n === words ? "words-of" : "");
  return make("table", [
    make("thead", [make("tr", heads.map((head, n) =>
      make("th", head, n === words ? "words-of" : "")))]),
    make("tbody", rows.map(row => make("tr", row.map(cell))))]);
}
const order = o => o.side + " " + units(o.quantity) + " " + o.symbol +
  (o.type === "market" ? "" : " " + o.type + " " + number(o.limit_price ?? o.stop_price));
const why = o => (o.reasons || "aim") + (o.answer ? "; " + o.answer : "");

function decision(d) {
  const refused = {};
  for (const r of d.refused) (refused[r.rule] ??= []).push(r);
  const lines = d.orders.map(o => make("li", order(o) + ": " + why(o)));
  for (const [rule, rows] of Object.entries(refused)) {
    const {figure, limit} = rows[0];
    const shown = rows.length === 1 && typeof figure === "number" && typeof limit === "number" ?
      " (" + number(figure, 4) + ", limit " + number(limit, 4) + ")" : "";
    lines.push(make("li", "refused by " + rule + shown + ": " +
      rows.map(r => r.symbol).join(", ")));
  }
  const title = stamp(d.at) + ": " + d.orders.length + " orders" +
    (d.refused.length ? ", " + d.refused.length + " refused" : "") + (d.halted ? ", halted" : "");
  return [title, lines.length ? lines : [make("li", "nothing to do")]];
}

function shape(name, attributes, content = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = content;
  return made;
}
function draw(s) {
  const chart = at("chart"), width = chart.clientWidth, height = chart.clientHeight;
  const n = s.curve.length, left = 74, bottom = 22, all = [...s.curve, s.capital];
  if (s.band) all.push(...s.band.low, ...s.band.high);
  let low = Math.min(...all), high = Math.max(...all);
  const room = (high - low) * .04 || 1; low -= room; high += room;
  const x = k => left + (width - left - 8) * (n > 1 ? k / (n - 1) : .5);
  const y = v => (height - bottom) * (1 - (v - low) / (high - low));
  const path = values => values.map((v, k) => (k ? "L" : "M") + x(k).toFixed(1) + " " +
    y(v).toFixed(1)).join("");
  const parts = [];
  for (let tick = 0; tick < 4; tick++) {
    const v = low + room + (high - low - 2 * room) * tick / 3;
    parts.push(shape("line", {x1: left, x2: width, y1: y(v), y2: y(v), stroke: "#e3e8ee"}));
    parts.push(shape("text", {x: left - 6, y: y(v) + 4, "text-anchor": "end"}, number(v, 0)));
  }
  if (s.band && n > 1) {
    const back = s.band.low.map((v, k) => "L" + x(k).toFixed(1) + " " + y(v).toFixed(1));
    parts.push(shape("path", {d: path(s.band.high) + back.reverse().join("") + "Z",
      fill: "#dfe5ec"}));
    parts.push(shape("path", {d: path(s.band.middle), fill: "none", stroke: "#6b7785",
      "stroke-dasharray": "5 4"}));
  }
  parts.push(shape("path",
    {d: path(s.curve), fill: "none", stroke: "#0b5cad", "stroke-width": 2.5}));
  if (n) {
    parts.push(shape("text", {x: left, y: height - 5}, s.at[0].slice(0, 10)));
    parts.push(shape("text", {x: width - 8, y: height - 5, "text-anchor": "end"},
      s.at[n - 1].slice(0, 10)));
  }
  chart.replaceChildren(...parts);
  const place = s.band && n ? (s.curve[n - 1] < s.band.low[n - 1] ? "below" :
    s.curve[n - 1] > s.band.high[n - 1] ? "above" : "inside") : "";
  text("legend", s.band ? "blue: this account, " + place + " the band now; dashed: what the " +
    "backtest's mean return makes of the capital in as many bars; grey: where 95 % of accounts " +
    "with its mean and deviation are at each instant" :
    "no band: there is no backtest report of this market yet");
}

function show(s) {
  const runs = s.holder !== "";
  text("session", "session " + s.session);
  pill("runs", runs ? "runs" : "does not run", runs ? "good" : "bad");
  pill("intent", s.intent, {trading: "good", paused: "warn", halted: "bad"}[s.intent]);
  pill("risk", s.risk ? "risk: " + s.risk : "no decision yet",
    {active: "good", "reduce-only": "warn", halted: "bad"}[s.risk] ?? "");
  pill("recipe", "recipe: " + s.recipe, s.recipe.startsWith("proven") ? "good" : "warn");
  text("equity", number(s.equity));
  text("made", (s.equity < s.capital ? "\u2212" : "+") +
    share(Math.abs(s.equity / s.capital - 1)) + " of " + number(s.capital, 0));
  text("drawdown", share(s.drawdown));
  text("deepest", "deepest " + share(s.deepest) + " in " + s.bars + " bars");
  text("heartbeat", s.heartbeat == null ? "none" : span(s.heartbeat) + " ago");
  text("holder", runs ? s.holder : s.wanted);
  text("next", s.next_bar ? stamp(s.next_bar).slice(5, 16) : "none");
  text("last", "last one " + stamp(s.last_bar));
  at("positions").replaceChildren(table(["symbol", "quantity", "worth", "of equity"],
    s.positions.map(p => [p.symbol, units(p.quantity), number(p.value, 0),
      p.value == null ? "n/a" : share(p.value / s.equity)])));
  at("orders").replaceChildren(table(["order", "why"], s.orders.map(o => [order(o), why(o)]), 1));
  const limits = Object.entries(s.limits).map(([name, said]) =>
    make("li", name + ": " + said.replaceAll("%", "\\u00a0%")));
  const said = s.intent_said ? [make("p", "operator: " + s.intent + " " + s.intent_said)] : [];
  at("limits").replaceChildren(...said, limits.length ? make("ul", limits) :
    make("p", "no limit on the whole account acts", "quiet"));
  const open = new Set([...document.querySelectorAll("#decisions details[open]")].map(
    d => d.dataset.at));
  const newest = document.querySelector("#decisions details")?.dataset.at;
  const follow = !newest || (open.size === 1 && open.has(newest));  // nothing else was unfolded
  at("decisions").replaceChildren(...s.decisions.map((d, k) => {
    const [title, lines] = decision(d);
    const made = make("details", [make("summary", title), make("ul", lines)]);
    made.dataset.at = d.at;
    made.open = k === 0 ? follow || open.has(d.at) : open.has(d.at) && !(follow && d.at === newest);
    return made;
  }));
  draw(s);
}
function notice(said) { text("notice", said); at("notice").hidden = !said; }

let latest = null, answered = Date.now();
async function poll() {
  try {
    const answer = await fetch("state", {signal: AbortSignal.timeout(10000)});
    const state = await answer.json();
    if (state.error) throw new Error(state.error);
    latest = state; answered = Date.now();
    show(state);
    notice(state.holder ? "" : "No session trades this market now: " + state.wanted + ".");
  } catch (error) {
    notice("Not up to date for " + span((Date.now() - answered) / 1000) + ": " + error.message);
  }
  setTimeout(poll, 2000);
}
addEventListener("resize", () => latest && draw(latest));

const QUESTIONS = {
  halted: [
    ["Halt " + market + "?", "From its next decision on nothing is ordered, and what is " +
      "held stays, until you resume. A restart does not forget it. In a terminal, halt --flatten " +
      "closes what is held.", "Halt"],
    ["Really halt " + market + "?", "This is the second question. Your word is kept in the " +
      "ledger, with its reason.", "Yes, halt it now"]],
  paused: [["Pause " + market + "?", "The session does nothing, and keeps what it holds, until " +
    "you resume.", "Pause"]],
  trading: [["Let " + market + " trade?", "From the next decision on the session buys and sells " +
    "again, whatever halted it.", "Resume"]],
};
let word = "", asked = 0;
function ask() {
  const [question, meaning, yes] = QUESTIONS[word][asked];
  text("question", question); text("meaning", meaning); text("yes", yes);
  at("yes").className = word === "halted" ? "halt" : "";
  at("reason").hidden = asked !== QUESTIONS[word].length - 1;
  if (!at("ask").open) at("ask").showModal();
  at("no").focus();
}
function begin(intent) { word = intent; asked = 0; at("reason").value = ""; ask(); }
at("halt").onclick = () => begin("halted");
at("pause").onclick = () => begin("paused");
at("resume").onclick = () => begin("trading");
at("no").onclick = () => at("ask").close();
at("yes").onclick = async () => {
  if (++asked < QUESTIONS[word].length) return ask();
  at("ask").close();
  try {
    const answer = await fetch("intent", {method: "POST",
      headers: {"content-type": "application/json", "x-token": token},
      body: JSON.stringify({intent: word, reason: at("reason").value})});
    const said = await answer.json();
    if (said.error) throw new Error(said.error);
  } catch (error) { alert("Failed: " + error.message); }
};
at("ask").querySelector("form").onsubmit = event => event.preventDefault();
poll();
</script>
</body>
</html>
"""
