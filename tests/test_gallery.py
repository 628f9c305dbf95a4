"""The site does not build where an example of its gallery warns."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx_gallery")

CONF = Path(__file__).resolve().parents[1] / "docs" / "conf.py"
OWN_CONF = f"""
import runpy
of_site = runpy.run_path({str(CONF)!r})["sphinx_gallery_conf"]
extensions = ["sphinx_gallery.gen_gallery"]
sphinx_gallery_conf = of_site | {{"examples_dirs": ["examples"], "gallery_dirs": ["gallery"]}}
"""
EXAMPLE = '''"""
An example
==========
"""

import warnings
warnings.warn("mind the gap")
'''


def test_an_example_that_warns_fails_the_build(tmp_path):
    examples = tmp_path / "examples"
    examples.mkdir()
    (examples / "GALLERY_HEADER.rst").write_text("Gallery\n=======\n")
    (examples / "plot_one.py").write_text(EXAMPLE)
    (tmp_path / "index.rst").write_text("Index\n=====\n\n.. toctree::\n\n   gallery/index\n")
    (tmp_path / "conf.py").write_text(OWN_CONF)
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "dummy", tmp_path, tmp_path / "built"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode != 0
    assert "UserWarning: mind the gap" in result.stderr
