"""What people call things: numbers as they write them and names, held against what the merchant has.

    branch_number(session, "367")           # 367
    category_name(session, "COFFEE")        # 'COFFEE'

None stays None: nothing was asked for.
"""

import difflib
import unicodedata

from mercurios.errors import BadRequest
from mercurios.serving import Session

_LARGEST_NUMBER = 2**63 - 1
_KNOWN = {
    "branch": ("select 1 from marts.dim_branches where branch = $number", "the number of one of the merchant's own"),
    "article": (
        "select 1 from marts.dim_articles where article_number = $number",
        "the number of one of the merchant's own",
    ),
    "customer": (
        "select 1 from marts.dim_customers where customer_number = $number",
        "the number of a customer who has bought before",
    ),
}


def digits(kind: str, given: str) -> int:
    """A number of a thing; raises BadRequest for anything but up to 19 digits."""
    number = int(given) if given.isascii() and given.isdigit() and len(given) < 20 else -1
    if not 0 <= number <= _LARGEST_NUMBER:
        raise BadRequest(f"{kind} {given[:40]!r}: expected a number, digits only")
    return number


def branch_number(session: Session, given: str | None) -> int | None:
    """The number of one of the merchant's branches; raises BadRequest."""
    return None if given is None else _known(session, "branch", given)


def article_number(session: Session, given: str | None) -> int | None:
    """The number of one of the merchant's articles; raises BadRequest."""
    return None if given is None else _known(session, "article", given)


def customer_number(session: Session, given: str) -> int:
    """The number of a known customer; raises BadRequest."""
    return _known(session, "customer", given)


def category_name(session: Session, given: str | None) -> str | None:
    """A category (Warengruppe) by its name, in whatever case; raises BadRequest, naming those like it."""
    if given is None:
        return None
    rows = session.query("select distinct category as name from marts.dim_articles order by name nulls last")
    known = {str(name).casefold(): str(name) for name in rows["name"].drop_null().to_pylist()}
    asked = given.strip().casefold()
    if asked in known:
        return known[asked]
    close = difflib.get_close_matches(asked[:100], known, n=3, cutoff=0.5)
    shown = ", ".join(repr(known[name]) for name in close or sorted(known)[:3]) or "none"
    raise BadRequest(f"no category {given[:100]!r}; {'close to it' if close else 'there are'}: {shown}")


def text(what: str, given: str | None, most: int) -> str | None:
    """What somebody wrote, without blanks around it, None when nothing is left.

    Raises BadRequest for one that is too long or holds control characters other than line breaks and tabs.
    """
    said = (given or "").strip()
    if len(said) > most:
        raise BadRequest(f"the {what} has {len(said):,} characters, at most {most:,} are kept; shorten it")
    if any(unicodedata.category(character) == "Cc" and character not in "\n\r\t" for character in said):
        raise BadRequest(f"the {what} holds control characters; send plain text")
    return said or None


def _known(session: Session, kind: str, given: str) -> int:
    number = digits(kind, given)
    sql, expected = _KNOWN[kind]
    if not session.query(sql, {"number": number}).num_rows:
        raise BadRequest(f"no {kind} {given!r}; expected {expected}")
    return number
