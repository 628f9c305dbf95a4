"""Draw the pictures of the README and of the site's home: python docs/pictures.py.

`first_list.svg` shows a fit and a list, with the code of the README. `accuracy_and_time.svg` is the
picture of `examples/plot_accuracy_and_time.py`. Both have a white ground, so that they can be read
on light and on dark pages.
"""

import contextlib
import runpy
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from neumf import LeaveLastOutSplitter, NeuMFRecommender, datasets

FOLDER = Path(__file__).resolve().parent / "_static"
PICKED = [435761, 910970, 1049413]
INK, GREY, BLUE = "#1f2328", "#59636e", "#0072b2"


def main():
    """Write both pictures."""
    (FOLDER / "first_list.svg").write_text(draw_list(), encoding="utf-8")
    draw_accuracy(FOLDER / "accuracy_and_time.svg")


def draw_list():
    """Return an SVG: rows of the table, three films picked, ten recommended and why."""
    X, titles = datasets.load_movietweetings(return_titles=True)
    X = datasets.filter_k_core(X, 5)
    X_train, _ = LeaveLastOutSplitter().train_test_split(X)
    model = NeuMFRecommender(recency=0, random_state=0).fit(X_train)
    picked = pd.DataFrame({"user": "you", "item": PICKED})
    items = model.recommend(interactions=picked, k=10)["item"]
    reasons = model.explain("you", items, interactions=picked).query("rank == 1")
    nearest = reasons.set_index("item")["history_item"]
    body = [
        heading(24, f"Your table: {len(X):,} rows"),
        heading(372, "A new user picks"),
        heading(600, "Ten recommended"),
        heading(868, "most like"),
        *(word(x, 84, name, GREY) for x, name in ((24, "user"), (78, "item"), (260, "time"))),
        *table(X.iloc[[0, 9_000, 18_000, 36_000, 45_000, 60_000, 63_000]], titles),
        *(word(372, 84 + 28 * row, titles[item]) for row, item in enumerate(PICKED)),
        word(372, 196, "model.fit(X)", BLUE, "mono"),
        word(372, 220, "model.recommend(", BLUE, "mono"),
        word(372, 240, "  interactions=picks)", BLUE, "mono"),
        word(372, 276, "Nothing is trained again.", GREY),
    ]
    for row, item in enumerate(items):
        y = 84 + 24 * row
        body.append(word(600, y, f"{row + 1}", GREY))
        body.append(word(624, y, titles[item]))
        body.append(word(868, y, titles[nearest[item]][:-7], GREY))
    rules = [f'<path d="M{x} 28V308" stroke="#d1d9e0"/>' for x in (350, 578)]
    return "\n".join(
        [
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 336" role="img" '
            'font-family="system-ui, -apple-system, Segoe UI, sans-serif" font-size="13.5">',
            '<rect x=".5" y=".5" width="959" height="335" rx="8" fill="#fff" stroke="#d1d9e0"/>',
            *rules,
            *body,
            "</svg>\n",
        ]
    )


def table(rows, titles):
    """Yield the words of rows of the table."""
    for place, row in enumerate(rows.itertuples()):
        y = 108 + 24 * place
        title = titles[row.item]
        short = title if len(title) <= 22 else f"{title[:21].rstrip()}…"
        time = datetime.fromtimestamp(row.timestamp, UTC)
        yield word(24, y, str(row.user))
        yield word(78, y, short)
        yield word(260, y, f"{time:%Y-%m-%d}")


def heading(x, text):
    """Return a bold line of text."""
    return f'<text x="{x}" y="48" font-weight="600" fill="{INK}">{escape(text)}</text>'


def word(x, y, text, fill=INK, style=None):
    """Return a line of text, in a font of equal widths if it has a style."""
    family = ' font-family="ui-monospace, Menlo, Consolas, monospace" xml:space="preserve"'
    return f'<text x="{x}" y="{y}" fill="{fill}"{family if style else ""}>{escape(text)}</text>'


def draw_accuracy(path):
    """Save the picture of an example of the gallery."""
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "neumf"})
    with contextlib.chdir(path.parents[2] / "examples"):
        runpy.run_path("plot_accuracy_and_time.py")
    plt.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
