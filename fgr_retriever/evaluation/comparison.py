"""Compare runs on the same judgements: their measures, and whether a difference is more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.errors import ConfigError, InputError, MissingExtraError
from fgr_retriever.evaluation.measures import MEASURES, query_measures
from fgr_retriever.evaluation.tables import markdown_table
from fgr_retriever.evaluation.trec import Qrels, Run

_TESTED = ("mean", "wins", "losses", "p")
_RESAMPLES = 9_999
_BATCH = 1_000  # resamples held at once


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference between a run and the first run, on one measure, query by query.

    Args:
        mean: Its mean minus the mean of the first run.
        wins: Number of queries on which it is better.
        losses: Number of queries on which it is worse.
        p: Probability of a mean at least as far from 0 if the two runs were alike, in [0, 1].
    """

    mean: float
    wins: int
    losses: int
    p: float


@dataclass(frozen=True, slots=True)
class Row:
    """One run in a comparison.

    Args:
        name: Name of the run.
        scores: Mean of each measure over all judged queries, in [0, 1].
        difference: Difference to the first run; None for the first run itself.
    """

    name: str
    scores: dict[str, float]
    difference: Difference | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs on the same judgements.

    Args:
        n_queries: Number of queries with something relevant; a query that a run does not have counts 0.
        measure: The measure of the differences.
        rows: The runs, in the order in which they were given.
    """

    n_queries: int
    measure: str
    rows: tuple[Row, ...]

    def to_json(self) -> dict[str, Any]:
        """Write the comparison as `fgr eval runs --json` prints it."""
        return {"n_queries": self.n_queries, "measure": self.measure, "runs": [asdict(row) for row in self.rows]}

    def columns(self) -> dict[str, dict[str, float | None]]:
        """Give each run's scores and its difference to the first run, for which they are None."""
        return {
            row.name: {**row.scores, **dict.fromkeys(_TESTED), **(asdict(row.difference) if row.difference else {})}
            for row in self.rows
        }

    def to_markdown(self) -> str:
        """Write a table with a row for each run."""
        heads = ["run", *MEASURES, f"Δ {self.measure}", "better / worse", "p"]
        rows = [
            [row.name, *(f"{row.scores[measure]:.4f}" for measure in MEASURES), *_cells(row.difference)]
            for row in self.rows
        ]
        return markdown_table(heads, rows)


def compare(qrels: Qrels, runs: Sequence[Run], measure: str = "ndcg@10") -> Comparison:
    """Compare runs with the first of them.

    With several runs, each p comes from a test of its own: the more runs there are, the more likely it
    is that one p is small by chance.

    Args:
        qrels: Grades by query and passage id.
        runs: At least one run; their names differ.
        measure: The measure to test, one of `MEASURES`.

    Raises:
        ConfigError: There is no such measure.
        InputError: There is no run or no judgement, two runs have one name, or a run has none of the queries.
        MissingExtraError: The libraries for the evaluation are not installed.
    """
    if measure not in MEASURES:
        raise ConfigError(f"measure={measure!r}: must be one of {MEASURES}")
    names = [run.name for run in runs]
    if not runs or len(set(names)) < len(names):
        raise InputError(f"runs {names}: must be at least one, with different names")
    if not qrels:
        raise InputError("no query has a relevant passage: check the judgements")
    for run in runs:
        if not qrels.keys() & run.rankings.keys():
            raise InputError(f"run {run.name!r} has none of the {len(qrels)} judged queries: are the ids the same?")
    found = [query_measures(qrels, run.ids()) for run in runs]
    first = found[0][measure]
    rows = tuple(
        Row(
            run.name,
            {name: float(column.mean()) for name, column in values.items()},
            difference(first, values[measure]) if place else None,
        )
        for place, (run, values) in enumerate(zip(runs, found, strict=True))
    )
    return Comparison(len(qrels), measure, rows)


def difference(first: NDArray[np.float64], other: NDArray[np.float64], seed: int = 0) -> Difference:
    """Test the mean difference of paired values by randomisation.

    If both systems are alike, the difference of each query could as well have the other sign. All choices of signs are
    tried if there are few of them (up to 13 queries that differ), else 9,999 random ones. Smucker, Allan and Carterette
    2007, "A comparison of statistical significance tests for information retrieval evaluation", section 3.

    Args:
        first: A measure of each query, (n,), n >= 1.
        other: The same measure of another system, (n,).
        seed: Seed of the random signs.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    try:
        from scipy.stats import permutation_test
    except ImportError as error:
        raise MissingExtraError("the test of significance", "eval") from error
    gains = other - first
    changed = gains[gains != 0]  # the sign of 0 is no choice
    p = 1.0  # one gain alone is as far from 0 with either sign
    if len(changed) > 1:
        settings = {"permutation_type": "samples", "n_resamples": _RESAMPLES, "batch": _BATCH, "rng": seed}
        p = float(permutation_test((changed,), np.mean, vectorized=True, **settings).pvalue)
    return Difference(float(gains.mean()), int((gains > 0).sum()), int((gains < 0).sum()), p)


def _cells(found: Difference | None) -> list[str]:
    if found is None:
        return ["", "", ""]
    return [f"{found.mean:+.4f}", f"{found.wins} / {found.losses}", f"{found.p:.4f}"]
