"""What goes wrong at a commit, told in this project's words."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError
from pyiceberg.exceptions import CommitFailedException, TableAlreadyExistsError, ValidationException
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError

from mercurios.errors import LakeError, Transient

_CONFLICTS = (CommitFailedException, TableAlreadyExistsError, ValidationException, IntegrityError)
_UNREACHABLE = (SQLAlchemyError, BotoCoreError, ClientError)


class PublishConflict(LakeError, Transient):
    """Somebody else published at the same moment; nothing of this publication is visible."""


@contextmanager
def committing(what: str) -> Iterator[None]:
    """Raise PublishConflict where another writer was faster, and LakeError where the catalog does not answer."""
    try:
        yield
    except _CONFLICTS as error:
        raise PublishConflict(f"somebody else wrote {what} at the same moment; run this again") from error
    except OperationalError as error:
        if "locked" not in str(error):
            raise LakeError(f"the lake's catalog did not take {what}: {_first_line(error)}") from error
        raise PublishConflict(f"somebody else holds the lake's catalog, {what} was not written; run again") from error
    except _UNREACHABLE as error:
        raise LakeError(f"the lake's catalog did not take {what}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
