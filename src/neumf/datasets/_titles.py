"""Split the year from the titles of films, as public files write them."""

import pandas as pd

# MovieLens-100K writes "(TV)" or "(V)" after the year of films made for television or video.
_TITLE_AND_YEAR = r"^\s*(?P<title>.*?)\s*\((?P<year>\d{4})\)(?:\s*\((?:TV|V)\))?\s*$"


def split_years(titles: pd.Series) -> pd.DataFrame:
    """Return titles without the year, and the years as float64, NaN if missing."""
    parts = titles.str.extract(_TITLE_AND_YEAR)
    title, year = parts["title"].fillna(titles.str.strip()), parts["year"].astype("float64")
    return pd.DataFrame({"title": title, "year": year})
