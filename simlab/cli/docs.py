"""simlab docs: the documentation site, as built from this checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simlab.cli.common import app

SOURCES = Path(__file__).resolve().parents[2] / "docs"


@app.command()
def docs(
    build: Annotated[bool, typer.Option("--build", help="Build it first; every example on every page is run.")] = False,
) -> None:
    """Open the documentation in a browser; --build makes it from a checkout."""
    import subprocess
    import sys
    import webbrowser
    from importlib.util import find_spec

    from simlab.errors import InputError
    from simlab.extras import install

    if not SOURCES.is_dir():
        raise InputError(
            "the documentation lies in a checkout of simlab, and this one was installed without it; in the checkout, "
            "pip install -e '.[docs]' && simlab docs --build."
        )
    page = SOURCES / "build" / "index.html"
    if build:
        if find_spec("sphinx") is None:
            raise InputError(f"building the documentation needs an extra; {install('docs')} first.")
        command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going"]
        if subprocess.run([*command, str(SOURCES), str(page.parent)], check=False).returncode != 0:
            raise InputError("the documentation was not built; what stands above says why.")
    elif not page.exists():
        raise InputError(f"{page} is not there yet; simlab docs --build makes it.")
    typer.echo(page)
    webbrowser.open(page.as_uri())
