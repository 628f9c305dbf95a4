"""The progress of a training: `verbose=1` prints a line per epoch, 2 draws a bar."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from neumf.neural.joining import Setting
from neumf.neural.parameters import FitPlan
from neumf.training.loop import EpochReport
from neumf.training.trainer import Trainer
from neumf.utils.arrays import Float64s


class Progress:
    """Shows nothing; subclasses show how far the training of a network is."""

    def begin_epoch(self) -> None:
        """Start the clock of an epoch."""

    def add_rows(self, n_rows: int) -> None:
        """Count rows that were trained on."""

    def end_epoch(self, report: EpochReport) -> None:
        """Show the loss and the validation value of an epoch."""

    def close(self) -> None:
        """End the training, also if it failed."""


def make_progress(plan: FitPlan, name: str, trainer: Trainer) -> Progress:
    """Return the progress that `verbose` selects for the network of this name."""
    if plan.verbose > 1:
        try:
            bar = import_module("tqdm.auto").tqdm
        except ImportError:
            pass
        else:
            total = plan.epochs * trainer.n_rows
            return _Bar(bar(total=total, desc=name, unit=" rows", unit_scale=True), plan.epochs)
    if plan.verbose:
        return _Lines(name, plan.epochs, trainer.n_samples)
    return Progress()


def print_words(plan: FitPlan) -> None:
    """Explain the words in the lines and the bar, if `verbose` selects either."""
    if not plan.verbose:
        return
    words = plan.training.loss.words or "the loss"
    lines = [f"loss: the mean over rows of {words}, without the penalty of regularization."]
    if plan.early_stopping:
        lines += [
            "val_ndcg_at_10: NDCG@10 of the held-out rows (those of X_val, or else one row of each "
            "user). Candidates are all items without another row of the user."
        ]
    if plan.solves_gmf:
        lines += [
            "mlp: the MLP half of the network, trained to learn how to join the halves, then anew "
            "on all rows. The GMF half is solved without epochs."
        ]
    elif plan.halves:
        lines += ["gmf, mlp: the halves of the network, trained before they are joined."]
    lines += ["samples: the rows and their negatives."] if plan.verbose == 1 else []
    lines += ["left: at most this time, until all epochs are done."]
    print("\n".join(lines), flush=True)  # noqa: T201 - as verbose=1 promises


def print_choices(plan: FitPlan, setting: Setting, shares: Float64s) -> None:
    """Print what held-out rows decided, if `verbose` is set."""
    if plan.verbose:
        print(  # noqa: T201 - as verbose=1 promises
            f"chosen on held-out rows: GMF with penalty {setting.penalty:g} and recency "
            f"{setting.recency:g}; weights: GMF {shares[0]:.3g}, MLP {shares[1]:.3g}",
            flush=True,
        )


def _values(report: EpochReport) -> str:
    watched = "" if report.value is None else f"  val_ndcg_at_10 {report.value:.4f}"
    return f"loss {report.loss:.4f}{watched}"


@dataclass
class _Lines(Progress):
    """A line per epoch."""

    name: str
    epochs: int
    n_samples: int  # positives and negatives in an epoch

    def begin_epoch(self) -> None:
        self._start = time.perf_counter()

    def end_epoch(self, report: EpochReport) -> None:
        seconds = time.perf_counter() - self._start  # validation included
        print(  # noqa: T201 - as verbose=1 promises
            f"{self.name} epoch {report.epoch:>{len(str(self.epochs))}}/{self.epochs}  "
            f"{_values(report)}  {seconds:.1f} s  "
            f"{self.n_samples / report.seconds:,.0f} samples/s  "
            f"{(self.epochs - report.epoch) * seconds:.0f} s left",
            flush=True,
        )


@dataclass
class _Bar(Progress):
    """A bar over all rows of all epochs, with the time left."""

    bar: Any  # of tqdm
    epochs: int

    def add_rows(self, n_rows: int) -> None:
        self.bar.update(n_rows)

    def end_epoch(self, report: EpochReport) -> None:
        self.bar.set_postfix_str(f"epoch {report.epoch}/{self.epochs}  {_values(report)}")

    def close(self) -> None:
        self.bar.close()
