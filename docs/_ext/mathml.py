"""Formulas as MathML, which browsers draw themselves: no script, no font and no network."""

import re
from unicodedata import normalize

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml


def to_mathml(formula, **options):
    """Return a formula as MathML.

    A letter with a hat is one letter here: docutils would put its index below it.
    """
    formula = re.sub(
        r"\\hat\s*\{?(\w)\}?",
        lambda hat: normalize("NFC", hat[1] + "\N{COMBINING CIRCUMFLEX ACCENT}"),
        formula,
    )
    return tex2mathml(formula, **options)


def visit_inline(self, node):
    """Write a formula within a line."""
    self.body.append(to_mathml(node.astext()))
    raise nodes.SkipNode


def visit_block(self, node):
    """Write a formula that stands alone, which may scroll by itself on a narrow screen."""
    formula = to_mathml(node.astext(), as_block=True)
    self.body.append(f'<div class="math-block" tabindex="0">{formula}</div>\n')
    raise nodes.SkipNode


def setup(app):
    """Offer the renderer to Sphinx by the name "mathml"."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
