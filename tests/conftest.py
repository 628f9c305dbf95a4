import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, settings

# The first call of a function in pandas or scikit-learn may import a module and miss a deadline.
# Continuous integration judges the change, not the luck of a draw.
settings.register_profile("neumf", deadline=None, derandomize="CI" in os.environ)
# Mutation testing: most mutants fail at one of the first examples; the smallest one is not needed.
settings.register_profile(
    "mutation",
    deadline=None,
    derandomize=True,
    max_examples=30,
    phases=(Phase.explicit, Phase.generate),
)
settings.load_profile("neumf")


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
