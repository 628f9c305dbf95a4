"""Tables of features of the films of MovieTweetings and MovieLens."""

from pathlib import Path

import pandas as pd
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import MultiLabelBinarizer, OneHotEncoder

from neumf import datasets

FEATURES = ("genres", "title", "decade")


def read_items(train, path=None):
    """Return titles, years and genres by item, of a file or of what stands beside the ratings."""
    if train == "movietweetings":
        return datasets.load_movietweetings(return_items=True)[1]
    path = path or str(Path(train).with_name("u.item" if train.endswith("u.data") else "items.tsv"))
    if not path.endswith(".tsv"):
        return datasets.read_movielens_items(path)
    items = pd.read_csv(path, sep="\t", index_col=0)
    title = items["title"].str.extract(r"^(?P<title>.*) \((?P<year>\d{4})\)$")
    return title.astype({"year": float}).assign(genres=items["genres"])


def encode(items, names=FEATURES):
    """Return the features of items as sparse columns, by item."""
    columns = {
        "genres": lambda: MultiLabelBinarizer(sparse_output=True).fit_transform(
            items["genres"].map(lambda names: [name for name in names.split("|") if name])
        ),
        "title": lambda: TfidfVectorizer(min_df=2).fit_transform(items["title"]),
        "decade": lambda: OneHotEncoder().fit_transform(items[["year"]] // 10),
    }
    table = sp.hstack([columns[name]().astype(float) for name in names]).tocsr()
    return pd.DataFrame.sparse.from_spmatrix(table, index=items.index)
