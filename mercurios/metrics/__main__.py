"""Write docs/metrics.md from the definitions in dbt/, and dbt's own page of every model, column, test and lineage.

python -m mercurios.metrics docs/metrics.md var/docs/dbt.html
"""

import json
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from mercurios.config import ROOT
from mercurios.metrics.document import document
from mercurios.transformation import DOCS, run_dbt, semantic_manifest, target_for


def main(metrics: Path, page: Path) -> None:
    """Read the project, without a warehouse, and write both."""
    with TemporaryDirectory() as folder:
        run_dbt(ROOT / "dbt", target_for(f"duckdb:///{folder}/none.duckdb"), Path(folder), command=DOCS)
        manifest = json.loads(semantic_manifest(Path(folder)))
        page.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(folder) / "target" / "static_index.html", page)
    metrics.write_text(document(manifest), encoding="utf-8")
    sys.stdout.write(f"Wrote {metrics} and {page}\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
