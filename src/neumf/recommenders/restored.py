"""Values that several recommenders read from files."""

from __future__ import annotations

from neumf.interactions.moments import Span
from neumf.saving.checked_values import CheckedValues


def restore_span(state: CheckedValues) -> Span:
    """Return the span in a file."""
    return Span(state.number("length", above=0), state.of_type("in_time", bool))
