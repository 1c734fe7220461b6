"""The page of the gallery: one HTML file without scripts, which shows thumbnails of its own and links to the files."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby

from simlab.figures.gallery.expected import elsewhere, known_weak
from simlab.figures.gallery.outcome import Outcome, counted, paper_of
from simlab.figures.gallery.spoken import OWN, remarks
from simlab.figures.reproduction import Claim, Scale

from simlab._version import __version__

__all__ = ["page"]

MARKS = {
    "reproduced": "yes", "holds": "yes", "chosen": "given", "substituted": "put", "not reproduced": "no",
    "does not hold": "no",
}  # fmt: skip
"""Verdict -> class of its badge."""
HEADS = ("claim", "source", "the paper", "wanted", "computed", "verdict")
OWN_HEADS = ("statement", "formula or source", "wanted", "computed", "verdict")
SMALL = 220
"""Pixels across of the thumbnails in the summary by paper."""
MEANINGS = (
    ("reproduced", "under the paper's own setting"),
    ("chosen", "for parameters that the paper does not give"),
    ("substituted", "on a model in the place of the paper's, a regression for a language model, say"),
    ("not reproduced", "it did not come out, and the row says why"),
)

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
table.claims th:nth-child(1) { width: 30%; } table.claims th:nth-child(2) { width: 13%; }
table.claims th:last-child { width: 12%; }
h3 { font-size: 1rem; margin: 1.2rem 0 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1rem; padding: 0;
  margin: 1rem 0; list-style: none; }
.cards > li { border: 1px solid var(--line); border-radius: .4rem; padding: .7rem .8rem; }
.cards p { font-weight: 600; font-size: .95rem; line-height: 1.35; margin: 0 0 .4rem; }
.cards .shots { display: grid; grid-template-columns: repeat(auto-fill, minmax(7rem, 1fr)); gap: .5rem;
  margin-bottom: .5rem; }
.shots img { width: 100%; height: 5rem; object-fit: contain; border: 1px solid var(--line); display: block; }
.shots a { font-size: .75rem; line-height: 1.25; text-decoration: none; overflow-wrap: anywhere; }
dl.meanings { display: grid; grid-template-columns: max-content 1fr; gap: .25rem .8rem; margin: .6rem 0;
  font-size: .9rem; }
dl.meanings dd { margin: 0; }
.note { color: var(--soft); display: block; font-size: .85rem; }
.badge { display: inline-block; padding: 0 .5rem; border-radius: .8rem; font-size: .82rem; line-height: 1.5rem; }
.yes { background: #d9efe6; color: #004d38; } .given { background: #fdf0cf; color: #6b4500; }
.put { background: #e2e6f6; color: #27357a; }
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
}
@media print { section { break-inside: avoid; } }
"""


def page(outcomes: Sequence[Outcome], scale: Scale) -> str:
    """The whole page: what the verdicts mean, a card for each paper, then each figure with its claims."""
    cards = "".join(_card(list(group)) for _, group in groupby(outcomes, key=lambda o: paper_of(o.entry.figure.id)))
    sections = "".join(_section(outcome, scale) for outcome in outcomes)
    meanings = "".join(f"<dt>{_badge(verdict, verdict)}</dt><dd>{escape(text)}</dd>" for verdict, text in MEANINGS)
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
<p>Made by <code>simlab reproduce --{escape(scale)}</code>, simlab {escape(__version__)}. Every claim is judged on
numbers computed here, at this scale; where another scale comes to another verdict, the row says so. All of it for
programs: <a href="claims.json">claims.json</a>.</p>
<dl class="meanings">{meanings}</dl>
<p>Claims of papers: {_tally(outcomes, own=False) or "none"}</p>
<p>Results of this project, which no paper claims: {_tally(outcomes, own=True) or "none"}</p>
</header>
<main>
<ul class="cards">
{cards}</ul>
{sections}
</main>
</body>
</html>
"""


def _badge(verdict: str, text: str) -> str:
    return f'<span class="badge {MARKS.get(verdict, "none")}">{escape(text)}</span>'


def _tally(outcomes: Sequence[Outcome], *, own: bool) -> str:
    tally = counted(outcomes).items()
    return " ".join(_badge(verdict, f"{n} {verdict}") for verdict, n in tally if n and (verdict in OWN) == own)


def _card(outcomes: Sequence[Outcome]) -> str:
    """A paper, or this project: its figures as small pictures, and what became of its claims."""
    shots = "".join(_shot(outcome) for outcome in outcomes)
    tally = _tally(outcomes, own=False) or _tally(outcomes, own=True)
    return (
        f'<li><p>{escape(outcomes[0].entry.figure.paper)}</p>\n<div class="shots">{shots}</div>\n'
        f"<div>{tally}</div></li>\n"
    )


def _shot(outcome: Outcome) -> str:
    figure = outcome.entry.figure
    if outcome.why:
        inside = _badge("not reproduced" if outcome.state == "failed" else "", outcome.state)
    else:
        inside = f'<img src="data:image/png;base64,{_small(outcome)}" alt="">'
    return f'<a href="#{escape(figure.id)}">{inside}{escape(figure.title)}</a>'


def _small(outcome: Outcome) -> str:
    from PIL import Image

    with Image.open(outcome.folder / "thumbnail.png") as full:
        size = (SMALL, max(1, round(full.height * SMALL / full.width)))
        shrunk = full.convert("RGB").resize(size, Image.Resampling.LANCZOS).quantize(32)
    buffer = io.BytesIO()
    shrunk.save(buffer, "png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


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
    put = _list("In the place of what the paper has:", figure.substituted)
    own = [claim for claim in outcome.claims if claim.own]
    theirs = [claim for claim in outcome.claims if not claim.own]
    return (
        f'{head}<div class="both">\n{_picture(outcome, folder)}<div>\n<p>{escape(figure.setting)}</p>\n'
        f"{_list('Chosen, because the paper does not give it:', figure.chosen)}{put}"
        f'<p class="soft">{links} &middot; {outcome.seconds:.1f} s</p>\n</div>\n</div>\n'
        f"{_claims('', HEADS, figure.id, theirs, scale)}"
        f"{_claims('Results of this project', OWN_HEADS, figure.id, own, scale)}</section>\n"
    )


def _picture(outcome: Outcome, folder: str) -> str:
    small = base64.b64encode((outcome.folder / "thumbnail.png").read_bytes()).decode()
    return (
        f'<a href="{escape(f"{folder}/figure.png")}"><img src="data:image/png;base64,{small}" '
        f'alt="{escape(outcome.entry.figure.title, quote=True)}"></a>\n'
    )


def _list(title: str, entries: Sequence[str]) -> str:
    if not entries:
        return ""
    items = "".join(f"<li>{escape(one)}</li>" for one in entries)
    return f'<p class="soft">{title}</p>\n<ul class="soft">{items}</ul>\n'


def _claims(title: str, heads: Sequence[str], figure: str, claims: Sequence[Claim], scale: Scale) -> str:
    if not claims:
        return ""
    top = "".join(f"<th>{head}</th>" for head in heads)
    weak = known_weak().get(figure, ())
    body = "".join(_claim(claim, heads, elsewhere(figure, claim, scale), claim.text in weak) for claim in claims)
    above = f"<h3>{title}</h3>\n" if title else ""
    return f'{above}<table class="claims">\n<thead><tr>{top}</tr></thead>\n<tbody>{body}</tbody>\n</table>\n'


def _claim(claim: Claim, heads: Sequence[str], others: Mapping[str, str], weak: bool) -> str:
    said = [*remarks(claim), *([("weak", "no engine that is wrong on purpose turns this verdict")] if weak else [])]
    notes = "".join(f'<span class="note">{name}: {escape(text)}</span>' for name, text in said)
    paper = [] if claim.own else [claim.paper]
    cells = [escape(claim.text) + notes, *map(escape, (claim.source, *paper, claim.wanted, claim.computed))]
    also = "".join(f'<span class="note">at {name}: {escape(verdict)}</span>' for name, verdict in others.items())
    cells.append(_badge(claim.verdict, claim.verdict) + also)
    row = "".join(f'<td data-head="{head}">{cell}</td>' for head, cell in zip(heads, cells, strict=True))
    return f"<tr>{row}</tr>\n"
