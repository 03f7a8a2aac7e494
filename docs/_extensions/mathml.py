"""Formulas as MathML, which browsers draw by themselves: no script, no network."""

import re

from latex2mathml.converter import convert
from sphinx.util import logging
from sphinx.util.docutils import nodes

logger = logging.getLogger(__name__)


def _function(match):
    name, bracket = match.groups()
    after = "0" if bracket else "0.17em"
    return f'<mo lspace="0.17em" rspace="{after}">{name}</mo>'


def _write(self, node, display):
    text = node.astext().strip()
    formula = convert(text, display=display)
    if "\\" in formula:
        logger.warning("a command is unknown in the formula %s", text, location=node)
    # The converter forgets the space about names of functions.
    formula = re.sub(r"<mi>(log|exp)</mi>(?=(<mo)?)", _function, formula)
    self.body.append(formula)


def _inline(self, node):
    _write(self, node, "inline")
    raise nodes.SkipNode


def _block(self, node):
    self.body.append(self.starttag(node, "div", CLASS="math"))
    _write(self, node, "block")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app):
    """Offer the renderer, which ``conf.py`` chooses."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
