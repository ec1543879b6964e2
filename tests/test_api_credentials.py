"""Credentials: good ones say who asks; bad ones of every kind are refused, written down, and repeated nowhere."""

import base64
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from mercurios.api.access.gate import MAX_CHARACTERS
from mercurios.api.access.identity import Pseudonyms
from mercurios.api.access.keyring import Keys, check_url, fetch_keys
from mercurios.api.access.keys import ApiKeys
from mercurios.api.access.provider import Registration
from mercurios.api.access.tokens import issue
from mercurios.errors import ConfigError, Unauthenticated
from tests.api_world import OTHER, SECRET
from tests.oidc_double import AUDIENCE, OidcDouble, SigningKey, providing
from tests.sso_world import QUERY, Sso, signing_on


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sso]:
    with signing_on(tmp_path_factory.mktemp("sso")) as running:
        yield running


@pytest.fixture
def sso(tmp_path: Path) -> Iterator[Sso]:
    """One of its own, for tests that break it."""
    with signing_on(tmp_path) as running:
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


def test_a_slow_provider_holds_up_nobody_else(sso: Sso, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sso.ask(sso.provider.token()).status_code == 200
    text, _ = sso.api.access.keys.create("south", "viewer", "", timedelta(days=1))
    keyring, asked, answering = sso.api.access.provider._keyring, threading.Event(), threading.Event()  # type: ignore[union-attr]
    fetch = keyring._fetch

    def slowly() -> Keys:
        asked.set()
        assert answering.wait(5)
        return fetch()

    monkeypatch.setattr(keyring, "_fetch", slowly)
    new = SigningKey.make("rsa-2", "RS256")
    sso.provider.keys.append(new)
    sso.clock.now += 11
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(sso.ask, new.sign(sso.provider.claims()))
        assert asked.wait(5)
        assert sso.ask(sso.provider.keys[0].sign(sso.provider.claims())).status_code == 200
        assert sso.ask(text).json()["data"]["tenant"]["id"] == "south"
        assert not waiting.done()
        answering.set()
        assert waiting.result().status_code == 200


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
