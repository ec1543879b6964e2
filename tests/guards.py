"""Every guard that keeps merchants apart, by name, and how to switch it off.

    with switched_off(GUARDS["rows of the lake are one merchant's"]):
        ...                                     # now something has to be found

A guard is a line of code. Switched off, the function has the same line without it, until the block ends.
"""

import importlib
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from string import Template
from types import FunctionType


@dataclass(frozen=True)
class Guard:
    """Where a guard stands, as module:function, the code it is, and what stands there without it.

    surface: of tests/isolation.py, through which it is noticed that the guard is gone.
    """

    surface: str
    place: str
    code: str
    without: str


GUARDS: Mapping[str, Guard] = {
    "rows of the lake are one merchant's": Guard(
        "lake",
        "mercurios.lake.reading:_rows_of",
        'return In("tenant_id", (tenant_id,))',
        "from pyiceberg.expressions import AlwaysTrue; return AlwaysTrue()",
    ),
    "a session reaches no file": Guard(
        "sql", "mercurios.serving:open_session", 'connection.execute("set enable_external_access = false")', "pass"
    ),
    "the settings of a session are locked": Guard(
        "sql", "mercurios.serving:open_session", 'connection.execute("set lock_configuration = true")', "pass"
    ),
    "sessions are kept by merchant": Guard(
        "graphql",
        "mercurios.serving:Sessions.get",
        "self._open.get(tenant_id)",
        "next(iter(self._open.values()), None)",
    ),
    "a request reads the session of its credential": Guard(
        "graphql", "mercurios.api.asker:Asker.session", "self.identity.tenant", '"south"'
    ),
    "a field needs its role": Guard("graphql", "mercurios.api.access.roles:permit", "if lacking:", "if False:"),
    "a metric needs its role": Guard(
        "roles", "mercurios.api.asker:Asker.permit_metrics", "m.name in names", "not names"
    ),
    "an index opens for its own merchant": Guard(
        "faiss", "mercurios.retrieval.index:TenantIndex.open", 'head.get("tenant_id") != tenant_id', "False"
    ),
    "an index is named by its merchant": Guard(
        "faiss", "mercurios.release_files:index_name", 'f"index/{tenant_id}.faiss"', '"index/north.faiss"'
    ),
    "opened files are kept by their place": Guard(
        "faiss", "mercurios.release_files:ReleaseFiles._once", "key = (kind, place)", 'key = (kind, "")'
    ),
    "models are found by the whole name of a merchant": Guard(
        "registry", "mercurios.registry:Registry._names", 'if model.name.startswith(f"{tenant_id}.")', ""
    ),
    "an answer is kept for its merchant": Guard(
        "cache", "mercurios.api.responses:Responses._key", "identity.tenant", '""'
    ),
    "an answer is kept for its role": Guard("roles", "mercurios.api.responses:Responses._key", "identity.role", '""'),
    "a sealed text is its merchant's": Guard(
        "sealed", "mercurios.api.seals:Seals.open", "[tenant.encode(), kind.encode()]", '[b"north", kind.encode()]'
    ),
    "a journal is its merchant's": Guard("sealed", "mercurios.journal:Journals.of", "tenant_id, self", '"north", self'),
    "raw rows are read by merchant": Guard(
        "jobs", "mercurios.warehouse.statements:_OF_TENANT", "tenant_id = ?", "? is not null"
    ),
    "raw rows are counted by merchant": Guard(
        "jobs", "mercurios.warehouse.statements:_COUNT_OF_TENANT", "tenant_id = ?", "? is not null"
    ),
    "a token is signed": Guard(
        "credentials",
        "mercurios.api.access.jwts:claims",
        '"strict_aud": expected.only_audience,',
        '"verify_signature": False, "verify_aud": True, "verify_iss": True, "verify_exp": True,',
    ),
    "a token is for this audience": Guard(
        "credentials",
        "mercurios.api.access.jwts:claims",
        '"strict_aud": expected.only_audience,',
        '"verify_aud": False,',
    ),
    "a token is of its issuer": Guard(
        "credentials",
        "mercurios.api.access.jwts:claims",
        '"strict_aud": expected.only_audience,',
        '"verify_iss": False,',
    ),
    "a token expires": Guard(
        "credentials",
        "mercurios.api.access.jwts:claims",
        '"strict_aud": expected.only_audience,',
        '"verify_exp": False,',
    ),
    "a token names a merchant that is set up": Guard(
        "credentials",
        "mercurios.api.service:Service.identify",
        "if identity.tenant not in self._backend.tenants():",
        "if False:",
    ),
    "a key is the whole key": Guard(
        "credentials",
        "mercurios.api.access.keys:ApiKeys.identify",
        "not hmac.compare_digest(row[-1], _hash(text))",
        "False",
    ),
    "a key that was taken back is none": Guard(
        "credentials", "mercurios.api.access.keys:ApiKeys.identify", 'if state != "valid":', "if False:"
    ),
    "a fault is not told": Guard(
        "ask",
        "mercurios.api.faults:present",
        'message = f"internal error; if it stays, report the id {request_id}"',
        "message = str(cause)",
    ),
    "what a driver says of a fault is not logged": Guard(
        "ask",
        "mercurios.api.faults:log_fault",
        "str(cause) if isinstance(cause, MercuriosError) else None",
        "str(cause)",
    ),
    "the audit log holds no question": Guard(
        "ask", "mercurios.api.handlers:GraphQLHandler._audit", "self.service.access.pseudonyms.of(source)", "source"
    ),
}


@contextmanager
def switched_off(guard: Guard) -> Iterator[None]:
    """Run the guard's function, or the statement it is part of, without it."""
    found = _found(guard.place)
    if isinstance(found, Template):
        assert found.template.count(guard.code) == 1, guard.place
        kept_text, found.template = found.template, found.template.replace(guard.code, guard.without)
        try:
            yield
        finally:
            found.template = kept_text
        return
    function = _function(found)
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(guard.code) == 1, f"{guard.place} does not say {guard.code!r} once"
    source = source[source.index("def ") :] if not source.startswith(("def ", "async def ")) else source
    made: dict[str, object] = {}
    exec(compile(source.replace(guard.code, guard.without), guard.place, "exec"), function.__globals__, made)
    changed, kept = made[function.__name__], function.__code__
    assert isinstance(changed, FunctionType)
    function.__code__ = changed.__code__
    try:
        yield
    finally:
        function.__code__ = kept


def _found(place: str) -> object:
    module, _, path = place.partition(":")
    found: object = importlib.import_module(module)
    for name in path.split("."):
        found = inspect.getattr_static(found, name)
    return found


def _function(found: object) -> FunctionType:
    if isinstance(found, classmethod | staticmethod):
        found = found.__func__
    if isinstance(found, cached_property):
        found = found.func
    if isinstance(found, property):
        found = found.fget
    assert isinstance(found, FunctionType), found
    return found
