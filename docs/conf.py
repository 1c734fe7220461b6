"""How the site is built, by `simlab docs --build`. What can be taken from the code is written by `generate`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")

from generate import docstrings, write_all
from generate.figures import Pictures

import simlab

project = "simlab"
author = copyright = "The simlab authors"
version = release = simlab.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["build", "generate", "generated/lists", "jupyter_execute"]

# Every example on every page runs; one that fails, or warns, stops the build.
nb_execution_mode = "force"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True
# Notebooks are shown with the outputs that they are kept with; their own tests run them.
nb_execution_excludepatterns = ["generated/notebooks/*"]
nb_render_markdown_format = "myst"

# Docstrings are plain text with `code` between single backticks; formulas stand indented.
default_role = "literal"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": False}
napoleon_numpy_docstring = True
napoleon_google_docstring = False

html_theme = "furo"
html_title = "simlab"
html_static_path = ["look"]
html_css_files = ["site.css"]
html_extra_path = ["generated/extra"]
html_theme_options = {"source_repository": "", "navigation_with_keys": True}
suppress_warnings = ["myst.header"]


def setup(app: object) -> None:
    """Called by Sphinx before it reads a page."""
    pictures = Pictures(HERE / "generated")
    write_all(HERE / "generated")
    connect = app.connect  # type: ignore[attr-defined]
    connect("env-before-read-docs", pictures.order)
    connect("source-read", pictures.wait)
    connect("build-finished", pictures.end)
    connect("autodoc-process-docstring", docstrings.to_rst, priority=100)
