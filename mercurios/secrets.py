"""Secrets by reference: where a secret is kept, looked up at the moment of use.

    SecretRef.parse("env:NORTH_API_KEY", folder).reveal()

| reference | place |
|---|---|
| `env:NAME` | an environment variable |
| `file:PATH` | a file, relative to the tenant's own |
| `prefect-block:NAME` | a Secret block of the Prefect server |
| `aws-secret:NAME` | AWS Secrets Manager, through prefect-aws and the usual AWS credentials |
"""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mercurios.errors import ConfigError


@dataclass(frozen=True)
class SecretRef:
    """Where a secret is kept. Its text form shows the place and never the value."""

    scheme: str
    place: str
    folder: Path = field(default=Path("."), repr=False)

    @classmethod
    def parse(cls, text: str, folder: Path) -> "SecretRef":
        """Read a reference; raises ConfigError on anything else, without repeating it: it may be the secret."""
        scheme, _, place = text.partition(":")
        if scheme not in _READERS or not place:
            raise ConfigError(
                "a credential must be a reference and never the secret itself: "
                + ", ".join(f"{known}:…" for known in _READERS)
            )
        if scheme == "env" and place.startswith("MERCURIOS_"):
            raise ConfigError("a tenant's credential cannot be a setting of Mercurios itself; name another variable")
        return cls(scheme, place, folder)

    def reveal(self) -> str:
        """Return the secret; raises ConfigError naming the place when nothing is there."""
        value = _READERS[self.scheme](self)
        if not value:
            raise ConfigError(f"no secret at {self.scheme}:{self.place}; put it there and run again")
        return value


def _from_environment(ref: SecretRef) -> str:
    return os.environ.get(ref.place, "")


def _from_file(ref: SecretRef) -> str:
    path = ref.folder / ref.place
    try:
        return path.read_text(encoding="utf-8").strip() if path.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        failure = type(error).__name__
    raise ConfigError(f"the secret at file:{ref.place} cannot be read as text: {failure}")  # outside: it holds the text


def _from_prefect_block(ref: SecretRef) -> str:
    from prefect.blocks.system import Secret

    try:
        return str(Secret.load(ref.place, _sync=True).get())  # type: ignore[call-arg, union-attr]
    except ValueError as error:
        raise ConfigError(
            f"no Secret block {ref.place!r} on the Prefect server; create it there and run again"
        ) from error


def _from_aws(ref: SecretRef) -> str:
    from botocore.exceptions import BotoCoreError, ClientError
    from prefect_aws import AwsCredentials, AwsSecret

    try:
        secret = AwsSecret(aws_credentials=AwsCredentials(), secret_name=ref.place).read_secret()
    except (BotoCoreError, ClientError) as error:
        raise ConfigError(f"AWS Secrets Manager did not give {ref.place!r}: {error}") from error
    with suppress(UnicodeDecodeError):  # which holds it
        return secret.decode() if isinstance(secret, bytes) else str(secret)
    raise ConfigError(f"the secret {ref.place!r} of AWS Secrets Manager is no text; store it as one")


_READERS: dict[str, Callable[[SecretRef], str]] = {
    "env": _from_environment,
    "file": _from_file,
    "prefect-block": _from_prefect_block,
    "aws-secret": _from_aws,
}
