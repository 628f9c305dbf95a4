import os
from pathlib import Path

# Workers of pytest-xdist have a core each. OpenBLAS, which reads this when NumPy is imported, would
# start a thread for each core in each worker, and those that wait for a core keep it busy.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import pytest
from compiled_programs import CompiledPrograms
from hypothesis import Phase, settings

# The first call of a function in pandas or scikit-learn may import a module and miss a deadline.
# Continuous integration judges the change, not the luck of a draw.
settings.register_profile("all", deadline=None, derandomize="CI" in os.environ)
settings.register_profile("few", settings.get_profile("all"), max_examples=20)
# Mutation testing: most mutants fail at one of the first examples; the smallest one is not needed.
settings.register_profile(
    "mutation",
    deadline=None,
    derandomize=True,
    max_examples=30,
    phases=(Phase.explicit, Phase.generate),
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "all"))

# Tools have no examples, and some need what is not installed everywhere.
collect_ignore = [
    path.name for path in Path(__file__).parent.glob("*.py") if not path.name.startswith("test_")
]


def pytest_configure(config):
    config.pluginmanager.register(CompiledPrograms())


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def table():
    """60 users with 6 interactions each among 30 items, with times."""
    rng = np.random.default_rng(7)
    items = np.concatenate([rng.choice(30, 6, replace=False) for _ in range(60)])
    users = np.repeat(np.arange(60), 6)
    shuffle = rng.permutation(360)
    columns = {"user": users, "item": items, "timestamp": rng.integers(0, 1000, 360)}
    return pd.DataFrame(columns).iloc[shuffle].reset_index(drop=True)


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
