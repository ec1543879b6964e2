"""Transform: build and test the marts with dbt, through prefect-dbt."""

from prefect import flow

from flows import artifacts
from mercurios import wiring
from mercurios.jobs.transform import TransformReport
from mercurios.jobs.transform import transform as transform_job


@flow(name="transform")
def transform(*, from_scratch: bool = False) -> TransformReport:
    """Run `dbt build`; a failing model or test fails the flow and leaves the lake as it was.

    from_scratch: build anew also what has not changed, which is never needed unless a build says so.
    """
    report = transform_job(wiring.build_marts, wiring.open_warehouse, from_scratch=from_scratch)
    artifacts.dbt_results(report)
    return report
