"""Questions in words, answered by a metric query or refused with a reason."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from graphql import GraphQLResolveInfo

from mercurios.answers import Answer
from mercurios.api.asker import Asker, Resolvers, language
from mercurios.errors import BadRequest

MAX_QUESTION_CHARACTERS = 1_000


@dataclass(frozen=True)
class AnswerView:
    """An answer with the release it rests on."""

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
    return AnswerView(answer, asker.session.release.id)


def _of_answer(field: str) -> Callable[..., Any]:
    return lambda view, _: getattr(view.answer, field)


RESOLVERS: Resolvers = {
    "Query.ask": _ask,
    **{f"Answer.{field}": _of_answer(field) for field in ("status", "text", "columns", "rows", "query", "sources")},
}
