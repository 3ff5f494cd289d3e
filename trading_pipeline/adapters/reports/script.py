"""What a page does by itself: it draws its charts once its text is there, by day and by night.

Plotly and the charts are packed, so that a report stays small enough to be sent by mail; every
browser since 2023 unpacks them. Nothing is asked of the network.
"""

import json
import zlib
from base64 import b85encode
from functools import cache

from trading_pipeline.adapters.reports.charts.palette import NIGHT

# The alphabet of `base64.b85encode`, but for what means something in HTML. Five of its letters
# are four bytes; of base64 they would be five and a third.
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%.()*+-;,=:?@^_`{|}~"
_SAFE = str.maketrans("&<>", ".,:")


def packed(text: str) -> str:
    """A text in about a third of its bytes, as the script below unpacks it."""
    return b85encode(zlib.compress(text.encode(), 9)).decode("ascii").translate(_SAFE)


@cache
def plotly_script() -> str:
    """plotly.js, packed and not yet run."""
    from plotly.offline import get_plotlyjs

    return f'<script type="text/plain" id="plotly">{packed(get_plotlyjs())}</script>'


def script() -> str:
    """The page's own script, to stand at its end."""
    return (
        f"<script>\nconst night = {json.dumps(NIGHT)};\n"
        f"const alphabet = {json.dumps(ALPHABET)};\n{_SCRIPT}</script>"
    )


_SCRIPT = """const root = document.documentElement;
const charts = [...document.querySelectorAll("[data-figure]")];
const darkScreen = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : darkScreen.matches;
const places = new Uint8Array(128);
[...alphabet].forEach((letter, place) => places[letter.charCodeAt(0)] = place);
const unpack = async text => {
  const bytes = new Uint8Array(4 * Math.ceil(text.length / 5));
  for (let k = 0, at = 0; k < text.length; k += 5) {
    let number = 0;
    for (let j = k; j < k + 5; j++)
      number = 85 * number + (j < text.length ? places[text.charCodeAt(j)] : 84);
    for (const shift of [24, 16, 8, 0]) bytes[at++] = number >>> shift;
  }
  const whole = bytes.subarray(0, Math.floor(4 * text.length / 5));
  const stream = new Blob([whole]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).text();
};
const coloured = text => {
  if (isDark()) for (const [day, dark] of Object.entries(night)) text = text.replaceAll(day, dark);
  return JSON.parse(text);
};
const drawn = new Map();  // chart -> whether it is drawn dark
const draw = async chart => {
  if (drawn.get(chart) === isDark()) return;
  drawn.set(chart, isDark());
  const {data, layout} = coloured(await unpack(chart.dataset.figure));
  if (matchMedia("(pointer: fine)").matches) layout.dragmode = "zoom";
  await Plotly.react(chart, data, layout, {responsive: true, displayModeBar: false});
};
const drawAll = async () => {
  const screen = chart => chart.getBoundingClientRect().top < innerHeight ? 0 : 1;
  for (const chart of [...charts].sort((a, b) => screen(a) - screen(b))) {
    await draw(chart);
    await new Promise(done => setTimeout(done));  // the page stays alive between two charts
  }
};
const start = async () => {
  if (!charts.length) return;
  if (!window.DecompressionStream) {
    charts.forEach(chart => chart.textContent = "This browser is too old to draw the chart.");
    return;
  }
  const code = document.createElement("script");
  code.textContent = await unpack(document.getElementById("plotly").textContent);
  document.head.append(code);
  await drawAll();
  performance.mark("drawn");
  root.dataset.drawn = "all";
};
requestAnimationFrame(() => setTimeout(start));  // the text is painted first

const button = document.getElementById("theme");
const name = () => button.textContent = isDark() ? "Light" : "Dark";
const stored = () => { try { return localStorage.theme; } catch { return undefined; } };
if (stored()) root.dataset.theme = stored();
name();
const changed = () => { name(); if (window.Plotly) drawAll(); };
darkScreen.addEventListener("change", changed);
button.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  try { localStorage.theme = root.dataset.theme; } catch { /* a file without storage */ }
  changed();
});

document.querySelectorAll(".wide").forEach(wide => {
  const hint = () => wide.parentElement.classList.toggle(
    "more", wide.scrollWidth - wide.clientWidth - wide.scrollLeft > 2);
  wide.addEventListener("scroll", hint, {passive: true});
  new ResizeObserver(hint).observe(wide);
});

document.querySelectorAll("table.sortable").forEach(table => {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const value = (row, place) => {
    const cell = row.cells[place], number = parseFloat(cell.dataset.value);
    return cell.dataset.value === undefined ? cell.textContent : number;
  };
  heads.forEach((head, place) => head.querySelector("button")?.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") !== "descending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const order = (a, b) => {
      const [x, y] = [value(a, place), value(b, place)];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      return (down ? -1 : 1) * (typeof x === "string" ? -x.localeCompare(y) : x - y);
    };
    body.append(...[...body.rows].sort(order));
  }));
});
"""
