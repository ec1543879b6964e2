"""Tenant files: YAML held against what is expected of it.

parse_tenant(path.read_text(), path.parent)
"""

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import SplitResult, urlsplit
from zoneinfo import available_timezones

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails

from mercurios.errors import ConfigError
from mercurios.secrets import SecretRef
from mercurios.tenancy.calendars import calendar_of, check_calendar
from mercurios.tenancy.tenant import FilesSource, Filters, ProHandelSource, Sla, Tenant

LOOPBACK = ("127.0.0.1", "localhost", "::1")
TENANT_ID = re.compile(r"[a-z][a-z0-9_]{0,31}")
PAGING = ("page", "pagesize")
"""Query parameters of every request."""
LARGEST_TAX_NUMBER = 999
_ODD = (ValueError, LookupError, AttributeError, OverflowError)
"""What PyYAML raises for a value that is not what its tag says."""
_OF_THIS_MACHINE = {"localtime", "Factory"}
"""Time zones that a machine has and a warehouse has not."""
FEWEST_CALLS = 2
"""A login and a page: a run of fewer calls would never get anywhere."""


def parse_tenant(text: str, folder: Path) -> Tenant:
    """Read one tenant from YAML; relative paths in it start at `folder`. Raises ConfigError naming all that is wrong.

    What stands in the file is not repeated where it could be a secret.
    """
    raw = _mapping(text)
    try:
        return _tenant(_TenantFile.model_validate(raw, context=folder))
    except ValidationError as error:
        told = [_told(one) for one in error.errors(include_url=False, include_input=False)]
    raise ConfigError("; ".join(dict.fromkeys(told)))  # outside: pydantic's error holds what came


class _Loader(yaml.SafeLoader):
    """YAML in which no key may come twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        if twice := sorted({str(key) for key in keys if keys.count(key) > 1}):
            problem = f"{', '.join(twice)} more than once"
            raise yaml.constructor.ConstructorError(problem=problem, problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def _mapping(text: str) -> dict[str, object]:
    try:
        raw = yaml.load(text, _Loader)  # a SafeLoader
    except yaml.MarkedYAMLError as error:  # it quotes the line, and the line may hold a secret
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        problem = f": {_unquoted(error.problem)} in line {line}"
    except (yaml.YAMLError, RecursionError, *_ODD) as error:
        problem = f" ({type(error).__name__})"
    else:
        if isinstance(raw, dict) and set(map(type, raw)) <= {str}:
            return raw
        raise ConfigError("a tenant file holds a mapping with id, name, currency, time_zone, locale, vat_rates, source")
    raise ConfigError(f"the tenant file is no YAML{problem}")


def _unquoted(problem: str | None) -> str:
    """What YAML found wrong, without the words of the file."""
    return re.sub(r"'.*'|\".*\"", "…", problem or "something")


def _id(text: str) -> str:
    if not TENANT_ID.fullmatch(text):
        raise ValueError(f"{text[:40]!r}, expected up to 32 lower case letters, digits and _, starting with a letter")
    return text


def _currency(text: str) -> str:
    if not re.fullmatch(r"[A-Z]{3}", text):
        raise ValueError(f"{text[:40]!r} is no ISO 4217 code such as EUR")
    return text


def _time_zone(text: str) -> str:
    if text not in available_timezones() - _OF_THIS_MACHINE:
        raise ValueError(f"unknown time zone {text[:40]!r}, expected one such as Europe/Berlin")
    return text


def _locale(text: str) -> str:
    if not re.fullmatch(r"(de|en)(-[A-Z]{2})?", text):
        raise ValueError(f"{text[:40]!r}, expected de or en, or with a country as in de-AT")
    return text


def _rate(rate: float) -> float:
    if not 0 <= rate < 1:
        raise ValueError("VAT rates are fractions, 0.19 for 19 %")
    return rate


def host_url(text: str) -> str:
    """A URL of a host, and perhaps a path, https unless on loopback; raises ValueError, which does not quote it."""
    url = _split(text)
    if url is None:
        raise ValueError("expected a URL")
    if url.scheme != "https" and not (url.scheme == "http" and url.hostname in LOOPBACK):
        raise ValueError("it must be https://HOST (http on loopback only), or secrets travel open")
    if not url.hostname or "@" in url.netloc or url.query or url.fragment:
        raise ValueError("it names a host and no user, password or query")
    return url.geturl()


def _split(text: str) -> SplitResult | None:
    with suppress(ValueError):  # which quotes it
        url = urlsplit(text.rstrip("/"))
        _ = url.port
        return url
    return None


def _reference(value: object, info: ValidationInfo) -> SecretRef:
    try:
        return SecretRef.parse(value if isinstance(value, str) else "", _folder(info))
    except ConfigError as error:
        raise ValueError(str(error)) from None


def _place(text: str, info: ValidationInfo) -> str:
    """A URL; what has no scheme is a folder, relative to the tenant file."""
    if "://" not in text:
        return (_folder(info) / text).absolute().as_uri()
    url = urlsplit(text)
    is_folder = url.scheme == "file" and not url.netloc and url.path.startswith("/")
    is_bucket = url.scheme == "s3" and re.fullmatch(r"[a-z0-9][a-z0-9.-]+", url.netloc) is not None
    if not (is_folder or is_bucket) or url.query or url.fragment:
        raise ValueError("expected a folder, file:///PATH or s3://BUCKET/PREFIX, and no credentials in it")
    return text.rstrip("/") if is_bucket else text


def _folder(info: ValidationInfo) -> Path:
    return info.context if isinstance(info.context, Path) else Path()


def _parameter(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.$\[\]-]{1,100}", text):
        raise ValueError("expected the name of a query parameter")
    if text.casefold() in PAGING:
        raise ValueError(f"{' and '.join(PAGING)} select the page; expected the name of another query parameter")
    return text


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("expected one line of printable characters")
    return text


_Text = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
_Reference = Annotated[SecretRef, BeforeValidator(_reference)]
_Parameter = Annotated[str, AfterValidator(_parameter)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)


class _FiltersPart(_Strict):
    changed_from: _Parameter | None = None
    day_from: _Parameter | None = None
    day_until: _Parameter | None = None

    @model_validator(mode="after")
    def _differ(self) -> Self:
        names = [name.casefold() for name in self.model_dump().values() if name]
        if len(set(names)) < len(names):
            raise ValueError("two of them name the same query parameter; each needs its own")
        return self


class _ProHandelPart(_Strict):
    kind: Literal["prohandel"] = "prohandel"
    auth_url: Annotated[str, AfterValidator(host_url)]
    api_key: _Reference
    api_secret: _Reference
    page_size: Annotated[int, Field(ge=1, le=10_000)] = 1000
    filters: _FiltersPart = _FiltersPart()
    calls_per_minute: Annotated[int, Field(ge=1)] | None = None
    calls_per_run: Annotated[int, Field(ge=FEWEST_CALLS)] | None = None


class _FilesPart(_Strict):
    kind: Literal["files"]
    url: Annotated[_Text, AfterValidator(_place)]


class _SlaPart(_Strict):
    quality: Annotated[float, Field(gt=0, le=1)] = Sla.quality
    freshness_hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Sla.freshness_hours


def _kind(raw: object) -> str:
    return str(raw.get("kind", "prohandel")) if isinstance(raw, dict) else ""


_KINDS: dict[str, type[BaseModel]] = {"prohandel": _ProHandelPart, "files": _FilesPart}
_SourcePart = Annotated[
    Annotated[_ProHandelPart, Tag("prohandel")] | Annotated[_FilesPart, Tag("files")],
    Discriminator(
        _kind,
        custom_error_type="source_kind",
        custom_error_message="a mapping of `kind: prohandel` or `kind: files`",
    ),
]


class _TenantFile(_Strict):
    id: Annotated[str, AfterValidator(_id)]
    name: _Text
    currency: Annotated[str, AfterValidator(_currency)]
    time_zone: Annotated[str, AfterValidator(_time_zone)]
    locale: Annotated[str, AfterValidator(_locale)] = "de"
    calendar: Annotated[str, AfterValidator(check_calendar)] | None = None
    vat_rates: dict[Annotated[int, Field(ge=0, le=LARGEST_TAX_NUMBER)], Annotated[float, AfterValidator(_rate)]]
    source: _SourcePart
    sla: _SlaPart = _SlaPart()


def _tenant(file: _TenantFile) -> Tenant:
    facts = {name: getattr(file, name) for name in ("id", "name", "currency", "time_zone", "locale", "vat_rates")}
    calendar = file.calendar or calendar_of(file.time_zone)
    return Tenant(**facts, source=_source(file.source), sla=Sla(**file.sla.model_dump()), calendar=calendar)


def _source(part: _ProHandelPart | _FilesPart) -> ProHandelSource | FilesSource:
    if isinstance(part, _FilesPart):
        return FilesSource(part.url)
    values = {name: getattr(part, name) for name in type(part).model_fields if name not in {"kind", "filters"}}
    return ProHandelSource(**values, filters=Filters(**part.filters.model_dump()))


def _told(error: ErrorDetails) -> str:
    """One problem in our words; `source` is a union, so its path also names which kind it was read as."""
    path = [str(part) for part in error["loc"]] or ["the tenant file"]
    known: type[BaseModel] = _TenantFile
    if path[0] == "source" and len(path) > 1:
        known = _KINDS[path.pop(1)]
        known = _FiltersPart if path[1] == "filters" and len(path) > 2 else known
    elif path[0] == "sla" and len(path) > 1:
        known = _SlaPart
    *above, key = path
    where = ".".join(above) or "the tenant file"
    if error["type"] == "missing":
        return f"{where} lacks {key}"
    if error["type"] == "extra_forbidden":
        return f"{where} has an unknown key {key[:40]!r}{_nearest(key, known)}"
    if error["type"] == "value_error":
        return f"{'.'.join(path)}: {error['ctx']['error']}"
    expected = error["msg"].removeprefix("Input should be ")
    return f"{'.'.join(path)}: expected {expected[:1].lower()}{expected[1:]}"


def _nearest(key: str, model: type[BaseModel]) -> str:
    near = difflib.get_close_matches(key.lower(), model.model_fields, 1)
    return f", did you mean {near[0]}?" if near else f", known are {', '.join(model.model_fields)}"


def check_facts(tenant_id: str, currency: str, time_zone: str, vat_rates: Mapping[int, float]) -> None:
    """Raise ConfigError when an id, currency, time zone or VAT rate is none."""
    checks: dict[str, Callable[[], object]] = {
        "id": lambda: _id(tenant_id),
        "currency": lambda: _currency(currency),
        "time_zone": lambda: _time_zone(time_zone),
        "vat_rates": lambda: [_rate(rate) for rate in vat_rates.values()],
    }
    for name, check in checks.items():
        try:
            check()
        except ValueError as error:
            raise ConfigError(f"tenant {tenant_id[:40]}: {name}: {error}") from error


def read_tenant(path: Path) -> Tenant:
    """Read one tenant file; raises ConfigError naming the file and all that is wrong with it."""
    try:
        return parse_tenant(tenant_text(path), path.parent)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def tenant_text(path: Path) -> str:
    """The text of a tenant file; raises ConfigError when it is none."""
    with suppress(UnicodeDecodeError):  # which holds the text
        return path.read_text(encoding="utf-8-sig")
    raise ConfigError("the tenant file is no UTF-8 text")


def anchored(text: str, folder: Path) -> str:
    """The same YAML with absolute paths in `source`; comments stay."""
    root = yaml.compose(text, _Loader)
    assert root is not None
    source = next(value for key, value in root.value if key.value == "source")
    for start, end, place in sorted(_relative(source, folder), reverse=True):
        text = text[:start] + json.dumps(place, ensure_ascii=False) + text[end:]
    return text


def _relative(source: yaml.MappingNode, folder: Path) -> Iterator[tuple[int, int, str]]:
    for key, node in source.value:
        start, end = node.start_mark.index, node.end_mark.index
        if key.value == "url" and "://" not in node.value:
            yield start, end, str(folder / node.value)
        if key.value in {"api_key", "api_secret"} and node.value.startswith("file:"):
            yield start, end, f"file:{folder / node.value.removeprefix('file:')}"
