"""Transform: build and test the marts with dbt, through prefect-dbt."""

from prefect import flow

from flows import artifacts
from mercurios import wiring
from mercurios.jobs.transform import TransformReport
from mercurios.jobs.transform import transform as transform_job


@flow(name="transform")
def transform() -> TransformReport:
    """Run `dbt build`; a failing model or test fails the flow and leaves the lake as it was."""
    report = transform_job(wiring.build_marts, wiring.open_warehouse)
    artifacts.dbt_results(report)
    return report
