"""The metadata of the installed package."""

import re
from importlib.metadata import metadata

import neumf

PACKAGE = metadata("scikit-neumf")


def test_the_version_is_that_of_the_module():
    assert PACKAGE["Version"] == neumf.__version__


def test_the_package_says_where_its_source_changes_and_issues_are():
    labels = {url.partition(",")[0] for url in PACKAGE.get_all("Project-URL")}
    assert labels == {"Source", "Changelog", "Issues"}


def test_no_link_of_the_description_is_relative_to_the_repository():
    links = re.findall(r"\]\(([^)]+)\)", PACKAGE["Description"])
    assert len(links) > 5
    assert [link for link in links if not link.startswith("https://")] == []
