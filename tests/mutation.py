"""Mutation testing: `tox -e mutation -- [--jobs N] [--sample N] [room ...]`.

mutmut changes an operator, a number or an argument of the code, and runs the tests that reach the
change. A mutant that passes them all has survived: no test holds what it changed. The rooms are in
pyproject.toml, each with the modules that are mutated and the tests that hold them;
mutation_equivalents.toml has the mutants that no test can tell from the code.
"""

import argparse
import ast
import difflib
import json
import random
import shutil
import subprocess
import sys
import time
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
MUTMUT = Path(sys.executable).with_name("mutmut")
# By the status that mutmut gives: that of pytest, 33 for a mutant that no test reaches, and SIGXCPU
# for one that takes too long.
OUTCOMES = {0: "survived", 1: "killed", 33: "survived", -24: "timed out", None: "untested"}
KILLED = ("killed", "timed out")
LEAST_SCORE = 90


@dataclass(frozen=True)
class Room:
    """Modules that are mutated, and the tests that hold them."""

    name: str
    modules: list[str]
    tests: list[str]
    sample: int | None = None  # how many mutants are tested; None for all
    leave_out: str = ""  # tests of these words (pytest's -k): slow ones, that hold other rooms

    def prepare(self, folder: Path) -> None:
        """Copy sources and tests, and write the configuration of mutmut."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("src", "tests"):
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True, ignore=ignore)
        own = {
            "only_mutate": [f"src/neumf/{module}.py" for module in self.modules],
            "pytest_add_cli_args_test_selection": [f"tests/{name}" for name in self.tests],
        }
        if self.leave_out:
            own["pytest_add_cli_args_test_selection"] += ["-k", f"not ({self.leave_out})"]
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in own.items())
        text = (ROOT / "pyproject.toml").read_text()
        header = "[tool.mutmut]\n"
        (folder / "pyproject.toml").write_text(text.replace(header, header + lines))

    def choose(self, folder: Path, seed: int) -> dict[str, int | None]:
        """Return the status of all mutants or a sample, without those whose strings alone differ.

        Such strings are mostly messages.
        """
        results, changes = read_results(folder), read_changes(folder)
        names = sorted(name for name in results if not changes[name][2])
        if self.sample is not None:
            names = random.Random(seed).sample(names, min(self.sample, len(names)))
        return {name: results[name] for name in names}

    def run(self, folder: Path, jobs: int, seed: int) -> None:
        """Test the chosen mutants, but those that have been killed before."""
        command = [str(MUTMUT), "run", "--max-children", str(jobs)]
        # Mutants get their names here; mutmut has no command for that alone, and ends with an error
        # since no mutant is called this.
        subprocess.run([*command, "none"], cwd=folder, check=False, stderr=subprocess.DEVNULL)
        chosen = self.choose(folder, seed)
        if left := [name for name in chosen if OUTCOMES.get(chosen[name]) not in KILLED]:
            subprocess.run([*command, *left], cwd=folder, check=True)


def read_results(folder: Path) -> dict[str, int | None]:
    """Return the exit status of pytest for each mutant by name; None for those not tested."""
    found: dict[str, int | None] = {}
    for path in sorted(folder.glob("mutants/src/**/*.meta")):
        found |= json.loads(path.read_text())["exit_code_by_key"]
    return found


class NoText(ast.NodeTransformer):
    """Makes all strings alike."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        """Empty a string."""
        return ast.Constant("") if isinstance(node.value, str) else node


def read_changes(folder: Path) -> dict[str, tuple[str, str, bool]]:
    """Return the old lines of each mutant, the new ones, and whether strings alone differ."""
    found = {}
    sources = folder / "mutants" / "src"
    for path in sources.glob("**/*.py.meta"):
        tree = ast.parse(path.with_suffix("").read_text())
        functions = {
            node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
        }
        module = ".".join(path.relative_to(sources).with_suffix("").with_suffix("").parts)
        for name, function in functions.items():
            original, _, number = name.rpartition("__mutmut_")
            if number.isdigit():
                pair = functions[f"{original}__mutmut_orig"], function
                codes = [[ast.unparse(part) for part in (node.args, *node.body)] for node in pair]
                lines = list(difflib.ndiff(*("\n".join(code).splitlines() for code in codes)))
                old, new = ("\n".join(x[2:].strip() for x in lines if x[0] == c) for c in "-+")
                bare = {ast.dump(NoText().visit(ast.parse("\n".join(c[1:])))) for c in codes}
                found[f"{module}.{name}"] = old, new, len(bare) == 1 and codes[0][0] == codes[1][0]
    return found


def is_equivalent(mutant: str, was: str, became: str, known: list[dict[str, str]]) -> bool:
    """Tell whether a known change makes the new lines of the old ones."""
    for change in known:
        before, after = was.partition(change["was"])[::2]
        if before + change["becomes"] + after == became and change["was"] in was:
            return mutant.startswith(f"neumf.{change.get('module', '')}")
    return False


def report(room: Room, folder: Path, seed: int, known: list[dict[str, str]]) -> float:
    """Print what became of the mutants, and the survivors; return the score."""
    changes, chosen = read_changes(folder), room.choose(folder, seed)
    outcomes = {name: OUTCOMES.get(status, "failed") for name, status in chosen.items()}
    for mutant, outcome in outcomes.items():
        was, became, _ = changes[mutant]
        if outcome == "survived" and is_equivalent(mutant, was, became, known):
            outcomes[mutant] = "equivalent"
        elif outcome not in KILLED:
            print(f"\n{outcome}: {mutant}\n-{was}\n+{became}")
    counts = Counter(outcomes.values())
    n_good = sum(counts[outcome] for outcome in (*KILLED, "equivalent"))
    score = 100 * n_good / len(outcomes)
    parts = ", ".join(f"{n} {outcome}" for outcome, n in counts.items())
    n_texts = sum(is_text for _, _, is_text in changes.values())
    print(f"\n{room.name}: {len(changes)} mutants, {n_texts} of them of texts, not tested")
    print(f"{len(outcomes)} chosen: {parts}: {score:.1f} %")
    return score


def main() -> int:
    """Test the rooms; return 1 if one has a score that is too low."""
    rooms = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutation-rooms"]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rooms", nargs="*", metavar="room", help=f"of {', '.join(rooms)}")
    parser.add_argument("--folder", type=Path, default=ROOT / ".mutation", help="where to work")
    parser.add_argument("--jobs", type=int, default=1, help="mutants that are tested at once")
    parser.add_argument("--sample", type=int, help="test no more mutants of a room than this")
    parser.add_argument("--seed", type=int, default=0, help="of the samples")
    parser.add_argument("--report", action="store_true", help="print what is known already")
    options = parser.parse_args()
    known = tomllib.loads((ROOT / "tests" / "mutation_equivalents.toml").read_text())["equivalent"]
    scores = []
    for name in options.rooms or rooms:
        given = rooms[name] if options.sample is None else rooms[name] | {"sample": options.sample}
        room, folder = Room(name, **given), options.folder / name
        start = time.monotonic()
        if not options.report:
            room.prepare(folder)
            room.run(folder, options.jobs, options.seed)
        scores.append(report(room, folder, options.seed, known))
        print(f"{time.monotonic() - start:.0f} s")
    return int(min(scores) < LEAST_SCORE)


if __name__ == "__main__":
    sys.exit(main())
