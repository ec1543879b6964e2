"""Clients of one AWS account, and what AWS refuses as errors that say what to do.

aws = Aws.open("eu-central-1")      # the usual credentials chain
with told("bucket acme-lake"):
    aws.s3("eu-central-1").get_bucket_policy(Bucket="acme-lake")
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    WaiterError,
)

from mercurios.errors import ConfigError, LakeError

Client: TypeAlias = Any
"""A boto3 client; boto3 makes its methods when it runs."""
_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 5}, connect_timeout=10, read_timeout=60)
_DENIED = {"AccessDenied", "AccessDeniedException", "AllAccessDisabled", "UnauthorizedOperation", "403", "Forbidden"}
_UNKNOWN = {
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_ACTIONS = {
    "DeleteObjectVersion": "s3:DeleteObjectVersion",
    "GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "GetBucketReplication": "s3:GetReplicationConfiguration",
    "GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "HeadBucket": "s3:ListBucket",
    "HeadObject": "s3:GetObject",
    "ListObjectVersions": "s3:ListBucketVersions",
    "PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "PutBucketReplication": "s3:PutReplicationConfiguration",
    "PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
}
"""Permissions that are not called like the operation that asks for them."""
_ASKED = re.compile(r"not authorized to perform: ([a-z0-9-]+:[A-Za-z]+)")


@dataclass(frozen=True)
class Aws:
    """Who asks, and clients per region; every S3 call names the owner it expects, so a foreign bucket is refused."""

    session: Any = field(repr=False)
    region: str
    account: str
    partition: str
    _clients: dict[object, Client] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, region: str, session: Any = None) -> "Aws":
        """Find credentials and ask AWS whose they are; raises ConfigError without any, LakeError when refused."""
        with told("the account"):
            chosen = session or boto3.Session()
            caller = chosen.client("sts", region_name=region, config=_CONFIG).get_caller_identity()
        return cls(chosen, region, caller["Account"], caller["Arn"].split(":")[1])

    def s3(self, region: str, *, owner: bool = True) -> Client:
        """S3 in a region."""
        if (region, owner) not in self._clients:
            client = self.session.client("s3", region_name=region, config=_CONFIG)
            if owner:
                client.meta.events.register("provide-client-params.s3", self._expect_owner)
            self._clients[region, owner] = client
        return self._clients[region, owner]

    def anonymous(self, region: str) -> Client:
        """S3 without credentials."""
        config = _CONFIG.merge(Config(signature_version=UNSIGNED))
        return self.session.client("s3", region_name=region, config=config)

    def plain(self, region: str, endpoint: str | None) -> Client:
        """S3 with credentials, over plain HTTP."""
        return self.session.client("s3", region_name=region, config=_CONFIG, use_ssl=False, endpoint_url=endpoint)

    def iam(self) -> Client:
        """IAM, which has no regions."""
        return self._client("iam")

    def glue(self) -> Client:
        """Glue in the lake's region."""
        return self._client("glue")

    def _client(self, service: str) -> Client:
        if service not in self._clients:
            self._clients[service] = self.session.client(service, region_name=self.region, config=_CONFIG)
        return self._clients[service]

    def _expect_owner(self, params: dict[str, Any], model: Any, **_: object) -> None:
        if model.input_shape and "ExpectedBucketOwner" in model.input_shape.members:
            params.setdefault("ExpectedBucketOwner", self.account)


def code(error: ClientError) -> str:
    """AWS's word for what went wrong."""
    return str(error.response.get("Error", {}).get("Code", ""))


def unless(missing: str, call: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    """What AWS answers, or nothing when its word is that what was asked for is not there."""
    try:
        return dict(call(**arguments))
    except ClientError as error:
        if code(error) == missing:
            return {}
        raise


def permission(operation: str) -> str:
    """The permission that an operation of S3 asks for."""
    return _ACTIONS.get(operation, f"s3:{operation}")


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn what AWS and boto3 raise into one line that names `what`; no text of AWS's goes along but names."""
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise ConfigError(
            "no AWS credentials are found, or only a part of them; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or run where a role is given"
        ) from error
    except ClientError as error:
        raise LakeError(_sentence(error, what)) from None  # its text may repeat what was sent
    except (ConnectionError, HTTPClientError) as error:
        raise LakeError(f"{what}: AWS cannot be reached ({type(error).__name__}); check network and region") from None
    except WaiterError:
        raise LakeError(f"{what}: it was made and is not seen yet; run this again in a minute") from None
    except BotoCoreError as error:
        raise ConfigError(f"{what}: the AWS configuration does not work ({type(error).__name__})") from None


def _sentence(error: ClientError, what: str) -> str:
    word, operation = code(error), error.operation_name
    if word in _UNKNOWN:
        return f"AWS does not accept the credentials ({word}); renew them, e.g. with `aws sso login`"
    if word in _DENIED:
        asked = _ASKED.search(str(error.response.get("Error", {}).get("Message", "")))
        wanted = asked.group(1) if asked else permission(operation)
        return (
            f"{what}: AWS denies {operation}; give who runs this the permission {wanted} (the policy of operators has "
            "it), or ask the bucket's owner if a bucket of that name is somebody else's"
        )
    if word in {"BucketAlreadyExists", "OperationAborted", "BucketAlreadyOwnedByYou"}:
        return f"{what}: a bucket of that name is there and belongs to somebody else; choose another name ({word})"
    return f"{what}: AWS refused {operation} ({word})"
