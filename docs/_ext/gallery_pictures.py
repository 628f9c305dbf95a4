"""Style the pictures of the gallery, and show each one above its code."""

import pickle
import re
import shutil
from pathlib import Path

STYLE = {
    # A transparent background suits the light and the dark mode, see gallery.css.
    "savefig.transparent": True,
    "font.size": 12,
    "axes.titlesize": "medium",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
IMAGE = re.compile(r"(?:\.\. rst-class:: sphx-glr-\S+\n\s*)?\.\. image-sg:: .*\n(?:   :.*\n)+")
FIRST_BLOCK = ".. GENERATED FROM PYTHON SOURCE LINES"
# Longest text of a thumbnail, and longest label of an axis: longer ones would be too wide.
MOST_LETTERS, LONGEST_LABEL = 13, 18


def set_style(gallery_conf: object, path: str) -> None:
    """Set matplotlib's style before each example."""
    from matplotlib import rcParams

    rcParams.update(STYLE)


def _get_sg_image_scraper():
    """Return the function that saves the figures of a block (the name is sphinx-gallery's)."""
    return save_figures


def save_figures(block, block_vars, gallery_conf):
    """Save figures as sphinx-gallery does, and a thumbnail of the example's first one."""
    import matplotlib.pyplot as plt
    from sphinx_gallery.scrapers import matplotlib_scraper

    first = len(block_vars["image_path_iterator"]) == 0
    figures = [plt.figure(number) for number in plt.get_fignums()]
    rst = matplotlib_scraper(block, block_vars, gallery_conf)
    if first and figures:
        path = Path(block_vars["image_path_iterator"].paths[0])
        folder = path.parent / "small"
        folder.mkdir(exist_ok=True)
        save_thumbnail(figures[0], folder / path.name.replace("_001", "_thumb"))
    return rst


def save_thumbnail(figure, path):
    """Draw a figure again for 160 pixels: the first axes, large letters, few words."""
    import matplotlib.pyplot as plt
    from matplotlib.text import Annotation, Text

    figure = pickle.loads(pickle.dumps(figure))
    figure.set_size_inches(4, 2.8)
    ax, *others = figure.axes
    for other in others:
        other.remove()
    ax.set_subplotspec(figure.add_gridspec(1, 1)[0])
    if ax.get_legend():
        ax.get_legend().remove()
    ax.set_title("")
    for text in figure.findobj(Text):
        words = text.get_text()
        if isinstance(text, Annotation):
            text.set_visible(False)
        elif text in (ax.xaxis.label, ax.yaxis.label):
            text.set_visible(len(words) <= LONGEST_LABEL)
        elif len(words) > MOST_LETTERS:
            text.set_text(words[: MOST_LETTERS - 1].rstrip() + "…")
        text.set_fontsize(14 if text in ax.texts else 17)
    ax.tick_params(labelsize=17)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def use_thumbnails(app):
    """Replace the thumbnails of sphinx-gallery by our own."""
    for path in Path(app.srcdir).glob("*/images/small/*.png"):
        shutil.copy(path, path.parents[1] / "thumb")


def move_picture(app, docname, source):
    """Move the first picture of an example above its code."""
    if docname.startswith("gallery/plot_") and (found := IMAGE.search(source[0])):
        text = source[0][: found.start()] + source[0][found.end() :]
        source[0] = text.replace(FIRST_BLOCK, f"{found[0]}\n{FIRST_BLOCK}", 1)


def copy_vectors(app, exception):
    """Copy the vectors that `plot_browser.py` wrote to where its page reads them."""
    vectors = Path(app.srcdir).parent / "examples" / "films.js"
    if exception is None and app.builder.format == "html" and vectors.exists():
        shutil.copy(vectors, Path(app.outdir) / "_static")


def setup(app):
    """Connect the functions to the steps of a build; thumbnails come after sphinx-gallery."""
    app.connect("builder-inited", use_thumbnails, priority=900)
    app.connect("source-read", move_picture)
    app.connect("build-finished", copy_vectors)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
