"""Query: a question becomes a metric query, its result an answer in words.

    answer = ask(session, semantics, index, "Wie hoch war der Umsatz im November?")
    answer.text

Numbers come from the semantic layer alone; this module only joins the planner, the session and the wording.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
import yaml

import mercurios.answers
from mercurios.answers import Ambiguity, Answer, Context, Coverage, Refusal
from mercurios.answers.describe import Setting
from mercurios.answers.lexicon import LANGUAGES
from mercurios.answers.llm import LanguageModel, plan_with
from mercurios.answers.reading import language_of
from mercurios.answers.render import answered, asked_back, probe, refused
from mercurios.errors import BadRequest, NoRelease
from mercurios.metrics import SemanticLayer, run
from mercurios.progress import track
from mercurios.retrieval import TenantIndex
from mercurios.serving import Session

log = structlog.get_logger(__name__)

_MERCHANT = "select name, currency, locale from marts.dim_tenants"
_SALES = "select min(sold_on) as first, max(sold_on) as last from marts.mart_sales_daily"
_AS_OF = "select max(as_of_on) as day from marts.mart_product_performance"
_STOCK = "select min(snapshot_on) as first, max(snapshot_on) as last from marts.fct_stock_daily"


@dataclass(frozen=True)
class DemoQuestion:
    """A question of `demo_questions.yaml` and the language to answer in."""

    question: str
    locale: str


@dataclass(frozen=True)
class Asked:
    """A question and what became of it."""

    question: str
    answer: Answer
    seconds: float


@dataclass(frozen=True)
class QueryReport:
    """The standard questions, asked of one tenant."""

    tenant_id: str
    answers: tuple[Asked, ...]
    seconds: float


def ask(  # noqa: PLR0913  three parts to ask, three words of what is asked
    session: Session,
    semantics: SemanticLayer,
    index: TenantIndex,
    question: str,
    locale: str | None = None,
    llm: LanguageModel | None = None,
) -> Answer:
    """Answer a question of the session's tenant, refuse it with a reason, or ask back.

    locale: `de` or `en`; the question's own language when None.
    Raises BadRequest for another locale, an empty question or one of more than 1,000 characters.
    """
    started = time.perf_counter()
    context = context_of(session, semantics, index)
    plan = plan_with(question, context, llm)
    setting = Setting(context, _language(locale, question, context), session.release.id)
    if isinstance(plan, Refusal):
        answer = refused(plan, setting)
    elif isinstance(plan, Ambiguity):
        answer = asked_back(plan, setting)
    else:
        result = run(semantics, session, probe(plan))
        answer = answered(plan, result.columns, result.rows, setting)
    reason = plan.reason if isinstance(plan, Refusal) else ""
    seconds = round(time.perf_counter() - started, 3)
    log.info("query", tenant=session.tenant_id, status=answer.status, reason=reason, seconds=seconds)
    return answer


def ask_all(tenant_id: str, ask_one: Callable[[str, str | None], Answer]) -> QueryReport:
    """Ask the standard questions; `ask_one` takes a question and a locale, as `Workspace.ask` does."""
    started = time.perf_counter()
    asked = []
    questions = demo_questions()
    with track(f"query {tenant_id}", unit="questions", total=len(questions)) as advance:
        for one in questions:
            began = time.perf_counter()
            answer = ask_one(one.question, one.locale)
            asked.append(Asked(one.question, answer, time.perf_counter() - began))
            advance(1)
    return QueryReport(tenant_id, tuple(asked), time.perf_counter() - started)


def demo_questions() -> Sequence[DemoQuestion]:
    """The questions of the demonstration."""
    path = Path(mercurios.answers.__file__).with_name("demo_questions.yaml")
    return tuple(DemoQuestion(**one) for one in yaml.safe_load(path.read_text(encoding="utf-8")))


def context_of(session: Session, semantics: SemanticLayer, index: TenantIndex) -> Context:
    """What questions of the session's tenant are read against; raises NoRelease when it holds no sales."""
    merchant = session.query(_MERCHANT).to_pylist()
    sales = session.query(_SALES).to_pylist()[0]
    if not merchant or sales["last"] is None:
        raise NoRelease(
            f"release {session.release.id} holds no sales of {session.tenant_id!r}; run `mercurios pipeline`"
        )
    stock = session.query(_STOCK).to_pylist()[0] if session.holds("fct_stock_daily") else {"first": None, "last": None}
    as_of = session.query(_AS_OF).to_pylist()[0]["day"] if session.holds("mart_product_performance") else None
    return Context(
        index=index,
        catalog=semantics.catalog(),
        coverage=Coverage(sales["first"], sales["last"], stock["first"], stock["last"], as_of),
        currency=merchant[0]["currency"],
        language=merchant[0]["locale"] if merchant[0]["locale"] in LANGUAGES else "de",
        names=(session.tenant_id, merchant[0]["name"]),
    )


def _language(locale: str | None, question: str, context: Context) -> str:
    if locale is None:
        return language_of(question, context)
    language = locale.replace("_", "-").split("-")[0].lower()
    if language not in LANGUAGES:
        raise BadRequest(f"locale {locale[:20]!r}: expected one of {', '.join(LANGUAGES)}")
    return language
