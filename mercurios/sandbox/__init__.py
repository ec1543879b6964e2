"""A stand-in of the ProHandel REST API on loopback, with real data and faults to order.

    merchants = enrol([(name, entities, PROFILES[name]) for name, entities in prepare_journey(cache)], tenants)
    with running(merchants) as sandbox:
        write_tenant_files(merchants, tenants, sandbox.auth_url)

Data comes from the Complete Journey (`journey`) or from a folder of Parquet files (`folder`).
"""

from mercurios.sandbox.enrolment import enrol, write_tenant_files
from mercurios.sandbox.faults import Faults
from mercurios.sandbox.folder import load_folder
from mercurios.sandbox.handlers import Rules
from mercurios.sandbox.journey import PROFILES, prepare_journey
from mercurios.sandbox.merchant import Entities, Merchant, Profile
from mercurios.sandbox.server import RunningSandbox, running, serve

__all__ = [
    "PROFILES",
    "Entities",
    "Faults",
    "Merchant",
    "Profile",
    "Rules",
    "RunningSandbox",
    "enrol",
    "load_folder",
    "prepare_journey",
    "running",
    "serve",
    "write_tenant_files",
]
