"""Checking: rows against the expectations of their table, all of them in one pass of pandera's lazy validation.

findings = examine("sale", rows, facts)

Pandera's errors quote the rows that fail, so it is shown ids and verdicts only.
"""

from collections.abc import Sequence

import pandera.polars as pandera
import polars as pl

from mercurios.quality import Expectation, Facts, Finding
from mercurios.quality.expectations import EXPECTATIONS

EXAMPLES = 5
KEY = "id"


def columns(entity: str) -> tuple[str, ...]:
    """The columns that an entity's expectations read, the key first."""
    return tuple(dict.fromkeys((KEY, *(name for each in EXPECTATIONS[entity] for name in each.columns))))


def examine(entity: str, rows: pl.DataFrame, facts: Facts) -> tuple[Finding, ...]:
    """Hold living rows against all expectations of their entity, in the order they are declared.

    rows: the columns that `columns(entity)` names, more do no harm.
    """
    verdicts = rows.select(KEY, **{each.name: each.rule(facts) for each in EXPECTATIONS[entity]})
    failures = _failures(verdicts, EXPECTATIONS[entity])
    return tuple(
        Finding(
            entity,
            each.name,
            each.severity,
            each.sentence,
            verdicts.height - verdicts[each.name].null_count(),
            *failures.get(each.name, (0, ())),
        )
        for each in EXPECTATIONS[entity]
    )


def _failures(verdicts: pl.DataFrame, expectations: Sequence[Expectation]) -> dict[str, tuple[int, tuple[str, ...]]]:
    """Rows that fail and some of their ids, by name of the expectation."""
    schema = pandera.DataFrameSchema(checks=[_check(each) for each in expectations])
    try:
        schema.validate(verdicts, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        return {error.check.name: _counted(error) for error in errors.schema_errors}
    return {}


def _check(expectation: Expectation) -> pandera.Check:
    """As pandera has it, a null passes: there is nothing to expect."""

    def holds(data: pandera.PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(expectation.name)

    return pandera.Check(holds, name=expectation.name, error=expectation.sentence, n_failure_cases=EXAMPLES)


def _counted(error: pandera.errors.SchemaError) -> tuple[int, tuple[str, ...]]:
    failed = int((~error.check_output.to_series()).sum())
    return failed, tuple(map(str, error.failure_cases[KEY].to_list()))
