"""Write docs/metrics.md from the definitions in dbt/.

python -m mercurios.metrics docs/metrics.md
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from mercurios.config import ROOT
from mercurios.metrics.document import document
from mercurios.transformation import PARSE, run_dbt, semantic_manifest, target_for


def main(path: Path) -> None:
    """Parse the project, without a warehouse, and write the document."""
    with TemporaryDirectory() as folder:
        run_dbt(ROOT / "dbt", target_for(f"duckdb:///{folder}/none.duckdb"), Path(folder), command=PARSE)
        manifest = json.loads(semantic_manifest(Path(folder)))
    path.write_text(document(manifest), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
