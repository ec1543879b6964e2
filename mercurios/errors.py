"""Every error that Mercurios raises on purpose.

    MercuriosError
      ConfigError                 a setting, a tenant file or a secret reference is wrong
        UnknownTenant             no tenant of that name is set up
      SourceError                 a merchant's system did not deliver
        AuthenticationFailed      key, secret or token refused
        SourceUnavailable         no answer, or a 5xx/429 that outlasted the retries (Transient)
        MalformedPage             an answer that is not what the interface promises
        BudgetSpent               the run has used up its calls; the next one goes on from there (Transient)
        NotOffered                the merchant's API does not offer an entity, or not to this key
        IngestIncomplete          some entities of a merchant could not be read, the others were
        DriftStopped              an entity changed its shape, and its contract says to stop then
        SyncFailed                a Fivetran sync failed, or cannot run as the connection is set up
        SyncOverdue               a Fivetran sync has not come to an end in the time it was given (Transient)
      IngestRunning               another process reads the same tenant's entity (Transient)
      WarehouseError              the warehouse could not be opened, read or written
        WarehouseBusy             another process holds the DuckDB file (Transient)
        BatchMismatch             extracted is not loaded + quarantined
      TransformFailed             dbt did not build every model and pass every test
      LakeError                   the lake could not be read or written
        NoRelease                 nothing has been exported yet, or the release is gone
        PublishConflict           of mercurios.lake: two publications met, run one again (Transient)
      MetricError                 a metric query that cannot be answered
        UnknownMetric
        UnknownDimension
        InvalidMetricQuery
      ModelError                  training, registry or prediction
        SeriesTooShort
        TooFewPurchases           no known customer has bought often enough to be tested
        NoChampion                no model carries the alias `champion`
      RetrievalError              the FAISS index is missing or does not fit
      AccessError                 who asks may not
        Unauthenticated           no credential, or one that is not valid
        Forbidden                 known, and may not
        RateLimited               asks too often (Transient)
        AccessUnavailable         who asks cannot be known, or not be written down, for now (Transient)
      JournalError                what people tell could not be kept or read for now (Transient)
        JournalFull               too much of it waits to be carried into the warehouse
      BadRequest                  what was asked is malformed or too large
        TooCostly                 it would cost more points than one request may
        DocumentNotAllowed        only known documents are answered, and this is none
      Timeout                     an answer took longer than it may and was stopped (Transient)
        InvalidDocument           of mercurios.api.documents: it is no GraphQL, or does not fit the schema

A message says what was expected, what came, and what to do next. `Transient` marks what may be retried.
"""

from collections.abc import Sequence
from typing import Any


class MercuriosError(Exception):
    """Root of the tree: catch it to catch everything Mercurios raises on purpose."""


class Transient(Exception):
    """Mixed into errors that a later try may not meet again."""


class ConfigError(MercuriosError):
    """A setting, a tenant file or a secret reference is wrong."""


class UnknownTenant(ConfigError):
    """No tenant of that name is set up."""


class SourceError(MercuriosError):
    """A merchant's system did not deliver."""


class AuthenticationFailed(SourceError):
    """Key, secret or token was refused."""


class SourceUnavailable(SourceError, Transient):
    """No answer, or one that outlasted the retries."""


class MalformedPage(SourceError):
    """An answer that is not what the interface promises."""


class BudgetSpent(SourceError, Transient):
    """The run has used up the calls it may send; what was read is kept, and the next run goes on from there."""


class NotOffered(SourceError):
    """The merchant's API does not offer an entity, or not to this key."""


class IngestIncomplete(SourceError):
    """Some entities of a merchant could not be read; the others were. `report` tells of them."""

    def __init__(self, message: str, report: object = None) -> None:
        super().__init__(message)
        self.report = report


class DriftStopped(SourceError):
    """An entity changed its shape, and its contract says to stop then. `drifts` tells how."""

    def __init__(self, message: str, drifts: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.drifts = tuple(drifts)


class SyncFailed(SourceError):
    """A Fivetran sync failed, or cannot run as the connection is set up."""


class SyncOverdue(SourceError, Transient):
    """A Fivetran sync has not come to an end in the time it was given."""


class IngestRunning(MercuriosError, Transient):
    """Another process reads the same entity of the same tenant."""


class WarehouseError(MercuriosError):
    """The warehouse could not be opened, read or written."""


class WarehouseBusy(WarehouseError, Transient):
    """Another process holds the warehouse."""


class BatchMismatch(WarehouseError):
    """A batch in which extracted is not loaded + quarantined."""


class TransformFailed(MercuriosError):
    """dbt did not build every model and pass every test."""


class LakeError(MercuriosError):
    """The lake could not be read or written."""


class NoRelease(LakeError):
    """Nothing has been exported yet, or the release is gone."""


class MetricError(MercuriosError):
    """A metric query that cannot be answered."""


class UnknownMetric(MetricError):
    """No metric of that name is defined."""


class UnknownDimension(MetricError):
    """The metric cannot be grouped or filtered by that dimension."""


class InvalidMetricQuery(MetricError):
    """The parts of the query contradict each other or are out of range."""


class ModelError(MercuriosError):
    """Training, registry or prediction failed."""


class SeriesTooShort(ModelError):
    """A series has fewer observations than the backtest needs."""


class TooFewPurchases(ModelError):
    """No known customer has bought often enough for a recommender to be trained or tested."""


class NoChampion(ModelError):
    """No model version carries the alias `champion`."""


class RetrievalError(MercuriosError):
    """The FAISS index is missing or does not fit the embedder."""


class AccessError(MercuriosError):
    """Who asks may not. `reason`: a word for the audit log, which repeats nothing of a credential."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class Unauthenticated(AccessError):
    """No credential, or one that is not valid."""


class Forbidden(AccessError):
    """It is known who asks, and they may not."""


class RateLimited(AccessError, Transient):
    """Somebody asks too often; `seconds` from now there is room again."""

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message, "rate")
        self.seconds = seconds


class AccessUnavailable(AccessError, Transient):
    """Who asks cannot be known, or cannot be written down, for now."""


class JournalError(MercuriosError, Transient):
    """What people tell could not be kept or read for now; nothing was kept."""


class JournalFull(JournalError):
    """Too much waits to be carried into the warehouse."""


class BadRequest(MercuriosError):
    """What was asked is malformed or too large."""


class TooCostly(BadRequest):
    """A request would cost more points than one may."""


class DocumentNotAllowed(BadRequest):
    """Only known documents are answered, and this is none of them."""


class Timeout(MercuriosError, Transient):
    """An answer took longer than it may and was stopped."""
