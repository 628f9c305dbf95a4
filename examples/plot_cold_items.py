"""
New films without ratings
=========================

A new film has no ratings, but it has a title, a year and genres. This example hides all ratings of
a tenth of the films. Recommenders that know the features of a film then look for its users.
"""

# %%
# Turn features into numbers
# --------------------------
# scikit-learn's transformers make a table with one row per film. Each genre is a column of 0 and 1,
# and so is each year with at least 20 films. Rare words of a title weigh more than common ones.

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
print(f"{len(features):,} films with {features.shape[1]:,} columns")

# %%
# Hide films, then rank them
# --------------------------
# All rows of the hidden films are test rows. ``candidates="cold"`` ranks the hidden films alone.
# `NextItemRecommender` predicts the vector and the bias of a hidden film from its features.
# Random features show the hit rate of chance.

X_train, X_test = ColdItemSplitter(1, test_size=0.1, random_state=0).train_test_split(X)
X_test = X_test[X_test["user"].isin(X_train["user"])]

random = np.random.default_rng(0).normal(size=(len(items), 8))
models = {
    "chance": ContentKNNRecommender(pd.DataFrame(random, items.index)),
    "content KNN": ContentKNNRecommender(features),
    "NextItem": NextItemRecommender(item_features=features, add_user_vectors=True, random_state=0),
}
models = {name: model.fit(X_train) for name, model in models.items()}
results = compare(models, None, X_test, metrics="hr", k=10, candidates="cold")
print(results)

# %%
# Draw
# ----
# A bar is the share of users who rated at least one of the first ten films of their list. The thin
# line is one standard error to each side.

figure, ax = plt.subplots(figsize=(6.5, 3), layout="constrained")
figures = results.to_frame()
values, errors = figures["value"], figures["stderr"]
colors = ["0.7", "#b35900", "#0072b2"]
ax.barh(figures["estimator"], values, xerr=errors, color=colors, error_kw={"capsize": 4})
for row, (value, error) in enumerate(zip(values, errors, strict=True)):
    ax.text(value + error + 0.02, row, f"{value:.0%}", va="center")
ax.set_title("users with a hit among ten new films")
ax.set(xticks=[], xlim=(0, (values + errors).max() + 0.15))
ax.spines["bottom"].set_visible(False)
ax.invert_yaxis()
plt.show()

# %%
# A list of new films
# -------------------
# The user with the most hits. The last column says which films the user did rate later.

found = models["NextItem"].recommend(X_test["user"].unique(), allow=X_test["item"].unique())
hits = found.merge(X_test[["user", "item"]])
user = hits["user"].mode()[0]
films = found.loc[found["user"] == user, "item"]
items.loc[films].assign(rated=films.isin(hits.loc[hits["user"] == user, "item"]).to_numpy())
