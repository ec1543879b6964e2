"""The SQL of ops.quarantine: a broken record is one row from the batch that met it first to the one that did not.

run(touch("rejected_sale"), ("b2", "2026-01-02T03:04:05", "north", "sale"))
"""

from string import Template

from mercurios.warehouse import QUARANTINE, SEQUENCE, Scope

_OPEN = "tenant_id = ? and entity = ? and resolved_by is null"
_UNNAMED = Template("select count(*) from $rejected where record_id is null")
_DISTINCT = Template("select count(distinct record_hash) from $rejected")
_NUMBER = Template("""
    update $rejected
    set record_hash = $rejected.record_hash || '-' || cast(numbered.place as varchar)
    from (
        select $seq, row_number() over (partition by record_hash order by $seq) as place
        from $rejected
    ) as numbered
    where numbered.$seq = $rejected.$seq and numbered.place > 1
""")
_TOUCH = Template("""
    update $target
    set last_batch_id = ?, last_seen_at = cast(? as timestamp)
    where $open and record_hash in (select r.record_hash from $rejected as r)
""")
_INSERT = Template("""
    insert into $target ($columns)
    select $values
    from $rejected as r
    where not exists (select 1 from $target as q where $open and q.record_hash = r.record_hash)
""")
# Of a record that was met more than once its newest version counts, and of those that are alike the first.
_SUPERSEDE = Template("""
    update $target
    set resolved_by = ?, resolved_at = cast(? as timestamp)
    where $open and last_batch_id = ? and record_hash in (
        select versions.record_hash
        from (
            select
                r.record_hash,
                split_part(r.record_hash, '-', 1) as version,
                first_value(r.record_hash) over (partition by r.record_id order by r.$seq desc) as newest,
                row_number() over (partition by r.record_id, split_part(r.record_hash, '-', 1) order by r.$seq) as place
            from $rejected as r
            where r.record_id is not null
        ) as versions
        where versions.version <> split_part(versions.newest, '-', 1) or versions.place > 1
    )
""")
_RESOLVE = Template("""
    update $target
    set resolved_by = ?, resolved_at = cast(? as timestamp)
    where $open and last_batch_id is distinct from ? and ($gone)
""")
_COUNT_GONE = Template("""
    select count(*) from $target
    where $open and $inside
        and record_hash not in (select r.record_hash from $rejected as r)
        and not exists (select 1 from $rejected as r where r.record_id = $target.record_id)
        and not exists (select 1 from $staged as s where s.id = $target.record_id)
""")
_COUNT_MET = Template("select count(*) from $target where tenant_id = ? and entity = ? and last_batch_id = ?")
# Those staged that are open, and not the other way round: of all keys of a large batch an engine would make a table.
_LOADED = Template("""record_id in (
    select s.id from $staged as s where s.id in (select q.record_id from $target as q where q.resolved_by is null)
)""")
_REPLACED = Template("record_id in (select r.record_id from $rejected as r)")


def unnamed(rejected: str) -> str:
    """Count rejected records of which nobody can tell whose they are."""
    return _UNNAMED.substitute(rejected=rejected)


def distinct_records(rejected: str) -> str:
    """Count the rejected records that differ from each other."""
    return _DISTINCT.substitute(rejected=rejected)


def number_repeated(rejected: str) -> str:
    """Tell records that are alike apart by their number."""
    return _NUMBER.substitute(rejected=rejected, seq=SEQUENCE)


def count_gone(staged: str, rejected: str, scope: Scope) -> str:
    """Count open records of the scope that a batch did not meet; parameters: tenant, entity, the bounds."""
    return _COUNT_GONE.substitute(
        target=QUARANTINE.name, open=_OPEN, inside=_inside(scope), staged=staged, rejected=rejected
    )


def touch(rejected: str) -> str:
    """Open records that were met again; parameters: batch, moment, tenant, entity."""
    return _TOUCH.substitute(target=QUARANTINE.name, rejected=rejected, open=_OPEN)


def insert(rejected: str) -> str:
    """Records that are not open yet; parameters: tenant, entity."""
    names = QUARANTINE.columns.names
    return _INSERT.substitute(
        target=QUARANTINE.name,
        rejected=rejected,
        open=_OPEN,
        columns=", ".join(names),
        values=", ".join(f"r.{name}" for name in names),
    )


def supersede(rejected: str) -> str:
    """Records that the same batch met more than once; parameters: batch, moment, tenant, entity, batch."""
    return _SUPERSEDE.substitute(target=QUARANTINE.name, open=_OPEN, rejected=rejected, seq=SEQUENCE)


def resolve(staged: str, rejected: str, scope: Scope | None) -> str:
    """Open records that the batch loaded, replaced, or did not meet in its scope.

    Parameters: batch, moment, tenant, entity, batch, and the bounds of the scope.
    """
    gone = [_LOADED.substitute(staged=staged, target=QUARANTINE.name), _REPLACED.substitute(rejected=rejected)]
    if scope is not None:
        gone.append(_inside(scope))
    return _RESOLVE.substitute(target=QUARANTINE.name, open=_OPEN, gone=" or ".join(gone))


def count_met() -> str:
    """Count the records that a batch met; parameters: tenant, entity, batch."""
    return _COUNT_MET.substitute(target=QUARANTINE.name)


def bounds(scope: Scope | None) -> tuple[str, ...]:
    """The values of a scope's bounds."""
    return tuple(day.isoformat() for day in (scope.first, scope.until) if day) if scope else ()


def _inside(scope: Scope) -> str:
    signs = [sign for sign, day in ((">=", scope.first), ("<", scope.until)) if day]
    return f"({' and '.join(f'day {sign} cast(? as date)' for sign in signs) or '1 = 1'})"
