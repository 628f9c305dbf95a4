import os
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def real_data():
    """Return the path of a real file that is not in the repository, or skip the test."""
    beside_the_repository = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("NEUMF_DATA", beside_the_repository))

    def find(*parts):
        path = folder.joinpath(*parts)
        if not path.exists():
            pytest.skip(f"needs {'/'.join(parts)}; set NEUMF_DATA to the folder that holds it")
        return path

    return find
