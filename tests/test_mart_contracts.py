"""The yml of the marts and the published tables are one contract: names, types, what is never null, descriptions."""

import pyarrow as pa
import pytest
import yaml

from mercurios.config import ROOT
from mercurios.tables import MARTS, MONEY, MONEY_FINE, TABLES, UTC

MARTS_FOLDER = ROOT / "dbt" / "models" / "marts"
DECLARED = {
    model["name"]: {column["name"]: column for column in model["columns"]}
    for path in sorted(MARTS_FOLDER.glob("*.yml"))
    for model in yaml.safe_load(path.read_text()).get("models", [])
}
DATA_TYPES = {
    pa.string(): "varchar",
    pa.int64(): "bigint",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.date32(): "date",
    MONEY: "decimal(18, 2)",
    MONEY_FINE: "decimal(18, 4)",
    UTC: "{{ 'timestamp_ntz' if target.type == 'snowflake' else 'timestamptz' }}",
}


def test_contracts_are_enforced_for_the_whole_folder() -> None:
    project = yaml.safe_load((ROOT / "dbt" / "dbt_project.yml").read_text())
    assert project["models"]["mercurios"]["marts"]["+contract"] == {"enforced": True}
    assert {path.stem for path in MARTS_FOLDER.glob("*.sql")} == DECLARED.keys()
    assert "contract" not in "".join(path.read_text() for path in MARTS_FOLDER.glob("*.sql"))


@pytest.mark.parametrize("mart", MARTS)
def test_a_mart_declares_what_is_published(mart: str) -> None:
    columns = DECLARED[mart]
    assert {name for name in columns if not name.startswith("_")} == set(TABLES[mart].schema.names)
    for field in TABLES[mart].schema:
        column = columns[field.name]
        assert column["data_type"] == DATA_TYPES[field.type], field.name
        assert (column.get("constraints") == [{"type": "not_null"}]) is not field.nullable, field.name
    for column in columns.values():
        assert column["description"].strip(), column["name"]
        assert column["data_type"], column["name"]
