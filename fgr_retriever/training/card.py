"""The model card of a finished run, in the format of the hub; every number comes from the run's report."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict

import yaml

from fgr_retriever.evaluation.spans import SpanReport
from fgr_retriever.training.config import TrainingConfig
from fgr_retriever.training.curves import LOSSES_PICTURE, THRESHOLDS_PICTURE, StageLog
from fgr_retriever.training.report import HELD_OUT, Report

_TAGS = ["colbert", "late-interaction", "multi-vector", "fgr-colbert", "sentence-transformers"]
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")

_USE = """## Use

```python
from fgr_retriever import Encoder, Trimmer

encoder = Encoder.from_pretrained("path/of/this/folder")
Trimmer(encoder).trim("a question", ["a passage"], max_tokens=200)
```

On the command line: `fgr search DIR "a question" --model path/of/this/folder`. Without the head, it is an ordinary
`MultiVectorEncoder` of sentence-transformers.
"""


def card(report: Report) -> str:
    """Write the card of a model.

    Args:
        report: What the run did and reached.

    Returns:
        Markdown with YAML front matter; its pictures are beside it.
    """
    recipe = report.recipe
    return f"""---
{_yaml(_front_matter(recipe))}---
# FGR-ColBERT model trained by fgr-retriever

Late-interaction token embeddings ({recipe.dim} dimensions, L2-normalised) with an evidence head (arXiv 2604.00242): it
ranks passages by MaxSim, and says of every passage token how likely it supports the query. Started from
`{recipe.base}`.

{_USE}
## Measured

Word-level means over the examples, in percent. Evidence threshold {report.threshold:g}, temperature
{report.temperature:g}; both belong to the model.

{_scores(report)}

*{HELD_OUT}*: {report.scores[HELD_OUT].n:,} examples of the training files whose passages were kept aside.
{_aside(report)}
The threshold was fitted on the held-out examples and a quarter more with foreign questions, where nothing should be
kept:

![Word F1 by evidence threshold]({THRESHOLDS_PICTURE})

## Training data

{_sources(report)}

## Training

{_stages(report.stages)}

On {report.machine}, seed {recipe.seed}. The weights are those of the step kept.

![Training and held-out loss by step, for each stage]({LOSSES_PICTURE})

The recipe, for `fgr train`:

```yaml
{_yaml(asdict(recipe))}```

{_limits(report)}"""


def _front_matter(recipe: TrainingConfig) -> dict[str, object]:
    files = [*recipe.spans, *recipe.lists, *recipe.coarse, *recipe.pairs, *recipe.tuples]
    base = {"base_model": recipe.base} if _HUB_ID.fullmatch(recipe.base) else {}
    return {"library_name": "sentence-transformers", "tags": _TAGS, **base, "datasets": files}


def _yaml(values: dict[str, object]) -> str:
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _scores(report: Report) -> str:
    rows = [row for name, scores in report.scores.items() for row in _score_rows(name, scores)]
    return _table(["Examples", "Kept", "F1", "Precision", "Recall", "Share kept"], rows)


def _score_rows(name: str, scores: SpanReport) -> Iterable[list[str]]:
    kinds = [
        (f"{name} ({scores.n:,})", "**this model's spans**", scores.ours),
        ("", "best sentence by MaxSim", scores.best_sentence),
        ("", "everything", scores.keep_all),
    ]
    for label, kind, found in kinds:
        figures = (found.f1, found.precision, found.recall, found.kept)
        yield [label, kind, *(f"{100 * figure:.1f}" for figure in figures)]


def _aside(report: Report) -> str:
    if len(report.scores) == 1:
        return ""
    return "The other rows are files that were set aside, or an even sample of them.\n"


def _sources(report: Report) -> str:
    kinds = {
        "spans": "exact labels",
        "lists": "result lists, exact labels",
        "coarse": "coarse labels, relabelled",
        "pairs": "no labels, labelled by the labeller",
        "tuples": "ranked passages",
    }
    rows = [
        [
            f"`{source.name}`",
            kinds[source.kind],
            f"{100 * source.share:g} %",
            "drawn while training" if source.used is None else f"{source.used:,}",
        ]
        for source in report.sources
    ]
    return _table(["File", "Kind", "Share taken", "Examples used"], rows)


def _stages(stages: Iterable[StageLog]) -> str:
    rows = [
        [
            stage.name,
            f"{stage.steps:,} of {stage.planned_steps:,}",
            f"{stage.kept_step:,}",
            "not measured" if stage.seconds is None else f"{stage.seconds / 60:.1f}",
        ]
        for stage in stages
    ]
    return _table(["Stage", "Steps", "Step kept", "Minutes"], rows)


def _limits(report: Report) -> str:
    return f"""## Limits

- **Language.** It is not detected: trust the model in the languages of its base model and of the files above only.
- **Length.** The longest passage in training has {report.longest:,} characters. The encoder learned from the first
  {report.recipe.doc_maxlen} tokens of each, the head from all of it, in windows of that length, as an index stores it.
- **Passages without evidence** are {100 * report.without_evidence:.1f} % of the exact examples. {_abstention(report)}
- **Held-out examples are of the same files as the training examples**, and the threshold was fitted on them: on other
  texts, expect less.
- **Licences** of the training data are not known to this card.
"""


def _abstention(report: Report) -> str:
    if report.without_evidence:
        return "The model can still keep something of a passage that only looks right."
    return "The model met such passages only with the questions of other examples."
