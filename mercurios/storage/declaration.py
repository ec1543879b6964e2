"""What the lake's account is held to: a YAML file, and the bucket that MERCURIOS_LAKE names.

    place = Place.parse("s3://acme-lake/prod")
    declaration = read_declaration()             # the one that travels with the package

The bucket, its prefix and the tenants are not in the file: they have an owner already.
"""

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mercurios.errors import ConfigError

DECLARATION = Path(__file__).parent / "declaration.yaml"
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
PROBE = ".mercurios-probe/"
"""Outside of the lake's prefix, so that a probe is not replicated."""
LAKE, WHOLE, PROBES = "lake", "bucket", "probe"
StorageClass = Literal["STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"]
READABLE = ("STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR")
"""Storage classes whose objects are read at once; from the others they have to be restored first."""
Days = Annotated[int, Field(ge=1)]
Folder = Annotated[str, Field(pattern=r"^[A-Za-z0-9._=-]+(/[A-Za-z0-9._=-]+)*/$")]
KeyArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+$")]
Region = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
BucketName = Annotated[str, Field(pattern=f"^{BUCKET.pattern}$")]


class Part(BaseModel):
    """A part of the declaration: frozen, and no word in it that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Encryption(Part):
    """Default encryption: SSE-KMS with this key, SSE-S3 without."""

    kms_key: KeyArn | None = None


class Replica(Part):
    """The second region."""

    region: Region
    bucket: BucketName | None = None
    kms_key: KeyArn | None = None
    storage_class: Literal["STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"] = "STANDARD_IA"
    delete_markers: bool = True


class AccessLog(Part):
    """A bucket that takes the access log."""

    bucket: BucketName
    prefix: Folder = "access/"
    keep_days: Days = 400


class Rule(Part):
    """What happens to old things in an area; days count from when they were written or replaced."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
    area: str
    abort_uploads_days: Days | None = None
    noncurrent_days: Days | None = None
    expired_delete_markers: bool = False
    expire_days: Days | None = None
    transitions: dict[StorageClass, Days] = {}

    @model_validator(mode="after")
    def _does_something(self) -> "Rule":
        if not self.model_fields_set - {"id", "area"}:
            raise ValueError(
                "a rule says what happens: abort_uploads_days, noncurrent_days, expire_days, transitions …"
            )
        if self.expire_days and self.expired_delete_markers:
            raise ValueError("S3 takes expire_days or expired_delete_markers in a rule, not both")
        if soon := [name for name, days in self.transitions.items() if name.endswith("_IA") and days < 30]:
            raise ValueError(f"S3 moves nothing to {soon[0]} before 30 days")
        return self


class Role(Part):
    """Who works on the lake: the verbs whose tables it writes, and the areas beside the lake that it reads."""

    writes: tuple[Literal["transform", "retrain"], ...] = ()
    deletes: bool = False
    reads: tuple[str, ...] = ()


class Declaration(Part):
    """The whole file."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    region: Region
    encryption: Encryption = Encryption()
    replica: Replica | None = None
    access_log: AccessLog | None = None
    tags: dict[str, str] = {}
    areas: dict[str, Folder] = {}
    lifecycle: tuple[Rule, ...] = ()
    roles: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")], Role] = {}

    @model_validator(mode="after")
    def _fits_together(self) -> "Declaration":
        ids = [rule.id for rule in self.lifecycle]
        if len(set(ids)) < len(ids):
            raise ValueError("two lifecycle rules have one id")
        if taken := {LAKE, WHOLE, PROBES} & self.areas.keys():
            raise ValueError(f"area {min(taken)} is there already")
        if taken := {"operator", "tenant"} & {role.split("-")[0] for role in self.roles}:
            raise ValueError(f"role {min(taken)} is made without being declared")
        named = {rule.area for rule in self.lifecycle} | {area for role in self.roles.values() for area in role.reads}
        if unknown := named - self.areas.keys() - {LAKE, WHOLE, PROBES}:
            raise ValueError(f"no area {min(unknown)!r}; there are {', '.join((LAKE, WHOLE, PROBES, *self.areas))}")
        _regions_fit(self)
        return self


class Place(Part):
    """Where the lake is: bucket, and prefix without slashes at its ends."""

    bucket: BucketName
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._=-]+(/[A-Za-z0-9._=-]+)*$")]

    @classmethod
    def parse(cls, url: str) -> "Place":
        """Read `s3://BUCKET/PREFIX`; raises ConfigError."""
        parts = urlsplit(url)
        if parts.scheme != "s3":
            raise ConfigError(
                f"the lake is at a URL of scheme {parts.scheme!r}, which is in no account; expected MERCURIOS_LAKE as "
                "s3://BUCKET/PREFIX"
            )
        try:
            return cls(bucket=parts.netloc, prefix=parts.path.strip("/"))
        except ValidationError:
            pass
        raise ConfigError("MERCURIOS_LAKE names no bucket and prefix as S3 takes them; expected s3://BUCKET/PREFIX")


def read_declaration(path: Path | None = None) -> Declaration:
    """Read a declaration, without a path the one of the package; raises ConfigError naming what is wrong."""
    file = path or DECLARATION
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{file.name} is no YAML ({type(error).__name__})") from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}; name a declaration that is there") from error
    try:
        return Declaration.model_validate(raw)
    except ValidationError as error:
        told = [f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}" for one in error.errors()]
    raise ConfigError(f"{file.name}: {'; '.join(told)}")


def area(declaration: Declaration, place: Place, name: str) -> str:
    """The beginning of the keys of an area; empty for the whole bucket."""
    known = {LAKE: f"{place.prefix}/", WHOLE: "", PROBES: PROBE}
    return {**declaration.areas, **known}[name]


def check_live_data(declaration: Declaration, place: Place) -> None:
    """Raise ConfigError for a rule that would delete, or move out of immediate reach, what a release may name."""
    for rule in declaration.lifecycle:
        slow = sorted(rule.transitions.keys() - set(READABLE))
        harm = "delete" if rule.expire_days else f"move to {slow[0]}" if slow else ""
        if harm and overlap(area(declaration, place, rule.area), f"{place.prefix}/"):
            raise ConfigError(
                f"lifecycle rule {rule.id} would {harm} objects under {place.prefix}/, where each may belong to a "
                "release; let `mercurios export` expire releases, and name an area outside of the lake's prefix here"
            )


def overlap(one: str, other: str) -> bool:
    """Whether a key may begin with both."""
    return one.startswith(other) or other.startswith(one)


def _regions_fit(declaration: Declaration) -> None:
    key, replica = declaration.encryption.kms_key, declaration.replica
    if key and key.split(":")[3] != declaration.region:
        raise ValueError(f"encryption.kms_key is not in {declaration.region}")
    if not replica:
        return
    if replica.region == declaration.region:
        raise ValueError("the replica's region is the lake's own")
    if bool(key) != bool(replica.kms_key):
        raise ValueError("encryption and replica both name a KMS key, or none does")
    if replica.kms_key and replica.kms_key.split(":")[3] != replica.region:
        raise ValueError(f"replica.kms_key is not in {replica.region}")
