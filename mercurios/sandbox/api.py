"""The API of one merchant: `GET /api/v2/<entity>`, `GET /api/v2/<entity>/<id>`, and `GET /derived` as text."""

import asyncio
import re
from dataclasses import dataclass

from tornado import web

from mercurios.errors import BadRequest
from mercurios.sandbox.damage import Damage, closing_share, damaged, sent_bytes
from mercurios.sandbox.desk import Met
from mercurios.sandbox.faults import Expired, Refusal, TooLarge
from mercurios.sandbox.handlers import Derived, Handler, application
from mercurios.sandbox.pages import View
from mercurios.sandbox.rules import Rules
from mercurios.sandbox.selection import EVERYTHING, Selection, asked
from mercurios.sandbox.served import Served
from mercurios.sandbox.shapes import SHAPES
from mercurios.sandbox.tokens import TokenDesk


@dataclass(frozen=True)
class Api:
    """What one merchant's API lists, who may ask, by which rules."""

    served: Served
    desk: TokenDesk
    rules: Rules


@dataclass(frozen=True)
class _Asked:
    """One request for a page, its size as the server allows it."""

    entity: str
    page: int
    size: int
    selection: Selection

    @property
    def first(self) -> int:
        """The first row of the page."""
        return (self.page - 1) * self.size


def api_application(api: Api) -> web.Application:
    """The API of one merchant."""
    return application(
        (r"/api/v2/([^/]+)/?", _Pages, {"api": api}),
        (r"/api/v2/([^/]+)/([^/]+)", _Record, {"api": api}),
        (r"/derived", Derived, {"text": api.served.derived}),
    )


class _ApiHandler(Handler):
    def initialize(self, api: Api) -> None:
        self.api = api

    def prepare(self) -> None:
        if self.api.desk.admit(self.bearer()) != self.api.served.merchant:
            self.refuse_token()

    def entity(self, name: str) -> str | None:
        """The entity's name in lower case, None (and 404 answered) when the API has none of that name."""
        entity = name.lower()
        if entity not in SHAPES:
            self.refuse(404, f"no resource at {self.request.path}")
            return None
        self.set_header("api-supported-versions", SHAPES[entity].versions)
        return entity


class _Pages(_ApiHandler):
    async def get(self, name: str) -> None:
        entity = self.entity(name)
        if entity is None:
            return
        try:
            wanted = self._asked(entity)
        except BadRequest as error:
            return self.refuse(400, str(error))
        met = self.api.served.meet(entity, wanted.page, wanted.size)
        if met.slow_seconds:
            await asyncio.sleep(met.slow_seconds)
        if met.refusal:
            return self._refuse(met.refusal)
        await self._answer(wanted, met)

    def _asked(self, entity: str) -> _Asked:
        page, size = self._number("page", 1), self._number("pagesize", self.api.rules.page_size)
        filters = self.api.rules.filters
        selection = asked(filters, lambda name: self.get_query_argument(name, None)) if filters else EVERYTHING
        is_lying = self.api.served.desk.faults.ignores_filters
        return _Asked(entity, page, min(size, self.api.rules.max_page_size), EVERYTHING if is_lying else selection)

    def _number(self, name: str, default: int) -> int:
        text = self.get_query_argument(name, str(default))
        if not re.fullmatch(r"0*[1-9][0-9]{0,8}", text):
            raise BadRequest("page and pagesize are whole numbers from 1")
        return int(text)

    def _refuse(self, refusal: Refusal) -> None:
        if isinstance(refusal, Expired):
            self.api.desk.revoke(self.bearer())
            return self.refuse_token()
        if isinstance(refusal, TooLarge):
            return self.refuse(413, f"a page has at most {refusal.rows} rows")
        return self.refuse_as(refusal)

    async def _answer(self, wanted: _Asked, met: Met) -> None:
        view = self.api.served.view(wanted.entity, wanted.selection, wanted.first, met.repeated_rows)
        body = self._body(view, wanted, met)
        self.set_header("X-Page", str(wanted.page))
        self.set_header("X-Pagesize", str(wanted.size))
        self.set_header("X-More-Pages-Available", str(wanted.page * wanted.size < view.rows))
        share = closing_share(met.effects)
        if share is None:
            self.finish(body)
        else:
            await self._close_within(body, sent_bytes(body, share))

    def _body(self, view: View, wanted: _Asked, met: Met) -> bytes:
        texts = self.api.served.texts(wanted.entity, view, wanted.first, wanted.size)
        damage = Damage(wanted.entity, texts, met.drifts, met.effects)
        return damaged(view.json(wanted.first, wanted.size), damage)

    async def _close_within(self, body: bytes, sent: int) -> None:
        self.set_header("Content-Length", str(len(body)))
        self.write(body[:sent])
        await self.flush()
        self.detach().close()


class _Record(_ApiHandler):
    def get(self, name: str, record_id: str) -> None:
        entity = self.entity(name)
        if entity is None:
            return
        record = self.api.served.listing(entity).view.record(record_id)
        if record is None:
            return self.refuse(404, f"no {entity} with id {record_id}")
        self.finish(record)
