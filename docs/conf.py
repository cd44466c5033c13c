"""How the site is built: `make docs`. Nothing is fetched while it is built, and the pages ask for nothing when read."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "src"))
sys.path.insert(0, str(HERE))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import _site  # noqa: E402

import conjugacy  # noqa: E402

project = "conjugacy"
author = "The conjugacy developers"
copyright = "the conjugacy developers"
version = release = conjugacy.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "examples", "Thumbs.db"]
# the code of the pages is executed by tests/test_docs.py
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

# one page a public name, written anew with every build
autosummary_generate = True
autodoc_typehints = "none"  # the docstrings say it, with shapes and units
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

html_theme = "pydata_sphinx_theme"
html_title = "conjugacy"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "navbar_align": "left",
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_show_sourcelink = False

sphinx_gallery_conf = {
    "write_computation_times": False,  # its page of times asks other hosts for scripts
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "remove_config_comments": True,
    "abort_on_example_error": True,
    "image_scrapers": (_site.figures,),
    "reset_modules": (_site.reset,),
    "capture_repr": ("_repr_html_", "__repr__"),
    "min_reported_time": 30,
}
warnings.filterwarnings("ignore", message=".*below the threshold of the task")

suppress_warnings = ["config.cache"]


def setup(app):
    """Pages that are made from others."""
    _site.write_api(HERE / "api")
    _site.write_citing(HERE / "citing.md", HERE.parent / "CITATION.cff")
