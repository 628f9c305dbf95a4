"""Draw `_static/mlp_gains.svg` from `_static/mlp_gains.csv`: run this file after a change.

Columns: table, NDCG@10 of the GMF half (gmf) and of the joined network (joined), gain and margin in
percent, and the least and largest gain of the seeds (low, high) in percent.
"""

import csv
import math
from pathlib import Path

STATIC = Path(__file__).parent / "_static"

WIDTH, LEFT, RIGHT = 460, 20, 440
TOP, ROW = 22, 58
TITLE = "Gain in NDCG@10 by the MLP, by table"


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of the file by the names of its columns."""
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def draw(rows: list[dict[str, str]]) -> str:
    """Return the plot: a point, its margin and the range of the seeds for each row."""
    reach = [float(row["gain"]) - float(row["margin"]) for row in rows]
    reach += [float(row["gain"]) + float(row["margin"]) for row in rows]
    reach += [float(row[key]) for row in rows for key in ("low", "high")]
    low, high = 2 * math.floor(min(0, *reach) / 2), 2 * math.ceil(max(0, *reach) / 2)
    bottom = TOP + ROW * len(rows)

    def x(value: float) -> float:
        return round(LEFT + (value - low) / (high - low) * (RIGHT - LEFT), 1)

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {bottom + 48}" role="img" '
        'aria-labelledby="mlp-gains-title mlp-gains-desc">',
        f'<title id="mlp-gains-title">{TITLE}</title>',
        f'<desc id="mlp-gains-desc">{describe(rows)}</desc>',
        '<g stroke="currentColor" fill="none">',
        f'<path d="M{LEFT} {bottom}H{RIGHT}"/>',
    ]
    ticks = range(low, high + 1, 2)
    parts += [f'<path d="M{x(tick)} {bottom}v5"/>' for tick in ticks]
    parts += ["</g>", '<g fill="currentColor" font-family="sans-serif" font-size="13">']
    parts += [
        f'<text x="{x(tick)}" y="{bottom + 20}" text-anchor="middle">{signed(tick, 0)}</text>'
        for tick in ticks
    ]
    parts += [
        f'<text x="{(LEFT + RIGHT) / 2}" y="{bottom + 41}" text-anchor="middle">'
        "gain of NDCG@10 by the MLP, %</text>"
    ]
    for place, row in enumerate(rows):
        y = TOP + ROW * place
        parts += [
            f'<text x="{LEFT}" y="{y}">{row["table"]}</text>',
            f'<text x="{RIGHT}" y="{y}" text-anchor="end">'
            f"{row['gmf']} \N{RIGHTWARDS ARROW} {row['joined']}</text>",
        ]
    parts += ["</g>"]
    for place, row in enumerate(rows):
        y, gain, margin = TOP + ROW * place + 22, float(row["gain"]), float(row["margin"])
        sure = abs(gain) > margin
        color = "var(--pst-color-primary, currentColor)" if sure else "currentColor"
        parts += [
            f'<path d="M{x(0)} {y - 14}v28" stroke="currentColor" stroke-dasharray="4 4"/>',
            f'<g stroke="{color}" fill="{color}">',
            f'<path d="M{x(float(row["low"]))} {y}H{x(float(row["high"]))}" '
            'stroke-width="8" opacity="0.35"/>',
            f'<path d="M{x(gain - margin)} {y - 5}v10m0-5H{x(gain + margin)}m0-5v10" '
            'fill="none" stroke-width="1.5"/>',
            f'<circle cx="{x(gain)}" cy="{y}" r="5"/>',
            "</g>",
        ]
    return "\n".join([*parts, "</svg>", ""])


def describe(rows: list[dict[str, str]]) -> str:
    """Return the text for those who cannot see the plot."""
    tables = [
        f"{row['table']}: {signed(row['gain'])} % with a margin of {float(row['margin']):.1f} %, "
        f"NDCG@10 {row['gmf']} without and {row['joined']} with the MLP, "
        f"over the seeds {signed(row['low'])} to {signed(row['high'])} %."
        for row in rows
    ]
    return " ".join(tables)


def signed(value: float | str, digits: int = 1) -> str:
    """Return the number with its sign, and zero without one."""
    number = float(value)
    return f"{number:+.{digits}f}" if number else f"{number:.{digits}f}"


if __name__ == "__main__":
    svg = draw(read(STATIC / "mlp_gains.csv"))
    (STATIC / "mlp_gains.svg").write_text(svg, encoding="utf-8")
