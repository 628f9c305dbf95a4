"""The losses, and what each of them needs.

A new loss is one entry of `LOSSES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Loss:
    """A loss of each row.

    Attributes
    ----------
    of_rows : callable
        ``of_rows(tf, scores, own, labels)`` gives the loss of each row, shape (n,). `scores` are
        the logits of the row's candidates, shape (n, n_candidates), `own` that of its own item,
        `labels` the label of each row. Candidates that are spare have a logit of -inf.
    candidates : {"negatives", "batch", "catalogue"}
        The row's own item, which comes first, and the negatives drawn for it; or those drawn for
        all rows of its batch; or all items. The last two take layers that score them in one
        product.
    takes_labels : bool
        Whether `y` may be given, for rows of which no negatives are drawn.
    """

    of_rows: Callable[[Any, Any, Any, Any], Any]
    candidates: Literal["negatives", "batch", "catalogue"] = "negatives"
    takes_labels: bool = False

    @property
    def draws_negatives(self) -> bool:
        """Whether negatives are drawn for rows without labels."""
        return self.candidates != "catalogue"

    @property
    def is_product(self) -> bool:
        """Whether candidates are scored for many rows at once, in one product of matrices."""
        return self.candidates != "negatives"


def _binary_crossentropy(tf: Any, scores: Any, own: Any, labels: Any) -> Any:
    """Return the mean over a row's candidates (equation 7 of the paper); negatives have label 0."""
    targets = tf.pad(labels[:, None], [[0, 0], [0, scores.shape[1] - 1]])
    return tf.reduce_mean(
        tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=scores), axis=1
    )


def _bpr(tf: Any, scores: Any, own: Any, labels: Any) -> Any:
    """Return -log sigmoid(positive - negative), the mean over a row's negatives."""
    return tf.reduce_mean(tf.nn.softplus(scores[:, 1:] - own[:, None]), axis=1)


def _softmax(tf: Any, scores: Any, own: Any, labels: Any) -> Any:
    """Return -log softmax of the positive among its row's candidates."""
    return tf.reduce_logsumexp(scores, axis=1) - own


# By the name that `loss` takes.
LOSSES: dict[str, Loss] = {
    "binary_crossentropy": Loss(_binary_crossentropy, takes_labels=True),
    "bpr": Loss(_bpr),
    "sampled_softmax": Loss(_softmax),
    "batch_softmax": Loss(_softmax, candidates="batch"),
    "softmax": Loss(_softmax, candidates="catalogue"),
}
