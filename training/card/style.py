"""The page's style sheet: one column on phones, contents beside it on desks, plain on paper."""

from typing import Final

STYLE: Final = """
:root { --ink: #1f2937; --soft: #5b6472; --line: #e2e6ec; --page: #f4f6f8; --blue: #0b5c9e; }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
.page { display: grid; grid-template-columns: 200px minmax(0, 1fr); gap: 0 28px;
  max-width: 1400px; margin: 0 auto; padding: 24px; }
nav { grid-area: 1 / 1 / span 2; position: sticky; top: 24px; align-self: start;
  font-size: .87rem; }
nav strong { display: block; margin-bottom: 6px; }
nav a { display: block; padding: 3px 0 3px 10px; border-left: 2px solid var(--line);
  color: var(--soft); text-decoration: none; }
.head { grid-area: 1 / 2; min-width: 0; }
main { grid-area: 2 / 2; min-width: 0; }
nav a:hover { color: var(--blue); border-color: var(--blue); }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2, .part > h1 { font-size: 1.3rem; margin: 34px 0 8px; line-height: 1.3; }
h3, .part > section > h2 { font-size: 1.05rem; margin: 0 0 4px; }
h4, .part .pair h3 { font-size: .92rem; margin: 0 0 2px; font-weight: 600; }
p { margin: 0 0 10px; max-width: 84ch; }
ul { margin: 0 0 10px; padding-left: 1.2em; max-width: 88ch; }
li { margin: 2px 0; }
section { background: #fff; border: 1px solid var(--line); border-radius: 10px;
  padding: 18px 20px; margin: 12px 0; }
.part { scroll-margin-top: 12px; }
.pair, .many { display: grid; gap: 20px 18px; }
.pair { grid-template-columns: repeat(auto-fill, minmax(min(100%, 430px), 1fr)); }
.three { grid-template-columns: repeat(auto-fill, minmax(min(100%, 310px), 1fr)); }
.many { grid-template-columns: repeat(auto-fill, minmax(min(100%, 250px), 1fr)); }
.pair > div, .many > div, .many > div > div { min-width: 0; }
.many > div { display: grid; grid-template-rows: subgrid; grid-row: span 2; row-gap: 4px; }
.pair + .pair, .pair + .many, .many + .pair, .pair + p { margin-top: 18px; }
.tiles { display: grid; gap: 12px; margin: 14px 0;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 205px), 1fr)); }
.tile { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 12px 14px; }
.tile b { display: block; font-size: 1.5rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tile span { display: block; color: var(--soft); font-size: .85rem; }
.verdict { font-size: 1.05rem; }
.warn { border-left: 4px solid #d55e00; }
.scroll { overflow-x: auto; margin: 8px 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { text-align: right; padding: 5px 8px; border-bottom: 1px solid var(--line);
  font-size: .84rem; vertical-align: top; }
th { font-weight: 600; vertical-align: bottom; white-space: normal; min-width: 5em; }
th:first-child, td:first-child { position: sticky; left: 0; background: #fff; font-weight: 600;
  text-align: left; padding-left: 0; }
.words { text-align: left; white-space: normal; min-width: 16em; }
.muted { color: var(--soft); font-weight: 400; }
.keys { display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: .87rem; }
.key i { display: inline-block; width: .75em; height: .75em; border-radius: 50%;
  margin-right: .4em; }
.portraits { display: grid; gap: 12px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 280px), 1fr)); }
.portraits > div { border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; }
.portraits p { margin: 4px 0 0; font-size: .92rem; }
.inputs { display: grid; gap: 12px; margin: 12px 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 180px), 1fr)); }
.inputs label { font-size: .85rem; color: var(--soft); }
.inputs input, .inputs select { display: block; width: 100%; margin-top: 3px; padding: 7px 9px;
  border: 1px solid #b6bec9; border-radius: 6px; font: inherit; color: var(--ink);
  background: #fff; }
code { font-size: .9em; }
footer { color: var(--soft); font-size: .85rem; margin: 24px 0; }
@media (max-width: 1000px) {
  .page { display: block; padding: 14px; }
  nav { position: static; columns: 2; margin: 18px 0; }
  nav strong { column-span: all; }
  nav a { break-inside: avoid; padding: 5px 0 5px 10px; }
  section { padding: 14px; }
  .words { min-width: 10em; }
}
.paper .page { display: block; width: 700px; padding: 0; }
.paper nav { display: none; }
@media print {
  body { background: #fff; font-size: 11px; }
  .page { display: block; padding: 0; max-width: none; }
  nav { display: none; }
  section, .tile { border-color: #bbb; }
  .pair > div, .many > div, tr, .tile { break-inside: avoid; }
  h2, h3, h4 { break-after: avoid; }
  .scroll { overflow: visible; }
  th, td { font-size: 8.5px; padding: 3px 4px; }
  .key i { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
