"""
Tutorial: from a table of reviews to recommendations
====================================================

You have a file of reviews: who reviewed what, and when. At the end of this page you have lists of
what each of these people may want next, and you know how good the lists are.

The page follows the usual walk-through of Neural Matrix Factorization: read the reviews, rank them
by time, turn ids into integers, hold out the last item of each user, draw 99 negatives for it,
train NeuMF, and report HR@10 and NDCG@10. Each step comes twice: first with a part of the library,
then with the few lines of NumPy and pandas that do the same, so that you see what happens inside.
The last section does all of it in five lines.

Every output below was printed when this page was built.
"""

# %%
# The one path to change
# ----------------------
# The page runs on the ratings of films that come with the library. To run it on your own reviews,
# download this page as a script (the link is at its end), and put the path of your file here. The
# reader takes the review files of Amazon of 2014, 2018 and 2023.

PATH = None  # for example "reviews_Movies_and_TV_5.json.gz"

# %%
# Without a path, the next cell writes the embedded ratings to a file in the format of those
# reviews. So the following steps are the same in both cases.

import gzip
import json
import tempfile
from pathlib import Path

from neumf import datasets

titles = {}
if PATH is None:
    ratings, titles = datasets.load_movietweetings(return_titles=True)
    ratings = datasets.filter_k_core(ratings, 10)
    PATH = Path(tempfile.mkdtemp()) / "reviews.json.gz"
    with gzip.open(PATH, "wt") as file:
        for row in ratings.itertuples():
            review = {
                "reviewerID": f"U{row.user}",
                "asin": f"tt{row.item:07}",
                "unixReviewTime": row.timestamp,
                "overall": row.rating,
            }
            file.write(json.dumps(review) + "\n")
    titles = {f"tt{item:07}": title for item, title in titles.items()}

# %%
# 1. Read the reviews
# -------------------
# A line of the file is one review. The reader keeps four fields of each line: who, what, when and
# the rating. It never keeps the texts, so a large file takes little memory.

X = datasets.read_amazon_reviews(PATH)
X.head()

# %%
# What happens inside: each line is parsed as JSON, and the fields get the names that the rest of
# the library looks for.

import pandas as pd

with gzip.open(PATH, "rt") as file:
    lines = [json.loads(line) for line in file]
by_hand = pd.DataFrame(
    {
        "user": [line["reviewerID"] for line in lines],
        "item": [line["asin"] for line in lines],
        "timestamp": [line["unixReviewTime"] for line in lines],
        "rating": [float(line["overall"]) for line in lines],
    }
)
print("the same table:", by_hand.equals(X))
print(f"{len(X):,} reviews, {X['user'].nunique():,} users, {X['item'].nunique():,} items")

# %%
# The rating is not used from here on. That somebody reviewed the film is the signal: this is called
# implicit feedback.

# %%
# 2. Rank each user's reviews by time
# -----------------------------------
# The splitter adds a column: 1 is the oldest review of the user. Reviews with equal timestamps
# share a rank.
#
# ``ties="row_order"`` says which of them counts as the later one when we hold out the last: the one
# further down in the file.

from neumf import LeaveLastOutSplitter

splitter = LeaveLastOutSplitter(ties="row_order")
splitter.fit_transform(X).head()

# %%
# What happens inside: a dense rank within each user.

rank = X.groupby("user")["timestamp"].rank(method="dense")
print("the same ranks:", (splitter.fit_transform(X)["rank"] == rank).all())

# %%
# 3. Turn ids into integers
# -------------------------
# The recommenders of the library take any ids and give the same ids back, so you do not need this
# step. Other tools need it.

from neumf import IdEncoder

encoder = IdEncoder().fit(X)
encoder.transform(X).head()

# %%
# What happens inside: each id gets an index, in the order in which ids first appear.

indices, ids = pd.factorize(X["user"])
print("the same indices:", (encoder.transform(X)["user"] == indices).all())
print("and back:", encoder.inverse_transform(encoder.transform(X)).equals(X))

# %%
# 4. Hold out the last item of each user
# --------------------------------------
# The last review of each user is the test row. The model may learn from all earlier ones.

X_train, X_test = splitter.train_test_split(X)
print(f"{len(X_train):,} rows to train on, {len(X_test):,} rows held out")

# %%
# What happens inside: a stable sort by time, and the last row of each user goes. A user with a
# single row would stay in training, as there would be nothing to know them by.

several = X[X.duplicated("user", keep=False)]
last = several.sort_values("timestamp", kind="stable").groupby("user").tail(1).sort_index()
print("the same rows:", last.equals(X_test))

# %%
# 5. Draw 99 negatives for each held-out item
# -------------------------------------------
# The protocol of the paper ranks the held-out item among 99 items that the user never had.

from neumf import NegativeSampler

negatives = NegativeSampler(n_negatives=99, random_state=0).fit(X).transform(X_test)
print(negatives.shape)

# %%
# What happens inside: of each user's unseen items, 99 are drawn. This sampler draws each of them on
# its own, so an item may come twice. The scorers of the last section draw 99 different ones.

import numpy as np

rng = np.random.default_rng(0)
first = X_test.iloc[0]
seen = set(X.loc[X["user"] == first["user"], "item"])
unseen = [item for item in X["item"].unique() if item not in seen]
print("drawn by hand:", rng.choice(unseen, 3).tolist())
print("nothing that was drawn is seen:", not seen & set(negatives[0]))

# %%
# 6. Train NeuMF
# --------------
# ``"paper-8"`` is the network of the paper with 8 factors: a matrix factorization (GMF) and a
# multilayer perceptron (MLP) side by side, each with vectors of its own.

from neumf import NeuMFRecommender

model = NeuMFRecommender.from_preset("paper-8", random_state=0)
model.fit(X_train)
print("loss of the first and of the last epoch:", np.round(model.history_["loss"], 3)[[0, -1]])

# %%
# What happens inside, first: each epoch draws four new negatives for each row, and gives the rows
# the label 1 and the negatives the label 0. One epoch's table looks like this. You can also train
# on such a table with ``fit(X, y)``.

table, labels = NegativeSampler(n_negatives=4, random_state=0).fit_resample(X_train)
print(f"{len(X_train):,} rows become {len(table):,}, of which {int(labels.sum()):,} have label 1")

# %%
# What happens inside, second: the network. With :math:`p_u, q_i` the vectors of the GMF half and
# :math:`p'_u, q'_i` those of the MLP half,
#
# .. math::
#
#     \hat{y}_{ui} = \sigma(h_G^\top (p_u \odot q_i) + h_M^\top \mathrm{MLP}([p'_u, q'_i]) + b)
#
# The weights are plain arrays, so the equation can be computed by hand.

weights = model.network_.weights.shared
user = model.users_.get_loc(first["user"])
item = model.items_.get_loc(X_train["item"].iloc[0])
p, q = model.network_.users[user], model.network_.items[item]  # GMF vector, then MLP vector
gmf = p[:8] * q[:8]
hidden = np.concatenate([p[8:], q[8:]])
for layer in (1, 2, 3):
    hidden = np.maximum(hidden @ weights[f"kernel_{layer}"] + weights[f"bias_{layer}"], 0)
logit = np.concatenate([gmf, hidden]) @ weights["output_kernel"][:, 0] + weights["output_bias"][0]
pair = pd.DataFrame({"user": [first["user"]], "item": [X_train["item"].iloc[0]]})
print("logit by hand: ", round(float(logit), 4))
print("logit of model:", round(float(model.decision_function(pair)[0]), 4))

# %%
# 7. Report HR@10 and NDCG@10
# ---------------------------
# HR@10 is the share of users whose held-out item is among the first ten of the hundred. NDCG@10
# gives more for a better place: :math:`1 / \log_2(1 + \mathrm{rank})`, and 0 beyond place 10.

from neumf import hr_scorer, ndcg_scorer

known = X_test[X_test["item"].isin(X_train["item"])]
print(f"HR@10   {hr_scorer(n_negatives=99)(model, known):.3f}")
print(f"NDCG@10 {ndcg_scorer(n_negatives=99)(model, known):.3f}")

# %%
# What happens inside: a table of a hundred scores for each user. The held-out item stands in the
# first column here, and its rank is one more than the number of scores above its own. The values
# differ a little, as other negatives were drawn.

drawn = NegativeSampler(n_negatives=99, random_state=0).fit(X).transform(known)
candidates = np.column_stack([known["item"], drawn])
pairs = pd.DataFrame({"user": np.repeat(known["user"].to_numpy(), 100), "item": candidates.ravel()})
unknown = ~pairs["item"].isin(model.items_)  # items that only held-out rows have
scores = np.full(len(pairs), -np.inf)
scores[~unknown] = model.decision_function(pairs[~unknown])
scores = scores.reshape(-1, 100)
ranks = 1 + (scores[:, 1:] > scores[:, :1]).sum(axis=1)
print(f"HR@10   {np.mean(ranks <= 10):.3f}")
print(f"NDCG@10 {np.mean(np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0)):.3f}")

# %%
# 8. Give lists
# -------------
# The list of a user holds the best items of the whole catalogue that the user has not had.

lists = model.recommend(X_test["user"].iloc[:3], k=5)
lists.assign(title=[titles.get(item, "") for item in lists["item"]])

# %%
# What happens inside: all items are scored, those that the user has seen are left out, and the rest
# is sorted.

everything = pd.DataFrame({"user": first["user"], "item": model.items_})
scores = pd.Series(model.decision_function(everything), index=model.items_)
scores[X_train.loc[X_train["user"] == first["user"], "item"].unique()] = -np.inf
by_hand = scores.sort_values(ascending=False, kind="stable").index[:5]
print("the same list:", list(by_hand) == list(lists["item"][:5]))

# %%
# All of it in five lines
# -----------------------
# `NextItemRecommender` makes the vector of a user from the last items that they had, so it knows
# the order of the reviews, and was the most accurate on tables of several kinds. `evaluate` ranks
# the held-out items among 99 others ("sampled"), as the paper does, and among the whole catalogue
# ("exact"), which is what a user would see.

from neumf import NextItemRecommender, evaluate

X = datasets.read_amazon_reviews(PATH)
X_train, X_test = LeaveLastOutSplitter(ties="row_order").train_test_split(X)
best = NextItemRecommender(random_state=0).fit(X_train)
known = X_test[X_test["item"].isin(X_train["item"])]
evaluate(best, known, metrics=["hr", "ndcg"], k=10, n_negatives=99)

# %%
# The network of the paper, which learns a vector for each user id, on the same rows:

evaluate(model, known, metrics=["hr", "ndcg"], k=10, n_negatives=99)

# %%
# And what the better model recommends to the same three users:

lists = best.recommend(X_test["user"].iloc[:3], k=5)
lists.assign(title=[titles.get(item, "") for item in lists["item"]])

# %%
# Where to go from here
# ---------------------
#
# - :doc:`/guides/which_recommender`: a table of what to use for which data.
# - :doc:`/guides/own_columns`: a table with other columns than these, from invoices to lists.
# - :doc:`/guides/evaluate`: how to measure without fooling yourself.
# - :doc:`/explanations/paper`: the equations of the paper beside the code that computes them.
