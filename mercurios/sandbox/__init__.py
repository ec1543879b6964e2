"""A stand-in of the ProHandel REST API on loopback, with real data and faults to order.

    merchants = enrol([(name, entities, PROFILES[name]) for name, entities in prepare_journey(cache)], tenants)
    with running(merchants) as sandbox:
        write_tenant_files(merchants, tenants, sandbox.auth_url)
        sandbox.insert("north", "sale", rows)

Data comes from the Complete Journey (`journey`) or from a folder of Parquet files (`folder`), and may change while it
is served. What goes wrong is ordered one by one (`faults`) or composed by a seed (`mix`).
"""

from mercurios.sandbox.changes import Change
from mercurios.sandbox.enrolment import check_place, enrol, write_tenant_files
from mercurios.sandbox.faults import (
    Closed,
    Cut,
    Drift,
    Expired,
    Fault,
    Faults,
    NotJson,
    Repeated,
    Slow,
    Status,
    TooLarge,
)
from mercurios.sandbox.folder import load_folder
from mercurios.sandbox.journey import PROFILES, prepare_journey
from mercurios.sandbox.live import RunningSandbox
from mercurios.sandbox.merchant import Entities, Merchant, Profile
from mercurios.sandbox.mix import Mix, seeded_changes, seeded_faults
from mercurios.sandbox.rules import Rules
from mercurios.sandbox.server import running, serve

__all__ = [
    "PROFILES",
    "Change",
    "Closed",
    "Cut",
    "Drift",
    "Entities",
    "Expired",
    "Fault",
    "Faults",
    "Merchant",
    "Mix",
    "NotJson",
    "Profile",
    "Repeated",
    "Rules",
    "RunningSandbox",
    "Slow",
    "Status",
    "TooLarge",
    "check_place",
    "enrol",
    "load_folder",
    "prepare_journey",
    "running",
    "seeded_changes",
    "seeded_faults",
    "serve",
    "write_tenant_files",
]
