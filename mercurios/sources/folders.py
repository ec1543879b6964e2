"""Where files are dropped: a folder, or a prefix of an S3 bucket.

    folder = open_folder("s3://bucket/north")
    for found in folder.files(): folder.open(found.name)

Names are relative, parted by `/`. What begins with `.`, `~` or `_` is somebody's work in progress and not seen.
"""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import unquote, urlsplit

import botocore.session
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from mercurios.errors import AuthenticationFailed, SourceError, SourceUnavailable

_CHUNK_BYTES = 1 << 20
_HIDDEN = (".", "~", "_")
_REFUSED = {"AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
_MISSING = {"NoSuchBucket", "NoSuchKey", "404"}


@dataclass(frozen=True)
class Found:
    """One file; `modified` is UTC."""

    name: str
    modified: datetime


class Folder(Protocol):
    """Files that can be listed and opened."""

    def files(self) -> tuple[Found, ...]:
        """All files, oldest first; raises SourceError."""

    def open(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """A file to read, with random access; raises SourceError."""


def open_folder(url: str) -> Folder:
    """The folder of a `file:///PATH` or `s3://BUCKET/PREFIX` URL; nothing is touched before the first call."""
    parts = urlsplit(url)
    return (
        Bucket(parts.netloc, parts.path.strip("/")) if parts.scheme == "s3" else LocalFolder(Path(unquote(parts.path)))
    )


@dataclass(frozen=True)
class LocalFolder:
    """A folder of this machine, with the folders in it."""

    path: Path

    def files(self) -> tuple[Found, ...]:
        """All files, oldest first; raises SourceError when there is no such folder."""
        if not self.path.is_dir():
            raise SourceError(f"no folder at {self.path}; make it, or correct `url` in the tenant file")
        return _sorted(self._walk())

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """The file itself; raises SourceError when it was changed while it was read."""
        try:
            file = os.fdopen(os.open(self.path / name, os.O_RDONLY | os.O_NOFOLLOW), "rb")
        except OSError as error:
            raise SourceError(f"{name} cannot be opened: {error.strerror}") from error
        with file:
            before = os.fstat(file.fileno())
            yield file
            after = os.fstat(file.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise SourceError(f"{name} is still being written; run again later")

    def _walk(self) -> Iterator[Found]:
        def refuse(error: OSError) -> None:
            raise SourceError(f"{error.filename} cannot be listed: {error.strerror}") from error

        for folder, _, names in os.walk(self.path, onerror=refuse):
            for path in (Path(folder, name) for name in names):
                with suppress(FileNotFoundError):  # moved away meanwhile
                    status = path.lstat()
                    if stat.S_ISREG(status.st_mode):  # a link may lead to another merchant's files
                        yield Found(
                            _told_name(path.relative_to(self.path)), datetime.fromtimestamp(status.st_mtime, UTC)
                        )


def _told_name(path: Path) -> str:
    name = path.as_posix()
    if not name.isprintable():  # among others what is no UTF-8
        raise SourceError(f"{name!a} cannot be a file's name here; rename it")
    return name


class Bucket:
    """A prefix of an S3 bucket; credentials, region and endpoint are found as AWS's own tools find them."""

    def __init__(self, name: str, prefix: str) -> None:
        self._name = name
        self._prefix = f"{prefix}/" if prefix else ""

    def __repr__(self) -> str:
        return f"Bucket(s3://{self._name}/{self._prefix})"

    def files(self) -> tuple[Found, ...]:
        """All objects below the prefix, oldest first."""
        with self._told():
            pages = self._client().get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=self._prefix)
            objects = [each for page in pages for each in page.get("Contents", ())]
        return _sorted(
            Found(each["Key"].removeprefix(self._prefix), each["LastModified"].astimezone(UTC))
            for each in objects
            if not each["Key"].endswith("/")
        )

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """A copy without a name on disk: it is gone when it is closed, however this process ends."""
        with tempfile.TemporaryFile() as copy:
            with self._told():
                body = self._client().get_object(Bucket=self._name, Key=self._prefix + name)["Body"]
                copy.writelines(body.iter_chunks(_CHUNK_BYTES))
            copy.seek(0)
            yield copy

    def _client(self) -> Any:
        return botocore.session.get_session().create_client("s3")

    @contextmanager
    def _told(self) -> Iterator[None]:
        place = f"s3://{self._name}/{self._prefix}"
        try:
            yield
        except NoCredentialsError as error:
            raise AuthenticationFailed(f"{place}: no AWS credentials; set them as for any AWS tool") from error
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code"))
            if code in _REFUSED:
                raise AuthenticationFailed(f"{place}: AWS answers {code}; check credentials and permissions") from error
            if code in _MISSING:
                raise SourceError(f"{place}: AWS answers {code}; correct `url` in the tenant file") from error
            raise SourceUnavailable(f"{place}: AWS answers {code}; run again later") from error
        except BotoCoreError as error:
            raise SourceUnavailable(f"{place}: no answer ({type(error).__name__}); check network and region") from error


def _sorted(files: Iterator[Found]) -> tuple[Found, ...]:
    seen = (each for each in files if not any(part.startswith(_HIDDEN) for part in each.name.split("/")))
    return tuple(sorted(seen, key=lambda each: (each.modified, each.name)))
