"""Questions in words, answered by a metric query or refused with a reason; and what people say of the answers.

The id of an answer holds what is needed to make something of a rating: release, outcome, metrics, and a keyed hash of
the question. So no answer is kept, and no question.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from graphql import GraphQLResolveInfo

from mercurios.answers import Answer
from mercurios.api.asker import Asker, Resolvers, language
from mercurios.api.names import text
from mercurios.errors import BadRequest
from mercurios.journal import Told

MAX_QUESTION_CHARACTERS = 1_000
MAX_COMMENT_CHARACTERS = 500
MAX_RATINGS = 1_000
_ANSWER = "answer"


@dataclass(frozen=True)
class AnswerView:
    """An answer with the release it rests on, and the id by which it can be rated."""

    id: str
    answer: Answer
    release: str


def _ask(_: object, info: GraphQLResolveInfo, *, question: str, locale: str | None = None) -> AnswerView:
    asker: Asker = info.context
    if not question.strip():
        raise BadRequest("the question is empty; ask e.g. 'What was our revenue in November?'")
    if len(question) > MAX_QUESTION_CHARACTERS:
        raise BadRequest(
            f"the question has {len(question):,} characters, at most {MAX_QUESTION_CHARACTERS:,} are read; shorten it"
        )
    answer = asker.backend.ask(asker.session, question, language(locale))
    if answer.query is not None:  # every number of an answer comes from the metrics it names
        asker.permit_metrics(cast("list[str]", answer.query["names"]))
    return AnswerView(_id(asker, question, answer), answer, asker.session.release.id)


def _id(asker: Asker, question: str, answer: Answer) -> str:
    tenant, seals = asker.identity.tenant, asker.backend.seals
    pepper = bytes.fromhex(seals.pepper(tenant))
    asked = hashlib.blake2b(question.encode("utf-8", "surrogatepass"), key=pepper, digest_size=12).hexdigest()
    metrics = list(answer.query["names"]) if answer.query is not None else []  # type: ignore[call-overload]
    return seals.seal(tenant, _ANSWER, [asker.session.release.id, answer.status, metrics, asked])


def _rate_answer(
    _: object, info: GraphQLResolveInfo, *, answer: str, isHelpful: bool, comment: str | None = None
) -> Mapping[str, Any]:
    asker: Asker = info.context
    release, status, metrics, asked = asker.backend.seals.open(asker.identity.tenant, _ANSWER, answer)
    body = {
        "release": release,
        "status": status,
        "metrics": metrics,
        "question": asked,
        "isHelpful": isHelpful,
        "comment": text("comment", comment, MAX_COMMENT_CHARACTERS),
    }
    who = (release, asked, asker.identity.how, asker.identity.subject)
    about = hashlib.sha256("/".join(who).encode()).hexdigest()[:32]
    note, _is_new = asker.journal.add(Told("rating", about, body, **asker.author))
    return {"answer": answer, "isHelpful": isHelpful, "comment": note.body["comment"], "at": note.at}


def _feedback(_: object, info: GraphQLResolveInfo, first: int | None = None) -> Sequence[Mapping[str, Any]]:
    asker: Asker = info.context
    most = 50 if first is None else first
    if not 1 <= most <= MAX_RATINGS:
        raise BadRequest(f"first {most}: expected 1 to {MAX_RATINGS:,} ratings")
    return [{**note.body, "at": note.at, "role": note.role.upper()} for note in asker.journal.recent("rating", most)]


def _of_answer(field: str) -> Callable[..., Any]:
    return lambda view, _: getattr(view.answer, field)


RESOLVERS: Resolvers = {
    "Query.ask": _ask,
    "Query.feedback": _feedback,
    "Mutation.rateAnswer": _rate_answer,
    **{f"Answer.{field}": _of_answer(field) for field in ("status", "text", "columns", "rows", "query", "sources")},
}
