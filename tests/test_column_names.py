"""Names of columns: how they are compared, and that the published list is the one that is used."""

import re
from pathlib import Path

import pytest

from neumf.interactions.column_names import COLUMN_NAMES, match_labels, match_names, normalise_name

PAGE = Path(__file__).resolve().parents[1] / "docs" / "guides" / "columns_times_ids.md"


@pytest.mark.parametrize(
    "name", ["userid", "UserId", "user_id", "User ID", " user-id ", "user_id:token", "USER.ID"]
)
def test_spelling_does_not_count(name):
    assert normalise_name(name) == "userid"


@pytest.mark.parametrize(
    "name", ["user_id:tokens", "user id 2", "my_user_id", "useride", 0, ("u",)]
)
def test_other_names_stay_other_names(name):
    assert match_names([name], "user") == []


@pytest.mark.parametrize("role", COLUMN_NAMES)
def test_every_name_is_normal_and_stands_for_one_role(role):
    names = [name for tier in COLUMN_NAMES[role] for name in tier]
    assert [normalise_name(name) for name in names] == names
    assert len(set(names)) == len(names)
    others = {
        name
        for other, tiers in COLUMN_NAMES.items()
        if other != role
        for tier in tiers
        for name in tier
    }
    assert others.isdisjoint(names)


@pytest.mark.parametrize("role", COLUMN_NAMES)
def test_page_lists_the_names_that_are_read(role):
    paragraphs = [" ".join(text.split()) for text in PAGE.read_text("utf-8").split("\n\n")]
    (listed,) = (text for text in paragraphs if text.startswith(f"**{role}**: "))
    first, _, second = listed.partition("Only without one of these:")
    assert tuple(re.findall(r"`(\w+)`", first)) == COLUMN_NAMES[role][0]
    assert tuple(re.findall(r"`(\w+)`", second)) == COLUMN_NAMES[role][1]


def test_labels_are_known_by_name():
    assert match_labels(["user", "Label", "target", "label_of_price"]) == ["Label", "target"]
