"""Parts of recommenders from files, each value checked."""

from __future__ import annotations

from neumf.interactions.moments import Span
from neumf.interactions.user_items import UserItems
from neumf.saving.checked_values import CheckedValues


def restore_span(state: CheckedValues) -> Span:
    """Return the span in a file."""
    return Span(state.number("length", above=0), state.of_type("in_time", bool))


def restore_user_items(state: CheckedValues, n_users: int, n_items: int) -> UserItems:
    """Return the items of users in a file."""
    items = state.indices("items", (None,), n_items)
    bounds = state.bounds("bounds", n_users, len(items))
    seconds = state.floats("seconds", items.shape) if state.has("seconds") else None
    return UserItems(items, bounds, seconds)
