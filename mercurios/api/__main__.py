"""Write docs/graphql.md from the schema.

python -m mercurios.api docs/graphql.md
"""

import sys
from pathlib import Path

from mercurios.api.document import document
from mercurios.api.resolvers import load_schema

if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(document(load_schema()), encoding="utf-8")
    sys.stdout.write(f"Wrote {target}\n")
