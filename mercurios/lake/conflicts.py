"""What goes wrong with the lake's catalog and files, told in this project's words.

    with reached("the table of releases"):
        catalog.load_table("lake.releases")

Of what drivers and servers say only names go along: their texts may repeat what was sent, with keys in it.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
)
from botocore.exceptions import ConnectionError as NoConnection
from pyiceberg.exceptions import CommitFailedException, TableAlreadyExistsError, ValidationError, ValidationException
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError

from mercurios.errors import LakeError, Transient

_CONFLICTS = (CommitFailedException, TableAlreadyExistsError, ValidationException, IntegrityError)
_UNREACHABLE = (SQLAlchemyError, BotoCoreError, ClientError, OSError, ValidationError)
_DAMAGED = (pa.ArrowInvalid, ValueError, EOFError)
"""What readers of Parquet, Avro and Iceberg's metadata raise of bytes that are none."""
_DENIED = "it is denied; give who runs this the policy of its role (docs/lake.md), or the right to the lake's folder"
_RENEW = "the credentials are not accepted; renew them, e.g. with `aws sso login`, and run this again"
_NETWORK = "no answer; check network and region, then run this again"
_MISSING = "it is not there; check MERCURIOS_LAKE, and run `mercurios lake apply` if the account is not set up"
_GONE = "a file is gone; restore it (a bucket with versions keeps it for a while) or roll back to a release that reads"
_HARMED = "a file is damaged; restore it from a copy or roll back to a release that reads"
_AWS_SAYS = re.compile(r"AWS Error (UNKNOWN \(HTTP status \d+\)|[A-Z_]+)")
_ADVICE = {
    r"accessdenied|unauthorized|forbidden|status40[13]": _DENIED,
    r"accesskey|clienttoken|token|signature|unrecognizedclient|expired": _RENEW,
    r"nosuchbucket|entitynotfound|resourcenotfound": _MISSING,
    r"nosuchkey": _GONE,
}
"""By what AWS's word contains; of any other it is worth trying again."""
_ADVICE_BY_NUMBER = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _DENIED),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "no space is left; free some, then run this again"),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR), _GONE),
}
_CATALOG = "check MERCURIOS_CATALOG and the disk it is on, then run this again"
_CREDENTIALS = "no AWS credentials are found; set AWS_PROFILE, or run where a role is given"


class PublishConflict(LakeError, Transient):
    """Somebody else published at the same moment; nothing of this publication is visible."""


@contextmanager
def reached(what: str, *, damaged: bool = False) -> Iterator[None]:
    """Raise LakeError, which says what to do, where the catalog or a file cannot be reached.

    damaged: nothing is called but what reads files, so bytes that make no sense are told too.
    """
    kinds: tuple[type[Exception], ...] = (*_UNREACHABLE, *(_DAMAGED if damaged else ()))
    try:
        yield
    except kinds as error:
        raise LakeError(f"{what}: {advice(error)}") from None


@contextmanager
def committing(what: str) -> Iterator[None]:
    """Raise PublishConflict where another writer was faster, and LakeError where catalog or files do not answer."""
    try:
        yield
    except _CONFLICTS as error:
        raise PublishConflict(f"somebody else wrote {what} at the same moment; run this again") from error
    except OperationalError as error:
        if "locked" not in str(error.orig):
            raise LakeError(f"{what} was not written: {advice(error)}") from None
        raise PublishConflict(f"somebody else holds the lake's catalog, {what} was not written; run again") from error
    except _UNREACHABLE as error:
        raise LakeError(f"{what} was not written: {advice(error)}") from None


def advice(error: Exception) -> str:
    """What was met and what to do about it, without the text of who met it."""
    if isinstance(error, SQLAlchemyError):
        return f"the lake's catalog does not answer ({_name(getattr(error, 'orig', None) or error)}); {_CATALOG}"
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return _CREDENTIALS
    if isinstance(error, NoRegionError):
        return "no AWS region is set; set AWS_REGION or AWS_DEFAULT_REGION"
    if word := _word(error):
        return f"{_by_word(word)} (AWS says {word})"
    if isinstance(error, OSError) and error.errno in _ADVICE_BY_NUMBER:
        return f"{_ADVICE_BY_NUMBER[error.errno]} ({_name(error)})"
    if isinstance(error, FileNotFoundError):
        return _GONE
    if isinstance(error, (ConnectionError, TimeoutError, NoConnection, HTTPClientError)):
        return f"{_NETWORK} ({_name(error)})"
    if isinstance(error, BotoCoreError):
        return f"the AWS configuration does not work ({_name(error)}); check profile, region and endpoint"
    if isinstance(error, OSError):
        return f"the storage failed ({_name(error)}); check it and MERCURIOS_LAKE, then run this again"
    return f"{_HARMED} ({_name(error)})"


def _word(error: Exception) -> str:
    """AWS's word for what went wrong, empty where it says none."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "")) or "nothing more"
    found = _AWS_SAYS.search(str(error)) if isinstance(error, OSError) else None
    return found.group(1) if found else ""


def _by_word(word: str) -> str:
    plain = re.sub(r"[^a-z0-9]", "", word.lower())
    return next((said for pattern, said in _ADVICE.items() if re.search(pattern, plain)), _NETWORK)


def _name(error: object) -> str:
    number = errno.errorcode.get((error.errno if isinstance(error, OSError) else None) or 0)
    return f"{type(error).__name__}{f', {number}' if number else ''}"
