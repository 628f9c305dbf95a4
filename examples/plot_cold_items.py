"""
Films that nobody has seen yet
==============================

A new film has no ratings, so what other users had tells nothing of it. But its title, its year and
its genres are known. Here a tenth of the films are hidden, with all their ratings, and recommenders
that know these features look for the users who will like them.
"""

# %%
# What is known of the films
# --------------------------
# A table with a row per film, as numbers: scikit-learn's transformers make them of texts and
# categories. Each genre gets a column of 0 and 1, so does each year of 20 films or more, and
# words of titles are weighed by how rare they are.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.preprocessing import OneHotEncoder

from neumf import ColdItemSplitter, ContentKNNRecommender, NextItemRecommender, compare, datasets

X, items = datasets.load_movietweetings(return_items=True)
X = datasets.filter_k_core(X, 10)
items = items.loc[X["item"].unique()]

encoder = make_column_transformer(
    (CountVectorizer(token_pattern=r"[^|]+", binary=True), "genres"),
    (TfidfVectorizer(min_df=2), "title"),
    (OneHotEncoder(min_frequency=20, handle_unknown="infrequent_if_exist"), ["year"]),
    sparse_threshold=1,
)
features = pd.DataFrame.sparse.from_spmatrix(
    encoder.fit_transform(items), items.index, encoder.get_feature_names_out()
)
print(items.head(3))
print(f"{len(features):,} films with {features.shape[1]:,} columns")

# %%
# Hide films and look for them
# ----------------------------
# All rows of the hidden films are test rows. With ``candidates="cold"`` they are ranked among the
# films without training rows alone. Random features show what chance finds. The network predicts
# the vector of a film without ratings from its features, by a ridge regression over the others.
# With ``user_vectors=True`` each user also has a vector of their own.

X_train, X_test = ColdItemSplitter(1, test_size=0.1, random_state=0).train_test_split(X)
X_test = X_test[X_test["user"].isin(X_train["user"])]

random = np.random.default_rng(0).normal(size=(len(items), 8))
models = {
    "random\nfeatures": ContentKNNRecommender(pd.DataFrame(random, items.index)),
    "content KNN": ContentKNNRecommender(features),
    "network": NextItemRecommender(item_features=features, user_vectors=True, random_state=0),
}
models = {name: model.fit(X_train) for name, model in models.items()}
results = compare(models, None, X_test, metrics=["hr", "ndcg"], k=10, candidates="cold")
print(results)

# %%
# One user
# --------
# The one whose list has the most hits.

model = models["network"]
found = model.recommend(X_test["user"].unique(), k=10, allow=X_test["item"].unique())
hits = found.merge(X_test[["user", "item"]])
user = hits["user"].value_counts().idxmax()
had = X_train.loc[X_train["user"] == user, "item"]
top = found[found["user"] == user]

# %%
# Draw
# ----
# On the right the ten films that are first in the list of this user, those that they did rate in
# green. None of them has a rating in training.

figure, (left, right) = plt.subplots(
    1, 2, figsize=(11, 4.5), width_ratios=[2, 3], layout="constrained"
)
hit_rates = results[results["metric"] == "hr"]
bars = left.bar(
    hit_rates["estimator"],
    hit_rates["value"],
    yerr=hit_rates["stderr"],
    color=["silver", "tab:blue", "tab:green"][: len(models)],
)
left.bar_label(bars, fmt="{:.0%}", padding=3)
left.set(title="users with a hit in the first ten\nof the hidden films", yticks=[])
left.spines[["top", "left", "right"]].set_visible(False)

genres = items.loc[had, "genres"].str.split("|").explode().value_counts().head(4)
right.set_title(
    f"new films for user {user}, who had {len(had)} others:\n"
    + ", ".join(f"{count} {genre}" for genre, count in genres.items()),
    fontsize=10,
)
own = set(X_test.loc[X_test["user"] == user, "item"])
for line in top.itertuples():
    film = items.loc[line.item]
    right.text(
        0,
        -line.rank,
        f"{line.rank}. {film['title']} ({film['year']})  {film['genres'].replace('|', ', ')}",
        color="tab:green" if line.item in own else "black",
        weight="bold" if line.item in own else "normal",
        fontsize=9,
    )
right.set(xlim=(0, 1), ylim=(-10.7, -0.3))
right.set_axis_off()
plt.show()
