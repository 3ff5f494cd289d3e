"""The style of the pages: few rules, by day and by night."""

from trading_pipeline.adapters.reports.charts.palette import (
    AMBER,
    GAIN,
    INK,
    LOSS,
    NEUTRAL,
    PAPER,
    RULE,
    STRATEGY,
    variable,
    variables,
)

_ROLES = {
    "paper": PAPER,
    "ink": INK,
    "neutral": NEUTRAL,
    "rule": RULE,
    "amber": AMBER,
    "gain": GAIN,
    "loss": LOSS,
    "strategy": STRATEGY,
}


def _theme(night: bool) -> str:
    """The variables of one theme."""
    own = (
        "color-scheme: dark; --quiet: #a9b4bf; --page: #0d1117; --raised: #1d242d;"
        if night
        else "color-scheme: light; --quiet: #5a6673; --page: #f4f6f8; --raised: #f7f9fb;"
    )
    return f"{own} {variables(night)}"


def style() -> str:
    """All of it; a page says `data-theme` on its root where its reader chose one."""
    roles = " ".join(f"--{name}: {variable(colour)};" for name, colour in _ROLES.items())
    return f""":root {{ {_theme(night=False)} {roles} }}
@media screen and (prefers-color-scheme: dark) {{
:root:not([data-theme="light"]) {{ {_theme(night=True)} }} }}
@media screen {{ :root[data-theme="dark"] {{ {_theme(night=True)} }} }}
{_RULES}"""


_RULES = """* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 20px 16px 48px; }
header { margin: 0 0 16px; }
header h1 { margin: 0 90px 0 0; font-size: 1.5rem; overflow-wrap: anywhere; }
header p { margin: 2px 0; color: var(--quiet); overflow-wrap: anywhere; }
#theme { float: right; font: inherit; font-size: .875rem; color: var(--ink);
  background: var(--paper); border: 1px solid var(--rule); border-radius: 6px;
  padding: 6px 12px; cursor: pointer; }
section { background: var(--paper); border: 1px solid var(--rule); border-radius: 8px;
  padding: 16px 20px; margin: 0 0 16px; scroll-margin-top: 8px; }
h2 { font-size: 1.1rem; margin: 0 0 4px; }
h3 { font-size: 1rem; margin: 16px 0 0; overflow-wrap: anywhere; }
p { margin: 8px 0; }
ul { margin: 8px 0; padding-left: 20px; }
li { margin: 4px 0; overflow-wrap: anywhere; }
.quiet { color: var(--quiet); font-size: .875rem; }
.verdicts { display: grid; gap: 12px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); }
.verdict { border: 1px solid var(--rule); border-top: 5px solid var(--amber); border-radius: 6px;
  padding: 10px 14px; font-size: .875rem; }
.verdict.proven { border-top-color: var(--gain); }
.verdict b { font-size: 1.35rem; line-height: 1.25; color: var(--amber); display: block; }
.verdict b::first-letter { text-transform: uppercase; }
.verdict.proven b { color: var(--gain); }
.warnings { border-left: 5px solid var(--amber); padding-left: 14px; font-size: .875rem; }
.warnings h3 { margin-top: 0; }
.lead { font-size: 1.125rem; margin-top: 0; }
.tiles { margin-top: 12px; display: flex; flex-wrap: wrap; gap: 12px; }
.tile { flex: 1 1 220px; background: var(--raised); border: 1px solid var(--rule);
  border-radius: 6px; padding: 10px 14px; display: flex; flex-direction: column; }
.tile b { font-size: 1.6rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.chart { position: relative; }
.wide { overflow-x: auto; margin-top: 8px; }
.more > .wide { mask-image: linear-gradient(to left, transparent, #000 48px); }
.more::after { content: "more to the right \\2192"; display: block; text-align: right;
  font-size: .75rem; color: var(--quiet); }
table { border-collapse: collapse; width: 100%; font-size: .875rem;
  font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 6px 10px; border-bottom: 1px solid var(--rule);
  vertical-align: top; white-space: nowrap; }
th { font-weight: 600; vertical-align: bottom; white-space: normal; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0;
  background: var(--paper); z-index: 1; }
.metrics td:nth-child(2) { font-weight: 600; }
.metrics td:first-child, .beside td:first-child { white-space: normal; min-width: 200px; }
.beside td:not(:first-child) { font-size: 1.05rem; font-weight: 600; }
.lineage td:last-child, .lineage th:last-child { text-align: left; white-space: normal;
  overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: 4px 14px; margin: 0 0 16px; font-size: .875rem; }
nav a { padding: 2px 0; }
.grid { display: grid; gap: 8px 24px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 440px), 1fr)); }
.grid > * { min-width: 0; }
.key span { display: inline-block; margin-right: 16px; }
.days td:nth-child(4), .days th:nth-child(4), .days td:nth-child(5), .days th:nth-child(5)
  { text-align: left; }
.days td:first-child, .falls td:first-child { white-space: nowrap; }
.total { font-weight: 600; }
details { margin-top: 8px; }
summary { cursor: pointer; color: var(--quiet); font-size: .875rem; }
small { display: block; color: var(--quiet); font-weight: 400; font-size: .78rem; }
.words { white-space: normal; min-width: 110px; }
.sortable th button { all: unset; cursor: pointer; font-weight: 600; }
.sortable th button:focus-visible { outline: 2px solid var(--ink); }
.sortable th[aria-sort="ascending"] button::after { content: " \\25B2"; }
.sortable th[aria-sort="descending"] button::after { content: " \\25BC"; }
.sortable th, .sortable td { padding: 6px 7px; }
.sortable svg { display: block; width: 72px; height: 24px; margin-left: auto;
  fill: var(--strategy); }
.why { white-space: normal; min-width: 320px; text-align: left; font-size: .78rem; }
.trades th:last-child { text-align: left; }
.months th, .months td { padding: 2px; text-align: center; }
.months td:first-child { padding-right: 8px; }
.months td span { display: block; padding: 4px 2px; border-radius: 3px; }
.met, .saved { color: var(--gain); font-weight: 600; }
.warned { color: var(--amber); font-weight: 600; }
.findings td:nth-child(-n+4) { text-align: left; }
.not-met, .cost { color: var(--loss); font-weight: 600; }
.undecidable, .not-run { color: var(--quiet); font-weight: 600; }
a { color: inherit; }
@media (max-width: 600px) {
  main { padding: 12px 8px 32px; }
  section { padding: 12px; }
  th, td { padding: 6px; }
  td:first-child, th:first-child { white-space: normal; min-width: 92px; }
  small { font-size: .72rem; letter-spacing: -.01em; }
  .metrics td:first-child { min-width: 124px; }
  .beside tr { display: grid; grid-template-columns: repeat(3, 1fr);
    border-bottom: 1px solid var(--rule); }
  .beside tr > :first-child { grid-column: 1 / -1; padding-bottom: 0; }
  .beside th, .beside td { border: 0; padding: 4px; }
  .beside td:not(:first-child) { font-size: .85rem; }
  .beside small { font-size: .62rem; }
  .scoreboard { font-size: .7rem; table-layout: fixed; }
  .scoreboard th:first-child, .scoreboard td:first-child { min-width: 0; width: 66px; }
  .scoreboard th, .scoreboard td { padding: 6px 3px; }
  .scoreboard small, .scoreboard th { white-space: normal; }
}
@media print { body { background: #fff; } section { break-inside: avoid; } #theme { display: none; }
  .wide { overflow: visible; } }"""
