"""Print the size of the package, and how a table travels through `fit` and `recommend`.

    python benchmarks/structure.py

Lines, files over 400 lines, functions with more than five arguments (public methods and functions
excepted), parameters of each recommender; then, of a fit and a list on MovieTweetings: the distinct
functions of the package that are called, and how often a call enters a module from another one.
"""

import ast
import inspect
import sys
from collections import Counter
from pathlib import Path

import neumf
from neumf import datasets

PACKAGE = Path(neumf.__file__).parent


def main():
    sources = {path: path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}
    lengths = {
        str(path.relative_to(PACKAGE)): len(text.splitlines()) for path, text in sources.items()
    }
    print(f"lines: {sum(lengths.values()):,} in {len(lengths)} files")
    print(f"files over 400 lines: {[name for name, length in lengths.items() if length > 400]}")
    print(f"functions with more than 5 arguments: {sorted(wide_functions(sources.values()))}")
    recommenders = {name: getattr(neumf, name) for name in neumf.__all__ if "Recommender" in name}
    n_parameters = {
        name: len(inspect.signature(cls).parameters) for name, cls in recommenders.items()
    }
    print(f"parameters: {n_parameters}")
    X = datasets.load_movietweetings()
    X = X[X["user"].isin(X["user"].unique()[:200])]
    model = neumf.__dict__.get("NextItemRecommender", neumf.NeuMFRecommender)
    model = model(n_factors=4, epochs=1, random_state=0).fit(X)  # imports and compiles
    for what, call in (
        ("fit", lambda: model.fit(X)),
        ("recommend", lambda: model.recommend([8, 9])),
    ):
        functions, entries = follow(call)
        print(
            f"{what}: {len(functions)} functions, {sum(entries.values())} entries into modules, "
            f"most often {entries.most_common(3)}"
        )


def wide_functions(texts):
    """Yield the private functions that take more than five arguments."""
    for text in texts:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                names = [
                    arg.arg
                    for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
                ]
                if len([name for name in names if name not in ("self", "cls")]) > 5:
                    yield node.name


def follow(call):
    """Return the functions of the package that a call runs, and the entries into each module."""
    functions, entries = set(), Counter()

    def note(frame, event, _):
        path = frame.f_code.co_filename
        if event != "call" or not path.startswith(str(PACKAGE)):
            return
        functions.add(
            (
                path,
                frame.f_code.co_qualname
                if hasattr(frame.f_code, "co_qualname")
                else frame.f_code.co_name,
            )
        )
        if frame.f_back is None or frame.f_back.f_code.co_filename != path:
            entries[str(Path(path).relative_to(PACKAGE))] += 1

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return functions, entries


if __name__ == "__main__":
    main()
