"""The embedded data set: 100,000 ratings of films, tweeted in 2013."""

import lzma
from importlib import resources
from typing import Literal, overload

import pandas as pd


@overload
def load_movietweetings(*, return_titles: Literal[False] = False) -> pd.DataFrame: ...


@overload
def load_movietweetings(
    *, return_titles: Literal[True]
) -> tuple[pd.DataFrame, "pd.Series[str]"]: ...


def load_movietweetings(
    *, return_titles: bool = False
) -> pd.DataFrame | tuple[pd.DataFrame, "pd.Series[str]"]:
    """Load MovieTweetings-100K, real ratings of films that people tweeted.

    100,000 ratings of 10,506 films by 16,554 users, from 28 February to 1 September 2013. The
    table comes with the library, so nothing is downloaded.

    Parameters
    ----------
    return_titles : bool, default=False
        Whether to return the titles of the films too.

    Returns
    -------
    interactions : DataFrame of shape (100000, 4)
        Columns `user`, `item`, `timestamp` (int64, seconds since 1970) and `rating` (float64,
        0 to 10), sorted by user and item as published, not by time. `item` is the number of the
        film at IMDb, less the zeros in front: 1074638 is https://www.imdb.com/title/tt1074638.
    titles : Series of shape (10506,)
        Title and year of each film, indexed by item. Only if `return_titles` is True.

    References
    ----------
    .. [1] S. Dooms, T. De Pessemier and L. Martens, "MovieTweetings: a Movie Rating Dataset
       Collected From Twitter", Workshop on Crowdsourcing and Human Computation for Recommender
       Systems (CrowdRec) at RecSys 2013, https://github.com/sidooms/MovieTweetings.

    Examples
    --------
    >>> from neumf.datasets import load_movietweetings
    >>> interactions, titles = load_movietweetings(return_titles=True)
    >>> interactions.head(3)
       user     item   timestamp  rating
    0     1  1074638  1365029107     7.0
    1     1  1853728  1366576639     8.0
    2     2   104257  1364690142     8.0
    >>> titles[1074638]
    'Skyfall (2012)'
    """
    interactions = _read("movietweetings-ratings.csv.xz").astype({"rating": "float64"})
    if not return_titles:
        return interactions
    return interactions, _read("movietweetings-titles.csv.xz").set_index("item")["title"]


def _read(name: str) -> pd.DataFrame:
    packed = resources.files(__package__).joinpath("data", name)
    with packed.open("rb") as stream, lzma.open(stream) as table:
        # Films are called "NA" or "None" as well: no title is a missing value.
        return pd.read_csv(table, keep_default_na=False)
