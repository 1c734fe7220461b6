"""The page of the gallery: one HTML file without scripts, which shows thumbnails of its own and links to the files."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from simlab.figures.gallery.outcome import Outcome, counted
from simlab.figures.reproduction import Claim, Scale

from simlab._version import __version__

__all__ = ["page"]

MARKS = {"reproduced": "yes", "assumed parameters": "given", "not reproduced": "no"}
HEADS = ("claim", "source", "wanted", "computed", "verdict")

STYLE = """
:root { --ink: #1a1a1a; --soft: #5c5c5c; --line: #dcdcdc; --paper: #ffffff; --tint: #f6f7f8; --link: #0a5a94; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: var(--paper); font: 16px/1.5 system-ui, sans-serif; }
header, main { max-width: 76rem; margin: 0 auto; padding: 1rem 1.25rem; }
h1 { font-size: 1.6rem; margin: .6rem 0 .2rem; }
h2 { font-size: 1.2rem; margin: 0 0 .2rem; line-height: 1.3; overflow-wrap: anywhere; }
p { margin: .4rem 0; max-width: 72ch; }
a { color: var(--link); }
.soft { color: var(--soft); font-size: .9rem; }
.why { color: #8c2f00; overflow-wrap: anywhere; }
section { border-top: 1px solid var(--line); padding: 1.6rem 0; scroll-margin-top: .5rem; }
.both { display: grid; grid-template-columns: minmax(0, 5fr) minmax(0, 4fr); gap: 1.5rem; align-items: start; }
.both img { width: 100%; height: auto; border: 1px solid var(--line); display: block; }
table { border-collapse: collapse; width: 100%; margin: .8rem 0; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid var(--line);
  overflow-wrap: break-word; }
thead th { background: var(--tint); font-weight: 600; }
table.claims { table-layout: fixed; }
table.claims th:nth-child(1) { width: 34%; } table.claims th:nth-child(2) { width: 16%; }
table.claims th:nth-child(4) { width: 22%; } table.claims th:nth-child(5) { width: 13%; }
.note { color: var(--soft); display: block; font-size: .85rem; }
.badge { display: inline-block; padding: 0 .5rem; border-radius: .8rem; font-size: .82rem; line-height: 1.5rem; }
.yes { background: #d9efe6; color: #004d38; } .given { background: #fdf0cf; color: #6b4500; }
.no { background: #fbdfd2; color: #8c2f00; } .none { background: var(--tint); color: var(--soft); }
pre { overflow-x: auto; background: var(--tint); padding: .6rem; font-size: .8rem; }
summary { cursor: pointer; }
ul { margin: .3rem 0; padding-left: 1.2rem; }
@media (max-width: 52rem) {
  .both { grid-template-columns: minmax(0, 1fr); }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table, tbody, tr, td { display: block; width: 100%; }
  tr { border: 1px solid var(--line); border-radius: .4rem; margin: .6rem 0; padding: .2rem 0; }
  td { border: 0; padding: .2rem .7rem; }
  .claims td::before { content: attr(data-head); display: block; color: var(--soft); font-size: .75rem; }
  .overview td:nth-child(2) { color: var(--soft); font-size: .85rem; }
}
@media print { section { break-inside: avoid; } }
"""


def page(outcomes: Sequence[Outcome], scale: Scale) -> str:
    """The whole page: what was asked, a line for each figure, then each figure with its claims."""
    tally = "".join(_badge(verdict, f"{count} {verdict}") + " " for verdict, count in counted(outcomes).items())
    rows = "".join(_line(outcome) for outcome in outcomes)
    sections = "".join(_section(outcome, scale) for outcome in outcomes)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>simlab: figures of the literature</title>
<link rel="icon" href="data:,">
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>Figures of the literature, computed afresh</h1>
<p>Made by <code>simlab reproduce --{escape(scale)}</code>, simlab {escape(__version__)}. Every claim of a paper is a
check on computed numbers; what did not come out is reported as such. &ldquo;Assumed parameters&rdquo; means that the
claim holds for a choice where the paper does not say.</p>
<p>{tally}</p>
</header>
<main>
<table class="overview">
<thead><tr><th>figure</th><th>paper</th><th>claims</th></tr></thead>
<tbody>{rows}</tbody>
</table>
{sections}
</main>
</body>
</html>
"""


def _badge(verdict: str, text: str) -> str:
    return f'<span class="badge {MARKS.get(verdict, "none")}">{escape(text)}</span>'


def _line(outcome: Outcome) -> str:
    figure = outcome.entry.figure
    tally = counted([outcome]).items()
    shown = " ".join(_badge(verdict, f"{count} {verdict}") for verdict, count in tally if count)
    if outcome.state in ("failed", "skipped"):
        shown = _badge("not reproduced" if outcome.state == "failed" else "", outcome.state)
    return (
        f'<tr><td><a href="#{escape(figure.id)}">{escape(figure.title)}</a></td>'
        f"<td>{escape(figure.paper)}</td><td>{shown}</td></tr>\n"
    )


def _section(outcome: Outcome, scale: Scale) -> str:
    figure = outcome.entry.figure
    head = (
        f'<section id="{escape(figure.id)}">\n<h2>{escape(figure.title)}</h2>\n'
        f'<p class="soft">{escape(figure.paper)} &middot; <code>{escape(figure.id)}</code></p>\n'
    )
    if outcome.why:
        more = f"<details><summary>details</summary><pre>{escape(outcome.details)}</pre></details>\n"
        text = f'<p class="why">{escape(outcome.state)}: {escape(outcome.why)}</p>\n'
        return f"{head}<p>{escape(figure.setting)}</p>\n{text}{more if outcome.details else ''}</section>\n"
    folder = f"{scale}/{figure.id}"
    files = [("PDF", "figure.pdf"), ("PNG", "figure.png"), *((f"{table}.csv",) * 2 for table in outcome.tables)]
    links = ", ".join(f'<a href="{escape(f"{folder}/{name}")}">{escape(label)}</a>' for label, name in files)
    return (
        f'{head}<div class="both">\n{_picture(outcome, folder)}<div>\n<p>{escape(figure.setting)}</p>\n'
        f'{_assumed(figure.assumed)}<p class="soft">{links} &middot; {outcome.seconds:.1f} s</p>\n</div>\n</div>\n'
        f"{_claims(outcome.claims)}</section>\n"
    )


def _picture(outcome: Outcome, folder: str) -> str:
    small = base64.b64encode((outcome.folder / "thumbnail.png").read_bytes()).decode()
    return (
        f'<a href="{escape(f"{folder}/figure.png")}"><img src="data:image/png;base64,{small}" '
        f'alt="{escape(outcome.entry.figure.title, quote=True)}"></a>\n'
    )


def _assumed(assumed: Sequence[str]) -> str:
    if not assumed:
        return ""
    items = "".join(f"<li>{escape(one)}</li>" for one in assumed)
    return f'<p class="soft">Assumed, because the paper does not say:</p>\n<ul class="soft">{items}</ul>\n'


def _claims(claims: Sequence[Claim]) -> str:
    if not claims:
        return '<p class="soft">No claims.</p>\n'
    heads = "".join(f"<th>{head}</th>" for head in HEADS)
    return (
        f'<table class="claims">\n<thead><tr>{heads}</tr></thead>\n<tbody>{"".join(map(_claim, claims))}</tbody>\n'
        "</table>\n"
    )


def _claim(claim: Claim) -> str:
    seen = claim.seen if not claim.holds else ""
    notes = [("seen", seen), ("assumed", claim.assumed)]
    note = "".join(f'<span class="note">{name}: {escape(text)}</span>' for name, text in notes if text)
    cells = [escape(claim.text) + note, *map(escape, (claim.source, claim.threshold, claim.value))]
    cells.append(_badge(claim.verdict, claim.verdict))
    return (
        "<tr>"
        + "".join(f'<td data-head="{head}">{cell}</td>' for head, cell in zip(HEADS, cells, strict=True))
        + "</tr>\n"
    )
