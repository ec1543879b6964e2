"""Who may ask: bad credentials of every kind, roles, rates, and a log that tells of each request and of no secret."""

import base64
import hmac
import json
import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from graphql import build_schema, parse
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from mercurios.api.access import ROLES, Identity
from mercurios.api.access.audit import AuditLog
from mercurios.api.access.gate import MAX_CHARACTERS
from mercurios.api.access.identity import Pseudonyms
from mercurios.api.access.keyring import Keyring, check_url, fetch_keys
from mercurios.api.access.keys import ApiKeys
from mercurios.api.access.limits import RateLimits
from mercurios.api.access.provider import Provider, Registration
from mercurios.api.access.roles import Need, declared, needs_of
from mercurios.api.access.tokens import issue
from mercurios.api.resolvers import load_schema
from mercurios.errors import AccessUnavailable, BadRequest, ConfigError, RateLimited, Unauthenticated
from tests.api_world import OTHER, SECRET, ApiWorld, listening, make_world
from tests.oidc_double import AUDIENCE, OidcDouble, SigningKey, providing

QUERY = {"query": "{ tenant { id } }"}


@dataclass
class Clock:
    """Seconds that pass when the test says so."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Sso:
    """The API behind a provider; the clock is that of its keyring."""

    api: ApiWorld
    provider: OidcDouble
    clock: Clock

    def ask(self, token: str) -> httpx.Response:
        return self.api.post(QUERY, tenant=None, Authorization=f"Bearer {token}")


def sso_in(folder: Path, double: OidcDouble) -> Iterator[Sso]:
    clock = Clock()
    keyring = Keyring(lambda: fetch_keys(double.issuer), clock)
    provider = Provider(Registration(double.issuer, AUDIENCE), Pseudonyms(SECRET), keyring)
    with listening(make_world(folder, provider=provider)) as api:
        yield Sso(api, double, clock)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sso]:
    with providing() as double:
        yield from sso_in(tmp_path_factory.mktemp("sso"), double)


@pytest.fixture
def sso(tmp_path: Path) -> Iterator[Sso]:
    """One of its own, for tests that break it."""
    with providing() as double:
        yield from sso_in(tmp_path, double)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiWorld]:
    """Without a provider: our own tokens are taken."""
    with listening(make_world(tmp_path_factory.mktemp("own"))) as running:
        yield running


# Good credentials


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("tenant", ["north", "south"])
def test_single_sign_on_says_who_asks(sso: Sso, tenant: str, algorithm: str) -> None:
    sso.provider.keys.append(SigningKey.make("new", algorithm))
    answer = sso.ask(sso.provider.token(tenant=tenant, sub="anna@example.com"))
    assert answer.json() == {"data": {"tenant": {"id": tenant}}}
    line = sso.api.audit()[-1]
    assert (line["tenant"], line["role"], line["how"], line["outcome"]) == (tenant, "buyer", "oidc", "ok")
    assert "anna" not in sso.api.audited.read_text()


def test_of_several_roles_the_highest_counts_and_unknown_ones_do_not(shared: Sso) -> None:
    for roles, role in ((["viewer", "analyst"], "analyst"), ("viewer", "viewer"), (["root", "viewer"], "viewer")):
        assert shared.ask(shared.provider.token(roles=roles)).status_code == 200
        assert shared.api.audit()[-1]["role"] == role


def test_clocks_may_be_a_minute_apart(shared: Sso) -> None:
    now = shared.provider.claims()["iat"]
    for changed in ({"exp": now - 55}, {"nbf": now + 55, "iat": now + 55}):
        assert shared.ask(shared.provider.token(**changed)).status_code == 200
    for changed in ({"exp": now - 65}, {"nbf": now + 70}, {"iat": now + 70}):
        assert shared.ask(shared.provider.token(**changed)).status_code == 401


@pytest.mark.parametrize("tenant", ["north", "south"])
def test_an_api_key_opens_one_tenant(api: ApiWorld, tenant: str) -> None:
    text, key = api.access.keys.create(tenant, "viewer", "price labels", timedelta(days=1))
    answer = api.post(QUERY, tenant=None, Authorization=f"Bearer {text}")
    assert answer.json() == {"data": {"tenant": {"id": tenant}}}
    line = api.audit()[-1]
    assert (line["tenant"], line["role"], line["how"], line["subject"]) == (tenant, "viewer", "key", key.id)


# Bad credentials: every one is refused, stands in the audit log, and leaves its text nowhere


def b64(content: object) -> str:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def tampered(token: str, **changed: object) -> str:
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    return f"{head}.{b64(claims | changed)}.{signature}"


def unsigned(idp: OidcDouble, **head: str) -> str:
    return f"{b64({'typ': 'JWT', 'kid': 'rsa-1'} | head)}.{b64(idp.claims())}."


def raw(idp: OidcDouble, payload: object) -> str:
    """Any payload, signed well with a key of the provider."""
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    key = idp.keys[0]
    return jwt.api_jws.encode(data, key.private, algorithm=key.algorithm, headers={"kid": key.kid})


def twice(content: dict[str, Any], name: str, value: str) -> bytes:
    """An object in which a name stands a second time."""
    return f"{json.dumps(content)[:-1]}, {json.dumps({name: value})[1:]}".encode()


def hs256_with_the_public_key(idp: OidcDouble) -> str:
    public = idp.keys[0].private.public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    signed = f"{b64({'alg': 'HS256', 'typ': 'JWT', 'kid': 'rsa-1'})}.{b64(idp.claims())}"
    return f"{signed}.{b64(hmac.digest(pem, signed.encode(), 'sha256'))}"


def key_of(keys: ApiKeys, *, days: int = 1, revoked: bool = False) -> str:
    text, key = keys.create("north", "admin", "a label", timedelta(days=days))
    if revoked:
        keys.revoke(key.id)
    return text


def _bearer(make: Callable[[OidcDouble], str]) -> Callable[[Sso], str]:
    return lambda sso: f"Bearer {make(sso.provider)}"


def _bearer_key(make: Callable[[ApiKeys], str]) -> Callable[[Sso], str]:
    return lambda sso: f"Bearer {make(sso.api.access.keys)}"


def _of_provider(make: Callable[[OidcDouble], str]) -> Callable[[Sso], str]:
    return lambda sso: make(sso.provider)


STRANGER = SigningKey.make("rsa-1", "RS256")
OTHER_PROVIDER = SigningKey.make("foreign", "ES256")
NOW = int(datetime.now(UTC).timestamp())
TOKENS: dict[str, tuple[int, str, Callable[[OidcDouble], str]]] = {
    "garbage": (401, "malformed", lambda idp: "garbage-of-a-token"),
    "three parts of garbage": (401, "malformed", lambda idp: "aaaaaaaa.bbbbbbbb.cccccccc"),
    "two in one header": (401, "malformed", lambda idp: f"{idp.token()}, {idp.token()}"),
    "oversize": (401, "too_long", lambda idp: idp.token(padding="x" * MAX_CHARACTERS)),
    "a full-width letter": (401, "malformed", lambda idp: idp.token()[:-1] + "\uff21"),
    "a soft hyphen inside": (401, "malformed", lambda idp: idp.token().replace(".", "\u00ad.", 1)),
    "algorithm none": (401, "algorithm", lambda idp: unsigned(idp, alg="none")),
    "algorithm nOnE": (401, "algorithm", lambda idp: unsigned(idp, alg="nOnE")),
    "no algorithm": (401, "algorithm", lambda idp: unsigned(idp)),
    "no signature": (401, "signature", lambda idp: idp.token().rpartition(".")[0] + "."),
    "hs256 with the public key": (401, "algorithm", lambda idp: hs256_with_the_public_key(idp)),
    "a token of our own": (401, "malformed", lambda idp: issue(SECRET, "north", "admin", timedelta(hours=1))),
    "a stranger's key, a known id": (401, "signature", lambda idp: STRANGER.sign(idp.claims())),
    "the other key's id": (401, "algorithm", lambda idp: STRANGER.sign(idp.claims(), kid="ec-1")),
    "unknown key": (401, "key_id", lambda idp: OTHER_PROVIDER.sign(idp.claims())),
    "a path as key id": (401, "key_id", lambda idp: STRANGER.sign(idp.claims(), kid="../../dev/null")),
    "no key id": (401, "malformed", lambda idp: jwt.encode(idp.claims(), idp.keys[0].private, algorithm="RS256")),
    "wrong audience": (401, "audience", lambda idp: idp.token(aud="api://other")),
    "audience in capitals": (401, "audience", lambda idp: idp.token(aud=AUDIENCE.upper())),
    "wrong issuer": (401, "issuer", lambda idp: idp.token(iss="https://idp.example")),
    "issuer with a slash": (401, "issuer", lambda idp: idp.token(iss=idp.issuer + "/")),
    "expired": (401, "expired", lambda idp: idp.token(exp=NOW - 3_600)),
    "not yet valid": (401, "not_yet_valid", lambda idp: idp.token(nbf=NOW + 3_600)),
    "issued in the future": (401, "not_yet_valid", lambda idp: idp.token(iat=NOW + 3_600)),
    "never ends": (401, "malformed", lambda idp: idp.token(exp=float("inf"))),
    "without exp": (401, "claim_missing", lambda idp: idp.token(exp=None)),
    "without iat": (401, "claim_missing", lambda idp: idp.token(iat=None)),
    "without iss": (401, "claim_missing", lambda idp: idp.token(iss=None)),
    "without aud": (401, "claim_missing", lambda idp: idp.token(aud=None)),
    "without sub": (401, "claim_missing", lambda idp: idp.token(sub=None)),
    "sub no text": (401, "malformed", lambda idp: raw(idp, idp.claims(sub=7))),
    "without tenant": (403, "tenant_or_role", lambda idp: idp.token(tenant=None)),
    "two tenants": (403, "tenant_or_role", lambda idp: idp.token(tenant=["north", "south"])),
    "tenant a path": (403, "tenant_or_role", lambda idp: idp.token(tenant="../north")),
    "tenant and a new line": (403, "tenant_or_role", lambda idp: idp.token(tenant="north\n")),
    "tenant in full width": (403, "tenant_or_role", lambda idp: idp.token(tenant="ｎorth")),
    "tenant not set up": (401, "tenant_unknown", lambda idp: idp.token(tenant="west")),
    "tenant tampered": (401, "signature", lambda idp: tampered(idp.token(), tenant="south")),
    "without roles": (403, "tenant_or_role", lambda idp: idp.token(roles=None)),
    "no role of ours": (403, "tenant_or_role", lambda idp: idp.token(roles=["root", "Admin"])),
    "roles no texts": (403, "tenant_or_role", lambda idp: idp.token(roles=["admin", 1])),
    "role tampered": (401, "signature", lambda idp: tampered(idp.token(), roles=["admin"])),
    "jku": (401, "header", lambda idp: STRANGER.sign(idp.claims(), jku="https://evil.example/keys")),
    "jku, signed well": (401, "header", lambda idp: idp.keys[0].sign(idp.claims(), jku="https://evil.example/keys")),
    "x5u": (401, "header", lambda idp: STRANGER.sign(idp.claims(), x5u="https://evil.example/x.pem")),
    "its own key": (401, "header", lambda idp: STRANGER.sign(idp.claims(), jwk=STRANGER.published())),
    "its own certificate": (401, "header", lambda idp: STRANGER.sign(idp.claims(), x5c=["MIIB"])),
    "crit, signed well": (401, "header", lambda idp: idp.keys[0].sign(idp.claims(), crit=["exp"])),
    "a claim twice": (401, "malformed", lambda idp: raw(idp, twice(idp.claims(), "tenant", "south"))),
    "a header name twice": (401, "malformed", lambda idp: f"{b64(twice({'alg': 'none'}, 'alg', 'RS256'))}.e30.AAAA"),
    "a token in a token": (401, "malformed", lambda idp: raw(idp, idp.token().encode())),
    "encrypted": (401, "malformed", lambda idp: f"{b64({'alg': 'RSA-OAEP', 'enc': 'A256GCM'})}.AAAA.BBBB.CCCC.DDDD"),
    "a list of claims": (401, "malformed", lambda idp: raw(idp, b"[]")),
    "thousands of brackets": (401, "malformed", lambda idp: raw(idp, b"[" * 3_000)),
}
KEYS: dict[str, tuple[str, Callable[[ApiKeys], str]]] = {
    "revoked": ("key_revoked", lambda keys: key_of(keys, revoked=True)),
    "expired": ("key_expired", lambda keys: key_of(keys, days=0)),
    "cut short": ("key_malformed", lambda keys: key_of(keys)[:-1]),
    "with another end": ("key_unknown", lambda keys: key_of(keys)[:-8] + "AAAAAAAA"),
    "with another's id": ("key_unknown", lambda keys: key_of(keys)[:15] + key_of(keys)[15:]),
    "of elsewhere": ("key_unknown", lambda keys: key_of(ApiKeys(keys._path.with_name("elsewhere.sqlite")))),
    "in capitals": ("malformed", lambda keys: key_of(keys).upper()),
}
SCHEMES: dict[str, tuple[str, Callable[[OidcDouble], str]]] = {
    "no words at all": ("no_credential", lambda idp: ""),
    "basic": ("scheme", lambda idp: f"Basic {b64(b'north:secret-password')}"),
    "dpop": ("scheme", lambda idp: f"DPoP {idp.token()}"),
    "a scheme alone": ("scheme", lambda idp: "Bearer"),
    "a token alone": ("scheme", lambda idp: idp.token()),
}
BAD: dict[str, tuple[int, str, Callable[[Sso], str]]] = {
    **{kind: (status, reason, _bearer(make)) for kind, (status, reason, make) in TOKENS.items()},
    **{f"an API key {kind}": (401, reason, _bearer_key(make)) for kind, (reason, make) in KEYS.items()},
    **{kind: (401, reason, _of_provider(make)) for kind, (reason, make) in SCHEMES.items()},
}


def test_there_are_enough_kinds_of_bad_credentials() -> None:
    assert len(BAD) >= 25


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_credential_is_refused_and_written_down(shared: Sso, kind: str) -> None:
    status, reason, make = BAD[kind]
    header = make(shared)
    before = len(shared.api.audit())
    with capture_logs() as logs:
        headers = {"Authorization": header.encode()} if header else {}
        answer = shared.api.http.post(f"{shared.api.url}/graphql", json=QUERY, headers=headers)
    assert answer.status_code == status
    assert answer.json()["errors"][0]["extensions"]["code"] == {401: "UNAUTHENTICATED", 403: "FORBIDDEN"}[status]
    assert "data" not in answer.json()
    lines = shared.api.audit()[before:]
    assert [(line["status"], line["reason"], line["operation"]) for line in lines] == [(status, reason, "none")]
    assert lines[0]["request_id"] == answer.headers["X-Request-Id"]
    if reason != "tenant_unknown":
        assert lines[0]["tenant"] is None, "what was not believed is not written down"
    kept = str(logs) + shared.api.audited.read_text() + answer.text
    for part in header.replace(",", " ").partition(" ")[2].replace(".", " ").split():
        assert len(part) < 8 or part not in kept


@pytest.mark.parametrize("tenant", ["north", "south"])
def test_two_authorization_headers_are_refused_whatever_they_say(shared: Sso, tenant: str) -> None:
    good, other = (("Authorization", f"Bearer {shared.provider.token(tenant=t)}") for t in (tenant, OTHER[tenant]))
    for headers in ([good, other], [good, good]):
        answer = shared.api.http.post(f"{shared.api.url}/graphql", json=QUERY, headers=headers)
        assert answer.status_code == 401
        assert shared.api.audit()[-1]["reason"] == "several_headers"


@given(st.text(max_size=300))
def test_no_text_is_taken_for_an_api_key(text: str) -> None:
    with pytest.raises(Unauthenticated):
        ApiKeys(Path("/nowhere/keys.sqlite")).identify("mk_" + text)


# The provider's keys


def test_keys_rotate_without_a_restart(sso: Sso) -> None:
    old, new = sso.provider.keys[0], SigningKey.make("rsa-2", "RS256")
    assert sso.ask(old.sign(sso.provider.claims())).status_code == 200
    sso.provider.keys.append(new)
    sso.clock.now += 11
    assert sso.ask(new.sign(sso.provider.claims())).status_code == 200
    assert sso.ask(old.sign(sso.provider.claims())).status_code == 200
    sso.provider.keys.remove(old)
    sso.clock.now += 301
    assert sso.ask(old.sign(sso.provider.claims())).status_code == 401, "a key that was withdrawn"
    assert sso.ask(new.sign(sso.provider.claims())).status_code == 200


def test_a_flood_of_unknown_keys_does_not_flood_the_provider(sso: Sso) -> None:
    assert sso.ask(sso.provider.token()).status_code == 200
    for turn in range(30):
        sso.clock.now += 1
        assert sso.ask(STRANGER.sign(sso.provider.claims(), kid=f"made-up-{turn}")).status_code == 401
    assert sso.provider.asked <= 1 + 30 / 10
    with ThreadPoolExecutor(8) as threads:
        sso.clock.now += 11
        before = sso.provider.asked
        tokens = [STRANGER.sign(sso.provider.claims(), kid=f"at-once-{turn}") for turn in range(16)]
        assert {answer.status_code for answer in threads.map(sso.ask, tokens)} == {401}
        assert sso.provider.asked == before + 1


def test_a_provider_that_is_down_stops_nobody_whose_key_is_known(sso: Sso) -> None:
    assert sso.ask(sso.provider.token()).status_code == 200
    sso.provider.status = 500
    with capture_logs() as logs:
        for _ in range(5):
            sso.clock.now += 400
            assert sso.ask(sso.provider.token()).status_code == 200
    assert "api.provider_unreachable" in [entry["event"] for entry in logs]
    assert sso.ask(STRANGER.sign(sso.provider.claims(), kid="made-up")).status_code == 401
    sso.clock.now += 86_401
    answer = sso.ask(sso.provider.token())
    assert answer.status_code == 503, "a day is too long: a key may have been withdrawn since"
    assert answer.headers["Retry-After"]
    sso.provider.status = 200
    sso.clock.now += 11
    assert sso.ask(sso.provider.token()).status_code == 200


def test_a_provider_that_never_answered_is_asked_again(sso: Sso) -> None:
    sso.provider.status = 503
    assert sso.ask(sso.provider.token()).status_code == 503
    assert sso.api.audit()[-1]["reason"] == "provider"
    sso.provider.status = 200
    assert sso.ask(sso.provider.token()).status_code == 503, "not at once"
    sso.clock.now += 11
    assert sso.ask(sso.provider.token()).status_code == 200


@pytest.mark.parametrize(
    ("discovery", "error"),
    [
        ({"issuer": "https://other.example"}, ValueError),
        ({"jwks_uri": "http://198.51.100.1/keys"}, ConfigError),
        ({"jwks_uri": "file:///etc/passwd"}, ConfigError),
        ({"jwks_uri": None}, ConfigError),
        ({"id_token_signing_alg_values_supported": ["HS256"]}, ValueError),
        ({"id_token_signing_alg_values_supported": ["RS384"]}, ValueError),
        ({"padding": "x" * 300_000}, ValueError),
    ],
)
def test_a_provider_that_is_not_right_gives_no_keys(discovery: dict[str, Any], error: type[Exception]) -> None:
    with providing() as double:
        assert set(fetch_keys(double.issuer)) == {"rsa-1", "ec-1"}
        double.discovery = discovery
        with pytest.raises(error):
            fetch_keys(double.issuer)


def test_symmetric_and_unreadable_keys_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with providing() as double:
        published = [{"kty": "oct", "k": b64(b"x" * 32), "kid": "rsa-1"}, {"kty": "EC", "kid": "cut"}, {"kty": "?"}, 7]
        published.append(double.keys[1].published() | {"kid": "for encryption", "use": "enc"})
        monkeypatch.setattr(SigningKey, "published", lambda key: published.pop() if published else None)
        double.keys = [STRANGER] * len(published)
        with pytest.raises(ValueError, match="no key for RS256, ES256, EdDSA"):
            fetch_keys(double.issuer)


@pytest.mark.parametrize("url", ["http://idp.example", "ftp://idp.example", "http://127.0.0.1.example", "idp.example"])
def test_a_provider_is_asked_over_https(url: str) -> None:
    with pytest.raises(ConfigError, match="expected https"):
        check_url(url)
    with pytest.raises(ConfigError, match="expected https"):
        Registration(url, AUDIENCE)


def test_a_provider_without_an_audience_is_refused() -> None:
    with pytest.raises(ConfigError, match="MERCURIOS_OIDC_AUDIENCE"):
        Registration("https://idp.example", "")


# API keys


def test_a_key_is_gone_from_the_next_request_on(api: ApiWorld) -> None:
    text, key = api.access.keys.create("north", "viewer", "till", timedelta(days=1))
    _, other = api.access.keys.create("south", "viewer", "till", timedelta(days=1))
    header = f"Bearer {text}"
    assert api.post(QUERY, tenant=None, Authorization=header).status_code == 200
    ApiKeys(api.audited.parent / "keys.sqlite").revoke(key.id)  # as another process does
    assert api.post(QUERY, tenant=None, Authorization=header).status_code == 401
    states = {each.id: each.state(datetime.now(UTC)) for each in api.access.keys.all()}
    assert (states[key.id], states[other.id]) == ("revoked", "valid")


def test_a_key_is_kept_as_a_hash_alone_and_for_its_owner_alone(tmp_path: Path) -> None:
    keys = ApiKeys(tmp_path / "access" / "keys.sqlite")
    text, _ = keys.create("north", "viewer", "till", timedelta(days=1))
    file = tmp_path / "access" / "keys.sqlite"
    assert text[-43:].encode() not in file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert text not in repr(keys.all())


def test_keys_of_one_tenant_are_taken_back_together(tmp_path: Path) -> None:
    keys = ApiKeys(tmp_path / "keys.sqlite")
    assert keys.revoke_all("north") == 0
    texts = [keys.create(tenant, "viewer", "", timedelta(days=1))[0] for tenant in ("north", "north", "south")]
    assert keys.revoke_all("north") == 2
    for text in texts[:2]:
        with pytest.raises(Unauthenticated):
            keys.identify(text)
    assert keys.identify(texts[2]).tenant == "south"


def test_keys_that_cannot_be(tmp_path: Path) -> None:
    keys = ApiKeys(tmp_path / "keys.sqlite")
    with pytest.raises(BadRequest, match="role 'root'"):
        keys.create("north", "root", "", timedelta(days=1))
    with pytest.raises(BadRequest, match="no API key 'x'"):
        keys.revoke("x")
    (tmp_path / "keys.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(ConfigError, match="mend or restore"):
        keys.all()


# Roles

FIELDS = {
    "Query.recommendations": '{ recommendations(customer: "1") { article } }',
    "Query.reorderProposals": "{ reorderProposals { matches } }",
    "Query.supplierDelay": '{ supplierDelay(supplier: "1", days: 1) { items } }',
    "Query.promotionScenario": '{ promotionScenario(category: "x", week: "2018-01-01", discount: 0.1) { model } }',
    "MetricResult.sql": '{ metrics(names: ["revenue"]) { sql } }',
}


def as_role(api: ApiWorld, role: str, document: str, tenant: str = "north") -> httpx.Response:
    token = issue(SECRET, tenant, role, timedelta(minutes=1))
    return api.post({"query": document}, tenant=None, Authorization=f"Bearer {token}")


def test_every_field_that_needs_a_role_is_tried_below() -> None:
    assert {need.field for need in declared(load_schema())} == FIELDS.keys()


@pytest.mark.parametrize("tenant", ["north", "south"])
@pytest.mark.parametrize("field", FIELDS)
def test_a_field_is_refused_below_its_role_and_answered_from_it_on(api: ApiWorld, field: str, tenant: str) -> None:
    needed = next(need.role for need in declared(load_schema()) if need.field == field)
    compiled = api.semantics.compiled
    for role in ROLES:
        answer = as_role(api, role, FIELDS[field], tenant)
        codes = [error["extensions"]["code"] for error in answer.json().get("errors", ())]
        if ROLES.index(role) >= ROLES.index(needed):
            assert answer.status_code == 200
            assert "FORBIDDEN" not in codes
        else:
            assert (answer.status_code, codes) == (403, ["FORBIDDEN"])
            assert f"{field} needs the role {needed} or above, yours is {role}" in answer.text
            assert "data" not in answer.json()
            assert api.semantics.compiled == compiled, "no resolver ran"
            assert api.audit()[-1]["outcome"] == "forbidden"


@pytest.mark.parametrize(
    "document",
    [
        "{ innocent: reorderProposals { matches } }",
        "{ tenant { id } ... on Query { reorderProposals { matches } } }",
        "{ ...A } fragment A on Query { ...B } fragment B on Query { reorderProposals { matches } }",
        "{ tenant { id } reorderProposals @skip(if: true) { matches } }",
        '{ metrics(names: ["revenue"]) { rows ... { ...S } } } fragment S on MetricResult { tables: sql }',
    ],
)
def test_no_way_of_writing_gets_around_a_role(api: ApiWorld, document: str) -> None:
    for _ in range(2):  # the second time the document comes from the cache
        assert as_role(api, "buyer", document).status_code == 200
        assert as_role(api, "viewer", document).status_code == 403


def test_a_field_is_not_reached_through_an_interface() -> None:
    schema = build_schema("""
        directive @needs(role: Role!) on FIELD_DEFINITION
        enum Role { VIEWER ADMIN }
        interface Priced { price: Int }
        type Article implements Priced { price: Int @needs(role: ADMIN) }
        type Query { priced: Priced }
    """)
    assert needs_of(schema, parse("{ priced { price } }")) == (Need("Article.price", "admin"),)
    assert needs_of(schema, parse("{ priced { __typename } }")) == ()


def test_a_viewer_reads_revenue_and_no_margin(api: ApiWorld) -> None:
    document = '{ metrics(names: ["revenue", "margin"]) { rows } }'
    assert as_role(api, "viewer", '{ metrics(names: ["revenue"]) { rows } }').json()["data"]["metrics"]["rows"]
    refused = as_role(api, "viewer", document).json()
    assert refused["data"] is None
    assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert "margin needs the role analyst or above, yours is viewer" in refused["errors"][0]["message"]
    assert api.audit()[-1]["outcome"] == "forbidden"
    assert as_role(api, "analyst", document).json()["data"]["metrics"]["rows"]
    assert as_role(api, "viewer", document).json()["data"] is None, "an answer in the cache changes nothing"


def test_a_viewer_does_not_get_a_margin_by_asking_in_words(api: ApiWorld) -> None:
    document = '{ ask(question: "what is our margin?") { text rows } }'
    refused = as_role(api, "viewer", document)
    assert refused.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert refused.json()["data"] is None
    assert as_role(api, "analyst", document).json()["data"]["ask"]["rows"]
    assert as_role(api, "viewer", '{ ask(question: "revenue") { rows } }').json()["data"]["ask"]["rows"]


def test_the_catalog_tells_what_a_metric_needs(api: ApiWorld) -> None:
    listed = as_role(api, "viewer", "{ metricCatalog { name needs } }").json()["data"]["metricCatalog"]
    assert {one["name"]: one["needs"] for one in listed} == {
        "revenue": "VIEWER",
        "units": "VIEWER",
        "margin": "ANALYST",
    }


# How often


@given(
    rate=st.floats(0.5, 50),
    burst=st.integers(1, 50),
    steps=st.lists(st.tuples(st.floats(0, 3), st.integers(0, 2), st.sampled_from(["north", "south"])), max_size=200),
)
def test_never_more_than_burst_and_rate_are_let_in(
    rate: float, burst: int, steps: list[tuple[float, int, str]]
) -> None:
    clock = Clock(0.0)
    limits = RateLimits(rate, burst, clock)
    admitted: dict[str, list[float]] = {}
    for pause, person, tenant in steps:
        clock.now += pause
        try:
            limits.admit(Identity(tenant, "viewer", str(person)))
        except RateLimited:
            continue
        for name, share in ((tenant, 1.0), (f"{tenant}/{person}", 0.5)):
            times = admitted.setdefault(name, [])
            times.append(clock.now)
            for first, since in enumerate(times):
                most = max(1.0, burst * share) + rate * share * (clock.now - since)
                assert len(times) - first <= most + 1e-6


def test_who_waits_as_long_as_told_is_let_in() -> None:
    clock = Clock()
    limits, anna = RateLimits(0.4, 2, clock), Identity("north", "viewer", "anna")
    limits.admit(anna)
    with pytest.raises(RateLimited) as refused:
        limits.admit(anna)
    limits.admit(Identity("south", "viewer", "anna"))
    clock.now += refused.value.seconds
    limits.admit(anna)


def test_too_many_requests_are_refused_before_their_bodies_are_read(tmp_path: Path) -> None:
    with listening(make_world(tmp_path, limits=RateLimits(0.01, 4))) as api:
        answers = [api.post(b"no json at all") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [400, 400, 429]
        assert answers[2].json()["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert int(answers[2].headers["Retry-After"]) >= 1
        assert api.post(QUERY, tenant="south").status_code == 200
        line = api.audit()[2]
        assert (line["tenant"], line["outcome"], line["reason"]) == ("north", "limited", "rate")


# The audit log


def test_a_line_says_who_asked_what_and_no_value_of_it(api: ApiWorld) -> None:
    document = 'query { recommendations(customer: "88001") { article } tenant { name } }'
    answer = api.post({"query": document})
    line = api.audit()[-1]
    assert line.keys() == {
        "at", "request_id", "tenant", "role", "subject", "how", "operation", "document", "release", "status", "outcome",
        "code", "reason", "milliseconds",
    }  # fmt: skip
    told = {name: line[name] for name in ("tenant", "role", "how", "operation", "status", "outcome", "code")}
    assert told == {"tenant": "north", "role": "buyer", "how": "token", "operation": "several"} | {
        "status": 200, "outcome": "ok", "code": None,
    }  # fmt: skip
    assert line["request_id"] == answer.headers["X-Request-Id"]
    assert line["release"] == api.lake.require_current().id
    assert datetime.fromisoformat(line["at"]).tzinfo
    for again, is_same in ((document, True), (document + " ", False)):
        api.post({"query": again})
        assert (api.audit()[-1]["document"] == line["document"]) == is_same
    assert not [word for word in ("88001", "northern", "customer") if word in json.dumps(line)]


def test_one_person_has_one_pseudonym_in_each_tenant(shared: Sso) -> None:
    subjects = {}
    for tenant in ("north", "south"):
        for person in ("anna", "bert", "anna"):
            shared.ask(shared.provider.token(tenant=tenant, sub=person))
            subjects.setdefault((tenant, person), set()).add(shared.api.audit()[-1]["subject"])
    assert all(len(found) == 1 for found in subjects.values())
    assert len(set.union(*subjects.values())) == 4
    assert Pseudonyms(SECRET).of("a", "bc") != Pseudonyms(SECRET).of("ab", "c")
    assert Pseudonyms(SECRET).of("a") != Pseudonyms("another" + SECRET).of("a")


@pytest.mark.parametrize(
    ("method", "body", "status", "code"),
    [
        ("POST", b"{", 400, "BAD_REQUEST"),
        ("POST", b"x" * 1_100_000, 413, "BAD_REQUEST"),
        ("GET", b"", 405, "METHOD_NOT_ALLOWED"),
        ("POST", b'{"query": "{ nope }"}', 200, "INVALID_DOCUMENT"),
    ],
)
def test_refused_requests_are_written_down_as_well(
    api: ApiWorld, method: str, body: bytes, status: int, code: str
) -> None:
    headers = {"Authorization": f"Bearer {api.tokens['south']}"}
    answer = api.http.request(method, f"{api.url}/graphql", content=body, headers=headers)
    line = api.audit()[-1]
    assert (answer.status_code, line["status"], line["code"], line["tenant"]) == (status, status, code, "south")


def test_a_fault_is_written_down(api: ApiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.app.service._graphql, "answer", None)
    assert api.post(QUERY).status_code == 500
    assert (api.audit()[-1]["outcome"], api.audit()[-1]["code"]) == ("fault", "INTERNAL_ERROR")


def test_what_cannot_be_written_down_is_not_answered(tmp_path: Path) -> None:
    with listening(make_world(tmp_path)) as api:
        full = os.open("/dev/full", os.O_WRONLY)
        api.access.audit._file, kept = full, api.access.audit._file
        api.access.audit._follow = lambda: None  # type: ignore[method-assign]
        with capture_logs() as logs:
            answer = api.post(QUERY)
        assert answer.status_code == 503
        assert "data" not in answer.json()
        assert answer.json()["errors"][0]["extensions"]["code"] == "ACCESS_UNAVAILABLE"
        assert "api.audit_unwritable" in [entry["event"] for entry in logs]
        api.access.audit._file = kept
        os.close(full)
        assert api.post(QUERY).status_code == 200


def test_the_log_is_appended_to_and_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "access" / "audit.jsonl"
    for number in range(2):
        log = AuditLog.open(path)
        log.write(number=number)
        log.close()
    assert [json.loads(line)["number"] for line in path.read_text().splitlines()] == [0, 1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot write the audit log"):
        AuditLog.open(tmp_path / "file" / "audit.jsonl")


def test_a_log_that_was_renamed_or_removed_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog.open(path)
    log.write(number=1)
    path.rename(tmp_path / "audit.1")
    log.write(number=2)
    assert ((tmp_path / "audit.1").read_text(), path.read_text()) == ('{"number":1}\n', '{"number":2}\n')
    path.unlink()
    log.write(number=3)
    assert path.read_text() == '{"number":3}\n'
    log.close()


def test_a_line_cut_short_is_an_error_and_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, write = AuditLog.open(tmp_path / "audit.jsonl"), os.write
    monkeypatch.setattr(os, "write", lambda file, line: write(file, line[:5]))
    with pytest.raises(AccessUnavailable):
        log.write(number=1)
    monkeypatch.undo()
    log.write(number=2)
    assert (tmp_path / "audit.jsonl").read_text().splitlines()[-1] == '{"number":2}'
    log.close()


def test_many_at_once_leave_whole_lines(tmp_path: Path) -> None:
    logs = [AuditLog.open(tmp_path / "audit.jsonl") for _ in range(4)]  # as four processes

    def fill(log: AuditLog) -> None:
        for number in range(200):
            log.write(number=number, text="x" * 500)
        log.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(fill, logs))
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert sorted(line["number"] for line in lines) == sorted([*range(200)] * 4)
