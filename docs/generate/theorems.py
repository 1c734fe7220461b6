"""The catalogue of theorems: a page for each source, every entry with an example whose output is computed here."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import getdoc
from itertools import groupby

import numpy as np

from simlab import theory
from simlab.conformance.check import Check
from simlab.conformance.validate import checks

__all__ = ["pages"]

SEED = 0
Entry = theory.Theorem


def pages() -> dict[str, str]:
    """Name of file -> text."""
    sources = [(source, list(entries)) for source, entries in groupby(theory.catalog(), lambda entry: entry.source)]
    out = {f"theorems/{source.key}.md": _page(entries) for source, entries in sources}
    count = sum(len(entries) for _, entries in sources)
    rows = [
        f"| [{source.short}]({source.key}.md) | {len(entries)} | {', '.join(f'`{entry.name}`' for entry in entries)} |"
        for source, entries in sources
    ]
    toc = "\n".join(source.key for source, _ in sources)
    out["theorems/index.md"] = f"""# Theorems

{count} statements from {len(sources)} sources, as functions of arrays. `kind` is what is claimed (exact, tight, upper,
lower, asymptotic, scaling), `provenance` whether the formula is as printed, corrected, derived for this project,
reconstructed or fitted. Outside its assumptions a theorem refuses. `simlab validate` holds every one against the exact
engine; the examples on these pages are instances of that check.

| source | entries | names |
|---|---|---|
{chr(10).join(rows)}

```{{toctree}}
:hidden:

{toc}
```
"""
    return out


def _page(entries: list[Entry]) -> str:
    blocks = "\n".join(_entry(entry) for entry in entries)
    return f"# {entries[0].source.short}\n\n{blocks}\n"


def _entry(entry: Entry) -> str:
    assumptions = "\n".join(f"- {each}" for each in entry.assumptions) or "- none"
    return f"""## {entry.name}

*{entry.kind}* for the {entry.about}; {entry.number}; *{entry.provenance}*. Assumes

```text
{assumptions}
```

```text
{getdoc(entry.function)}
```

{_example(entry)}

```bibtex
{theory.cite(entry.name)}
```
"""


def _example(entry: Entry) -> str:
    check = checks().get(entry.name)
    if check is None:
        return ""
    given = check.draw(np.random.default_rng(SEED))
    arguments = "\n".join(f"#   {name} = {_short(value)}" for name, value in check.taken(given).items())
    compared = "\n".join(_compared(check, given))
    return f"""An instance of its check, and what came out:

```python
check = simlab.conformance.validate.checks()["{entry.name}"]
given = check.draw(numpy.random.default_rng({SEED}))
{arguments}
check.compare(given)
```

```text
{compared}
```"""


def _compared(check: Check, given: dict[str, object]) -> Iterator[str]:
    found = check.compare(given)
    yield f"{'part':<14}{'stated':>16}{'true':>16}"
    for part, true in found.true.items():
        stated = found.stated[part]
        at = "" if true.size == 1 else f"  (last of {true.size})"
        yield f"{part:<14}{float(np.ravel(stated)[-1]):>16.8g}{float(np.ravel(true)[-1]):>16.8g}{at}"


def _short(value: object) -> str:
    if callable(value):
        return "a function"
    array = np.asarray(value)
    if array.dtype.kind not in "fiub" or array.ndim == 0:
        return str(value) if array.dtype.kind not in "f" else f"{float(array):.6g}"
    ends = ", ".join(f"{x:.4g}" for x in array.ravel()[:3])
    return f"[{ends}, ...], shape {array.shape}" if array.size > 3 else f"[{ends}]"
