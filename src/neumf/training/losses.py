"""The losses. To add one, add an entry to `LOSSES`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Loss:
    """A loss of each row, and the candidates that it compares.

    The candidates of a row are

    - "negatives": its own item, then the negatives drawn for it;
    - "batch": all negatives of its batch, beside its own item;
    - "catalogue": all items, by index.
    """

    # (tf, logits of the candidates, of shape (n, n_candidates), -inf for padding, logit of each
    # row's own item, label of each row) -> loss of each row, shape (n,)
    per_row: Callable[[Any, Any, Any, Any], Any]
    candidates: Literal["negatives", "batch", "catalogue"] = "negatives"
    takes_labels: bool = False  # whether `y` is accepted; rows with labels get no negatives
    words: str = ""  # the loss of a row, as `verbose=1` explains it

    @property
    def draws_negatives(self) -> bool:
        """Whether negatives are drawn for rows without labels."""
        return self.candidates != "catalogue"

    @property
    def is_product(self) -> bool:
        """Whether one matrix product scores the candidates of all rows of a batch."""
        return self.candidates != "negatives"


def _binary_crossentropy(tf: Any, scores: Any, own: Any, labels: Any) -> Any:
    """Return the mean cross-entropy of a row's candidates (equation 7); negatives have label 0."""
    targets = tf.pad(labels[:, None], [[0, 0], [0, scores.shape[1] - 1]])
    return tf.reduce_mean(
        tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=scores), axis=1
    )


def _bpr(tf: Any, scores: Any, own: Any, labels: Any) -> Any:
    """Return the mean of -log sigmoid(positive - negative) over a row's negatives."""
    return tf.reduce_mean(tf.nn.softplus(scores[:, 1:] - own[:, None]), axis=1)


def _softmax(tf: Any, scores: Any, own: Any, labels: Any) -> Any:
    """Return -log softmax of the positive among its row's candidates."""
    return tf.reduce_logsumexp(scores, axis=1) - own


def _batch_softmax(tf: Any, scores: Any, own: Any, labels: Any) -> Any:
    """Return -log softmax of the positive among itself and the negatives of its batch."""
    # Without joining the logits, which would copy the largest array of a step.
    top = tf.stop_gradient(tf.maximum(tf.reduce_max(scores, axis=1), own))
    total = tf.exp(own - top) + tf.reduce_sum(tf.exp(scores - top[:, None]), axis=1)
    return top + tf.math.log(total) - own


# value of the parameter `loss` -> loss
LOSSES: dict[str, Loss] = {
    "binary_crossentropy": Loss(
        _binary_crossentropy,
        takes_labels=True,
        words="the cross-entropy between labels and probabilities, of the row and its negatives",
    ),
    "bpr": Loss(_bpr, words="-log sigmoid(logit of the item - logit of a negative)"),
    "sampled_softmax": Loss(_softmax, words="-log softmax of the item among its negatives"),
    "batch_softmax": Loss(
        _batch_softmax,
        candidates="batch",
        words="-log softmax of the item among the negatives of its batch",
    ),
    "softmax": Loss(
        _softmax, candidates="catalogue", words="-log softmax of the item among all items"
    ),
}
