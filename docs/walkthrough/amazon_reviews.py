"""
Tutorial: from a table of reviews to recommendations
====================================================

Give this page the path of a file of Amazon reviews. At the end you have a list of recommendations
for each user, and you know how good the lists are.

The page replaces the classic NeuMF tutorial, step by step:

==============================================  ==================================================
classic tutorial                                here
==============================================  ==================================================
read the reviews                                :func:`~neumf.datasets.read_amazon_reviews`
rank each user's rows by time                   :class:`~neumf.LeaveLastOutSplitter`, ``transform``
map ids to integers                             not needed, or :class:`~neumf.IdEncoder`
leave the last item out                         :class:`~neumf.LeaveLastOutSplitter`
mix it with 99 unseen items                     :class:`~neumf.NegativeSampler`
train NeuMF                                     :class:`~neumf.NeuMFRecommender`
Hit Ratio and NDCG at 10                        :func:`~neumf.hr_scorer`, :func:`~neumf.ndcg_scorer`
==============================================  ==================================================

Each step first calls the library. Then a few lines of NumPy and pandas compute the same, so you see
what happens inside. The last section needs five lines for everything.

The outputs below were printed when this page was built.
"""

# %%
# The path of your file
# ---------------------
# Download this page as a script (the link is at its end), and put the path of your file here. The
# page takes Amazon's JSON files of 2014, 2018 and 2023, plain or compressed by gzip.

PATH = None  # for example "reviews_Movies_and_TV_5.json.gz"

# %%
# Without a path, the page uses the film ratings that come with the library. This cell writes them
# in the format of Amazon's reviews, so all further steps are the same.

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
# *Replaces the classic step "read the reviews".*
#
# Each line of the file is one review. The reader keeps four fields: user, item, time and rating. It
# does not keep the texts, so a large file needs little memory.

X = datasets.read_amazon_reviews(PATH)
X.head()

# %%
# **What happens inside.** Python parses each line as JSON, and picks the four fields.

import pandas as pd

FIELDS = ["reviewerID", "asin", "unixReviewTime", "overall"]
FIELDS_OF_2023 = ["user_id", "parent_asin", "timestamp", "rating"]

opener = gzip.open if str(PATH).endswith(".gz") else open
with opener(PATH, "rt", encoding="utf-8") as file:
    reviews = map(json.loads, file)
    rows = [
        [review[name] for name in (FIELDS_OF_2023 if "user_id" in review else FIELDS)]
        for review in reviews
    ]
by_hand = pd.DataFrame(rows, columns=["user", "item", "timestamp", "rating"])
print("the same users and items:", by_hand[["user", "item"]].equals(X[["user", "item"]]))
print(f"{len(X):,} reviews, {X['user'].nunique():,} users, {X['item'].nunique():,} items")

# %%
# The following steps ignore the rating. The review itself is the signal: this is called implicit
# feedback.

# %%
# 2. Rank each user's reviews by time
# -----------------------------------
# *Replaces the classic step "rank each user's rows by time".*
#
# The splitter adds a column ``rank``. Rank 1 is the user's oldest review, and reviews with equal
# timestamps share a rank. ``ties="row_order"`` matters in step 4: among reviews with the last
# timestamp, the lowest one in the file is held out.

from neumf import LeaveLastOutSplitter

splitter = LeaveLastOutSplitter(ties="row_order")
splitter.fit_transform(X).head()

# %%
# **What happens inside.** pandas computes a dense rank for each user.

rank = X.groupby("user")["timestamp"].rank(method="dense")
print("the same ranks:", (splitter.fit_transform(X)["rank"] == rank).all())

# %%
# 3. Turn ids into integers
# -------------------------
# *Replaces the classic step "map ids to integers".*
#
# You can skip this step. The recommenders take any ids and return the same ids. Other tools may
# need integers.

from neumf import IdEncoder

encoder = IdEncoder().fit(X)
encoder.transform(X).head()

# %%
# **What happens inside.** Each id gets an index, in order of first appearance.

indices, ids = pd.factorize(X["user"])
print("the same indices:", (encoder.transform(X)["user"] == indices).all())
print("and back:", encoder.inverse_transform(encoder.transform(X)).equals(X))

# %%
# 4. Hold out the last item of each user
# --------------------------------------
# *Replaces the classic step "leave the last item out".*
#
# The last review of each user becomes a test row. The model trains on all earlier reviews.

X_train, X_test = splitter.train_test_split(X)
print(f"{len(X_train):,} rows to train on, {len(X_test):,} rows held out")

# %%
# **What happens inside.** pandas sorts the rows by time and takes each user's last row. Users with
# a single row stay in training: a test row needs earlier rows of its user.

several = X[X.duplicated("user", keep=False)]
last = several.sort_values("timestamp", kind="stable").groupby("user").tail(1).sort_index()
print("the same rows:", last.equals(X_test))

# %%
# 5. Draw 99 negatives for each held-out item
# -------------------------------------------
# *Replaces the classic step "mix the held-out item with 99 unseen items".*
#
# The paper ranks the held-out item among 99 items that the user has never had.

from neumf import NegativeSampler

negatives = NegativeSampler(n_negatives=99, random_state=0).fit(X).transform(X_test)
print(negatives.shape)

# %%
# **What happens inside.** NumPy draws from the items that the user has not seen. This sampler may
# draw an item twice; the scorers of step 7 draw 99 different items.

import numpy as np

rng = np.random.default_rng(0)
first = X_test.iloc[0]
seen = set(X.loc[X["user"] == first["user"], "item"])
unseen = [item for item in X["item"].unique() if item not in seen]
print("drawn by hand:", rng.choice(unseen, 3).tolist())
print("no negative is a seen item:", not seen & set(negatives[0]))

# %%
# 6. Train NeuMF
# --------------
# *Replaces the classic step "build and train NeuMF in Keras".*
#
# ``"paper-8"`` is the paper's network with 8 factors. It has two halves: a matrix factorization
# (GMF) and a multilayer perceptron (MLP). Each half has its own vectors.

from neumf import NeuMFRecommender

model = NeuMFRecommender.from_preset("paper-8", random_state=0)
model.fit(X_train)
print("loss of the first and of the last epoch:", np.round(model.history_["loss"], 3)[[0, -1]])

# %%
# **What happens inside: the samples.** Each epoch draws four new negatives per row. Rows get the
# label 1, and negatives the label 0. This is the table of one epoch. You can train on such a table
# with ``fit(X, y)``.

table, labels = NegativeSampler(n_negatives=4, random_state=0).fit_resample(X_train)
print(f"{len(X_train):,} rows become {len(table):,}, of which {int(labels.sum()):,} have label 1")

# %%
# **What happens inside: the network.** With the vectors :math:`p_u, q_i` of the GMF half and
# :math:`p'_u, q'_i` of the MLP half, the network computes
#
# .. math::
#
#     \hat{y}_{ui} = \sigma(h_G^\top (p_u \odot q_i) + h_M^\top \mathrm{MLP}([p'_u, q'_i]) + b)
#
# The weights are NumPy arrays, so you can compute the logit by hand.

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
# *Replaces the classic step "Hit Ratio and NDCG at 10".*
#
# HR@10 (Hit Ratio) is the share of users whose held-out item is among the best ten of the hundred.
# NDCG@10 rewards a better rank: it is :math:`1 / \log_2(1 + \mathrm{rank})`, and 0 beyond rank 10.

from neumf import hr_scorer, ndcg_scorer

known = X_test[X_test["item"].isin(X_train["item"])]
print(f"HR@10   {hr_scorer(n_negatives=99)(model, known):.3f}")
print(f"NDCG@10 {ndcg_scorer(n_negatives=99)(model, known):.3f}")

# %%
# **What happens inside.** The model scores a hundred items per user. The held-out item is in the
# first column. Its rank is 1 plus the number of larger scores. The values differ a little from the
# values above, because other negatives are drawn.

some = known.head(5000)  # enough users, and little memory
drawn = NegativeSampler(n_negatives=99, random_state=0).fit(X).transform(some)
candidates = np.column_stack([some["item"], drawn])
pairs = pd.DataFrame({"user": np.repeat(some["user"].to_numpy(), 100), "item": candidates.ravel()})
unknown = ~pairs["item"].isin(model.items_)  # items that only held-out rows have
scores = np.full(len(pairs), -np.inf)
scores[~unknown] = model.decision_function(pairs[~unknown])
scores = scores.reshape(-1, 100)
ranks = 1 + (scores[:, 1:] > scores[:, :1]).sum(axis=1)
print(f"HR@10   {np.mean(ranks <= 10):.3f}")
print(f"NDCG@10 {np.mean(np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0)):.3f}")

# %%
# 8. Make lists
# -------------
# The classic tutorial ends before this step. A user's list holds the best items of the whole
# catalogue that the user has not seen.

lists = model.recommend(X_test["user"].iloc[:3], k=5)
lists.assign(title=[titles.get(item, "") for item in lists["item"]])

# %%
# **What happens inside.** The model scores all items, leaves out the user's seen items, and sorts
# the rest.

everything = pd.DataFrame({"user": first["user"], "item": model.items_})
scores = pd.Series(model.decision_function(everything), index=model.items_)
scores[X_train.loc[X_train["user"] == first["user"], "item"].unique()] = -np.inf
by_hand = scores.sort_values(ascending=False, kind="stable").index[:5]
print("the same list:", list(by_hand) == list(lists["item"][:5]))

# %%
# All of it in five lines
# -----------------------
# ``NextItemRecommender`` predicts the next item from a user's last items. It uses the order of the
# reviews, and was the most accurate on four tables. ``evaluate`` ranks the held-out items among 99
# others ("sampled"), as in the paper, and among the whole catalogue ("exact"), as for a real list.

from neumf import NextItemRecommender, evaluate

X = datasets.read_amazon_reviews(PATH)
X_train, X_test = LeaveLastOutSplitter(ties="row_order").train_test_split(X)
best = NextItemRecommender(random_state=0).fit(X_train)
known = X_test[X_test["item"].isin(X_train["item"])]
evaluate(best, known, metrics=["hr", "ndcg"], k=10, n_negatives=99)

# %%
# The paper's network on the same rows, for comparison:

evaluate(model, known, metrics=["hr", "ndcg"], k=10, n_negatives=99)

# %%
# The lists of ``NextItemRecommender`` for the same three users:

lists = best.recommend(X_test["user"].iloc[:3], k=5)
lists.assign(title=[titles.get(item, "") for item in lists["item"]])

# %%
# Next
# ----
#
# - :doc:`/guides/which_recommender`: choose a recommender for your data.
# - :doc:`/guides/own_columns`: use a table with other columns, such as invoices.
# - :doc:`/guides/evaluate`: measure without fooling yourself.
# - :doc:`/explanations/paper`: read the paper's equations beside the code.
