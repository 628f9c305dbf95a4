"""The gallery: examples may not warn, and each page begins with its picture."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx_gallery")

CONF = Path(__file__).resolve().parents[1] / "docs" / "conf.py"
OWN_CONF = f"""
import runpy
of_site = runpy.run_path({str(CONF)!r})["sphinx_gallery_conf"]
extensions = ["sphinx_gallery.gen_gallery", "gallery_pictures"]
sphinx_gallery_conf = of_site | {{"examples_dirs": ["examples"], "gallery_dirs": ["gallery"]}}
"""
WARNS = '''"""
An example
==========
"""

import warnings
warnings.warn("mind the gap")
'''
DRAWS = '''"""
An example
==========

It draws.
"""

# %%
# Count
# -----
print("counted")

# %%
# Draw
# ----
import matplotlib.pyplot as plt
figure, axes = plt.subplots(1, 2, figsize=(9, 3))
axes[0].set_title("a title")
axes[0].set_xlabel("a label that is too long for a thumbnail")
'''


def build(folder, example, builder):
    """Build a site with one example; return what the process did."""
    examples = folder / "examples"
    examples.mkdir()
    (examples / "GALLERY_HEADER.rst").write_text("Gallery\n=======\n")
    (examples / "plot_one.py").write_text(example)
    (folder / "index.rst").write_text("Index\n=====\n\n.. toctree::\n\n   gallery/index\n")
    (folder / "conf.py").write_text(OWN_CONF)
    command = [sys.executable, "-m", "sphinx", "-q", "-b", builder, folder, folder / "built"]
    return subprocess.run(command, capture_output=True, text=True)


def test_an_example_that_warns_fails_the_build(tmp_path):
    result = build(tmp_path, WARNS, "dummy")
    assert result.returncode != 0
    assert "UserWarning: mind the gap" in result.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build a site with an example that draws."""
    folder = tmp_path_factory.mktemp("site")
    result = build(folder, DRAWS, "html")
    assert result.returncode == 0, result.stderr
    return folder


def test_the_picture_of_an_example_is_above_its_code(site):
    page = (site / "built" / "gallery" / "plot_one.html").read_text(encoding="utf-8")
    places = [page.index(words) for words in ("<p>It draws.</p>", 'alt="a title', "counted")]
    assert places == sorted(places)
    assert page.count("sphx-glr-single-img") == 1


def test_pictures_are_transparent_and_thumbnails_have_their_size(site):
    plt = pytest.importorskip("matplotlib.pyplot")
    images = site / "gallery" / "images"
    picture = plt.imread(images / "sphx_glr_plot_one_001.png")
    thumbnail = plt.imread(images / "thumb" / "sphx_glr_plot_one_thumb.png")
    assert picture.shape[:2] == (300, 900)
    assert picture[0, 0, 3] == 0
    assert thumbnail.shape[:2] == (280, 400)
