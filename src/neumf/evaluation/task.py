"""The parameters of a ranking: candidates, seen items, fold-in, request time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from neumf.utils.validation import check_bool, check_int, check_option


@dataclass(frozen=True, eq=False)
class RankingTask:
    """Parameters that the scorers, `evaluate` and `compare` share."""

    n_negatives: int | None = None
    random_state: int = 0
    exclude_seen: bool = True
    interactions: Any = None
    at: Literal["row"] | None = None
    candidates: Any = None

    def __post_init__(self) -> None:
        if self.n_negatives is not None:
            check_int("n_negatives", self.n_negatives, 1)
        # Only an int gives every candidate of a search the same negatives.
        check_int("random_state", self.random_state, 0)
        check_bool("exclude_seen", self.exclude_seen)
        check_option("at", self.at, (None, "row"))
        if isinstance(self.candidates, str) and self.candidates != "cold":
            raise ValueError(
                "candidates must be None, 'cold' or a collection of ids. Received: "
                f"{self.candidates!r}. Pass [{self.candidates!r}] if it is the only candidate."
            )

    def __str__(self) -> str:
        """Return the parameters as in a call; after the first two, defaults are left out."""
        shown = f"n_negatives={self.n_negatives}, random_state={self.random_state}"
        shown += "" if self.exclude_seen else ", exclude_seen=False"
        shown += "" if self.interactions is None else ", interactions=..."
        shown += "" if self.at is None else f", at={self.at!r}"
        if self.candidates is None:
            return shown
        is_word = isinstance(self.candidates, str)
        return f"{shown}, candidates={repr(self.candidates) if is_word else '...'}"
