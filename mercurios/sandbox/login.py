"""The login port: `POST /api/v4/token`, `POST /api/v4/token/refresh`, and `GET /derived` as text."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from tornado import web

from mercurios.sandbox.handlers import Derived, Handler, application
from mercurios.sandbox.rules import Rules
from mercurios.sandbox.served import Served
from mercurios.sandbox.tokens import Grant, TokenDesk


@dataclass(frozen=True)
class Login:
    """Who may log in, where they are sent, how they are refused; the mappings by merchant."""

    desk: TokenDesk
    server_urls: Mapping[str, str]
    served: Mapping[str, Served]
    rules: Rules


def login_application(login: Login) -> web.Application:
    """The login port of all merchants."""
    derived = "\n".join(f"{name}\n\n{served.derived}" for name, served in login.served.items())
    return application(
        (r"/api/v4/token", _Login, {"login": login}),
        (r"/api/v4/token/refresh", _Refresh, {"login": login}),
        (r"/derived", Derived, {"text": derived}),
    )


class _Tokens(Handler):
    def initialize(self, login: Login) -> None:
        self.login = login

    def is_refused(self, merchant: str | None, kind: str) -> bool:
        """Whether a fault was ordered for this login or refresh; it is answered then."""
        status = self.login.served[merchant].desk.meet_login(kind) if merchant else None
        if status:
            self.refuse_as(status)
        return status is not None

    def answer(self, grant: Grant) -> None:
        """Finish with the pair of tokens and the merchant's host."""
        rules = self.login.rules
        seconds = {"token": rules.token_seconds, "refreshToken": rules.refresh_seconds}
        values = {"token": grant.access, "refreshToken": grant.refresh}
        tokens = {
            kind: {"value": values[kind], "name": kind, "expiresIn": int(lifetime)}
            for kind, lifetime in seconds.items()
        }
        server_url = self.login.server_urls[grant.merchant]
        self.finish(json.dumps({"token": tokens, "serverUrl": server_url, "requiredActions": []}))


class _Login(_Tokens):
    def post(self) -> None:
        credentials = self._credentials()
        if credentials is None:
            return self.refuse(400, "expected a JSON object with apiKey and secret, both texts")
        if self.is_refused(self.login.desk.owner(credentials[0]), "login"):
            return None
        grant = self.login.desk.login(*credentials)
        return self.answer(grant) if grant else self.refuse(401, "apiKey or secret is wrong")

    def _credentials(self) -> tuple[str, str] | None:
        try:
            body = json.loads(self.request.body)
        except ValueError:
            return None
        pair = (body.get("apiKey"), body.get("secret")) if isinstance(body, dict) else (None, None)
        return pair if all(isinstance(part, str) for part in pair) else None  # type: ignore[return-value]


class _Refresh(_Tokens):
    def post(self) -> None:
        if self.is_refused(self.login.desk.merchant(self.bearer(), "refresh"), "refresh"):
            return None
        grant = self.login.desk.renew(self.bearer())
        return self.answer(grant) if grant else self.refuse_token()
