"""Settings of the documentation: ``sphinx-build -W docs build/docs``."""

import sys
from pathlib import Path

import skgmm

sys.path.append(str(Path(__file__).parent / "_extensions"))

project = "skgmm"
author = "the skgmm developers"
copyright = author
release = version = skgmm.__version__

extensions = [
    "sphinx.ext.autodoc",
    "mathml",
    "myst_parser",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "gallery/*.ipynb"]
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["skgmm.css"]
html_theme = "furo"
html_title = f"skgmm {release}"

numpydoc_show_class_members = False
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_typehints = "none"  # the docstrings say more

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"plot_",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "write_computation_times": False,
    "image_srcset": ["2x"],  # for print
}
