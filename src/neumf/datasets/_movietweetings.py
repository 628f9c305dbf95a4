"""The embedded data set: 100,000 ratings of films, tweeted in 2013."""

import lzma
from importlib import resources
from typing import Any, Literal, overload

import pandas as pd

from neumf.datasets._movielens import split_years


@overload
def load_movietweetings(
    *, return_titles: Literal[False] = False, return_items: Literal[False] = False
) -> pd.DataFrame: ...


@overload
def load_movietweetings(
    *, return_titles: Literal[True], return_items: Literal[False] = False
) -> tuple[pd.DataFrame, "pd.Series[str]"]: ...


@overload
def load_movietweetings(
    *, return_titles: Literal[False] = False, return_items: Literal[True]
) -> tuple[pd.DataFrame, pd.DataFrame]: ...


@overload
def load_movietweetings(
    *, return_titles: Literal[True], return_items: Literal[True]
) -> tuple[pd.DataFrame, "pd.Series[str]", pd.DataFrame]: ...


def load_movietweetings(*, return_titles: bool = False, return_items: bool = False) -> Any:
    """Load MovieTweetings-100K, real ratings of films that people tweeted.

    .. versionadded:: 0.1

    The data set has 100,000 ratings of 10,506 films by 16,554 users, from 28 February to 1
    September 2013. It is part of the package, so nothing is downloaded.

    Parameters
    ----------
    return_titles : bool, default=False
        Whether to return the titles of the films, with the years.
    return_items : bool, default=False
        Whether to return a table of the titles, years and genres of the films.

    Returns
    -------
    interactions : DataFrame of shape (100000, 4)
        Columns `user`, `item` (the number of the film at IMDb), `timestamp` (int64, seconds since
        1970) and `rating` (float64, 0 to 10). Rows are sorted by user and item, not by time.
    titles : Series of shape (10506,)
        Title and year of each film, indexed by item. Only if `return_titles` is True.
    items : DataFrame of shape (10506, 3)
        Columns `title` (str, without the year), `year` (int64) and `genres` (str, joined by "|"),
        indexed by item. Only if `return_items` is True.

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
    >>> interactions, items = load_movietweetings(return_items=True)
    >>> items.loc[1074638].to_dict()
    {'title': 'Skyfall', 'year': 2012, 'genres': 'Action|Adventure|Crime|Thriller'}
    """
    interactions = _read("movietweetings-ratings.csv.xz").astype({"rating": "float64"})
    if not return_titles and not return_items:
        return interactions
    films = _read("movietweetings-items.csv.xz").set_index("item")
    items = split_years(films["title"]).astype({"year": "int64"}).assign(genres=films["genres"])
    asked = ((return_titles, films["title"]), (return_items, items))
    return (interactions, *(table for is_asked, table in asked if is_asked))


def _read(name: str) -> pd.DataFrame:
    packed = resources.files(__package__).joinpath("data", name)
    with packed.open("rb") as stream, lzma.open(stream) as table:
        # Films may be called "NA" or "None", and some have no genre: these are not missing values.
        return pd.read_csv(table, keep_default_na=False)
