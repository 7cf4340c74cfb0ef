"""How Sphinx builds these pages; `make docs` at the top of the repository builds them."""

import re
from importlib.metadata import version as installed
from typing import Any

project = "bams"
author = "The bams maintainers"
copyright = "The bams maintainers"
version = release = installed("bams")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]
templates_path = ["_templates"]

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

# Docstrings are Google's style, with names in single backticks.
default_role = "code"
napoleon_numpy_docstring = False
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = False  # torch documents `forward`, say, at length
python_maximum_signature_line_length = 88

html_theme = "pydata_sphinx_theme"
html_title = "bams"
html_show_sourcelink = False
html_theme_options = {"show_prev_next": True, "navigation_with_keys": False, "show_toc_level": 2}


def mend_docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Undo what Napoleon and docutils misread in our docstrings."""
    types = [line for line in lines if line.startswith(":type: ")]
    if what in ("attribute", "property") and types:  # the words before a colon are no type
        lines.remove(types[0])
        lines[0] = f"{types[0].removeprefix(':type: ')}: {lines[0].strip()}"
    lines[:] = [re.sub(r"^(\s*|.*: )([A-Z]\.)$", r"\1\\\2", line) for line in lines]  # an axis is no numbered list


def setup(app: Any) -> None:
    """Run after Napoleon, whose priority is 500."""
    app.connect("autodoc-process-docstring", mend_docstring, priority=600)
