"""A Snowflake account to plan against: it holds objects, runs statements about them, answers SHOW and DESCRIBE.

    account = StandIn()
    account.rows("create warehouse loading with warehouse_size = 'xsmall' auto_suspend = 60")
    account.rows("show warehouses")[0]["size"]          # X-Small

Statements are read with sqlglot's Snowflake dialect: as a tree where it has one, else word by word against the
documented grammar. An unknown word, property, object or value is refused as Snowflake refuses it. Answers have the
documented columns and ways of writing (`X-Small`, `75%,90%`, `null` as a text), names in upper case. What it cannot
show: privileges of who asks (everything is run as ACCOUNTADMIN), and what a policy does to a query.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.tokens import TokenType

from mercurios.account.session import Row
from mercurios.errors import WarehouseError

SIZES = {"XSMALL": "X-Small", "SMALL": "Small", "MEDIUM": "Medium", "LARGE": "Large", "XLARGE": "X-Large"}
SYSTEM_ROLES = ("ACCOUNTADMIN", "SECURITYADMIN", "SYSADMIN", "USERADMIN", "PUBLIC")
Thing = dict[str, Any]


class Words:
    """The tokens of a statement, taken one after the other."""

    def __init__(self, statement: str) -> None:
        self.statement = statement
        self.tokens = sqlglot.tokenize(statement, dialect="snowflake")
        self.at = 0

    def __bool__(self) -> bool:
        return self.at < len(self.tokens)

    def refuse(self, what: str = "unexpected") -> WarehouseError:
        near = self.tokens[self.at].text if self else "the end"
        return WarehouseError(f"SQL compilation error: {what} at {near!r}: {self.statement}")

    def peek(self, *words: str) -> bool:
        texts = [token.text.upper() for token in self.tokens[self.at :]]
        return texts[: len(flat := [w for word in words for w in word.split()])] == flat

    def has(self, *words: str) -> bool:
        if found := self.peek(*words):
            self.at += sum(len(word.split()) for word in words)
        return found

    def take(self, *words: str) -> None:
        if not self.has(*words):
            raise self.refuse(f"expected {' '.join(words)}")

    def one(self) -> Any:
        if not self:
            raise self.refuse()
        self.at += 1
        return self.tokens[self.at - 1]

    def name(self) -> str:
        """An identifier with dots, as Snowflake keeps it."""
        parts = []
        while True:
            token = self.one()
            if token.token_type in (TokenType.STRING, TokenType.NUMBER) or not re.match(r"[\w$]", token.text):
                raise self.refuse("no name")
            parts.append(token.text if token.token_type == TokenType.IDENTIFIER else token.text.upper())
            if not self.has("."):
                return ".".join(parts)

    def text(self) -> str:
        token = self.one()
        if token.token_type != TokenType.STRING:
            raise self.refuse("no text")
        return str(token.text)

    def number(self) -> int:
        token = self.one()
        if token.token_type != TokenType.NUMBER:
            raise self.refuse("no number")
        return int(token.text)

    def boolean(self) -> bool:
        return {"TRUE": True, "FALSE": False}[self.one().text.upper()]

    def texts(self) -> list[str]:
        self.take("(")
        values = []
        while not self.has(")"):
            values.append(self.text())
            self.has(",")
        return values

    def rest(self) -> str:
        """What is left, as it was written."""
        start = self.tokens[self.at].start
        self.at = len(self.tokens)
        return self.statement[start:].strip()

    def properties(self, known: dict[str, Callable[["Words"], Any]]) -> Thing:
        values = {}
        while self:
            name = self.one().text.upper()
            if name not in known:
                raise self.refuse(f"invalid property {name}")
            self.take("=")
            values[name] = known[name](self)
        return values


def _size(words: Words) -> str:
    return SIZES[words.text().upper()]


WAREHOUSE = {
    "WAREHOUSE_SIZE": _size,
    "AUTO_SUSPEND": Words.number,
    "AUTO_RESUME": Words.boolean,
    "RESOURCE_MONITOR": Words.name,
    "STATEMENT_TIMEOUT_IN_SECONDS": Words.number,
}
DATABASE = {"DATA_RETENTION_TIME_IN_DAYS": Words.number}
COMMENT = {"COMMENT": Words.text}
USER = {
    "TYPE": Words.name,
    "DEFAULT_ROLE": Words.name,
    "DEFAULT_WAREHOUSE": Words.name,
    "DEFAULT_SECONDARY_ROLES": Words.texts,
    "NETWORK_POLICY": Words.name,
    "DISABLED": Words.boolean,
    "RSA_PUBLIC_KEY": Words.text,
}
RULE = {"TYPE": Words.name, "MODE": Words.name, "VALUE_LIST": Words.texts}
NETWORK_POLICY = {"ALLOWED_NETWORK_RULE_LIST": Words.texts}
TASK = {"USER_TASK_MANAGED_INITIAL_WAREHOUSE_SIZE": Words.text, "SCHEDULE": Words.text}
PRIVILEGES = {
    ("USAGE", "DATABASE"),
    ("USAGE", "SCHEMA"),
    ("USAGE", "WAREHOUSE"),
    ("MONITOR", "WAREHOUSE"),
    ("SELECT", "TABLE"),
    ("SELECT", "VIEW"),
    ("CREATE TABLE", "SCHEMA"),
    ("CREATE VIEW", "SCHEMA"),
    ("APPLY", "ROW ACCESS POLICY"),
    ("APPLY", "MASKING POLICY"),
    ("MONITOR USAGE", "ACCOUNT"),
    ("USAGE", "STAGE"),
}


class StandIn:
    """The account; `things` by kind and name, `grants` as (privilege, kind, name, role), `log` of all statements.

    options: the grants that may be passed on.
    """

    def __init__(self) -> None:
        kinds = (
            "RESOURCE MONITOR,WAREHOUSE,DATABASE,SCHEMA,TAG,TABLE,VIEW,TASK,ROLE,USER,NETWORK RULE,NETWORK POLICY,"
            "ROW ACCESS POLICY,MASKING POLICY,STAGE"
        )
        self.things: dict[str, dict[str, Thing]] = {kind: {} for kind in kinds.split(",")}
        self.things["ROLE"] = {name: {"COMMENT": ""} for name in SYSTEM_ROLES}
        self.things["DATABASE"] = {"SNOWFLAKE": {"DATA_RETENTION_TIME_IN_DAYS": 1}}
        self.things["WAREHOUSE"] = {}
        self.things["USER"] = {"ADMIN": {"TYPE": "PERSON"}}
        self.grants: set[tuple[str, str, str, str]] = set()
        self.future: set[tuple[str, str, str, str]] = set()
        self.options: set[tuple[str, str, str, str]] = set()
        self.role_grants: set[tuple[str, str, str]] = set()
        self.tags: dict[tuple[str, str], dict[str, str]] = {}
        self.rows_of: dict[str, list[Row]] = {}
        self.account: Thing = {}
        self.warehouse = ""
        self.log: list[str] = []

    # -- statements

    def rows(self, statement: str) -> list[Row]:
        """Run one statement; raises WarehouseError."""
        self.log.append(statement)
        words = Words(statement)
        verb = words.one().text.lower()
        handler = getattr(self, f"_{verb}", None)
        if handler is None:
            raise words.refuse(f"unknown statement {verb}")
        try:
            answer = handler(words)
        except KeyError as error:
            raise words.refuse(f"{error} does not exist or is not authorized") from error
        if words and verb not in {"select", "insert", "update", "delete"}:
            raise words.refuse()
        return list(answer or [])

    def changes(self) -> list[str]:
        """Statements that are no question."""
        return [each for each in self.log if each.split()[0] not in {"show", "describe", "select", "use"}]

    def _make(self, words: Words, kind: str, name: str, thing: Thing, replace: bool = False) -> None:
        if name in self.things[kind] and not replace:
            raise words.refuse(f"{kind} {name} already exists")
        path = name.split(".")
        if len(path) > 1:
            holder = ("DATABASE", path[0]) if len(path) == 2 else ("SCHEMA", ".".join(path[:2]))
            self.things[holder[0]][holder[1]]
        self.things[kind][name] = thing

    def _kind(self, words: Words) -> str:
        for kind in sorted(self.things, key=len, reverse=True):
            if words.has(kind):
                return kind
        raise words.refuse("no such kind of object")

    def _create(self, words: Words) -> None:
        replace = words.has("OR REPLACE")
        if words.peek("TABLE") or words.peek("VIEW"):
            return self._create_relation(words, replace)
        kind = self._kind(words)
        name = words.name()
        self._make(words, kind, name, self._described(words, kind, name), replace)
        return None

    def _described(self, words: Words, kind: str, name: str) -> Thing:
        if kind == "RESOURCE MONITOR":
            words.take("WITH")
            return {"NOTIFY": [], "SUSPEND": [], "SUSPEND_IMMEDIATE": [], **self._monitor(words)}
        if kind == "WAREHOUSE":
            words.has("WITH")
            thing = words.properties({**WAREHOUSE, "INITIALLY_SUSPENDED": Words.boolean})
            self._known_monitor(thing)
            suspended = thing.pop("INITIALLY_SUSPENDED", False)
            return {"STATE": "SUSPENDED" if suspended else "STARTED", **thing}
        if kind == "SCHEMA":
            return {"MANAGED": words.has("WITH MANAGED ACCESS"), **words.properties(COMMENT)}
        if kind == "TAG":
            words.take("ALLOWED_VALUES")
            return {"ALLOWED": self._listed(words), "POLICIES": []}
        if kind in ("ROW ACCESS POLICY", "MASKING POLICY"):
            return self._policy(words, kind)
        if kind == "TASK":
            return self._task(words)
        known = {"DATABASE": DATABASE, "ROLE": COMMENT, "USER": USER, "NETWORK RULE": RULE}
        if kind == "NETWORK POLICY":
            thing = words.properties(NETWORK_POLICY)
            return self._known_rules(thing)
        return words.properties(known[kind])  # type: ignore[arg-type]

    def _known_monitor(self, thing: Thing) -> None:
        if "RESOURCE_MONITOR" in thing:
            self.things["RESOURCE MONITOR"][thing["RESOURCE_MONITOR"]]

    def _known_rules(self, thing: Thing) -> Thing:
        thing["ALLOWED_NETWORK_RULE_LIST"] = [name.upper() for name in thing["ALLOWED_NETWORK_RULE_LIST"]]
        for name in thing["ALLOWED_NETWORK_RULE_LIST"]:
            self.things["NETWORK RULE"][name]
        return thing

    def _monitor(self, words: Words) -> Thing:
        thing: Thing = {}
        while words:
            if words.has("TRIGGERS"):  # the last part
                steps: dict[str, list[int]] = {"NOTIFY": [], "SUSPEND": [], "SUSPEND_IMMEDIATE": []}
                while words.has("ON"):
                    percent = words.number()
                    words.take("PERCENT DO")
                    steps[words.one().text.upper()].append(percent)
                return thing | steps
            if words.has("CREDIT_QUOTA ="):
                thing["CREDIT_QUOTA"] = words.number()
            else:
                words.take("FREQUENCY =")
                thing["FREQUENCY"] = words.name()
                words.take("START_TIMESTAMP = IMMEDIATELY")  # Snowflake wants both
        return thing

    def _listed(self, words: Words) -> list[str]:
        values = [words.text()]
        while words.has(","):
            values.append(words.text())
        return values

    def _policy(self, words: Words, kind: str) -> Thing:
        words.take("AS (")
        argument, argument_type = words.name(), words.name()
        words.take(") RETURNS")
        returns = words.name()
        words.take("->")
        body = words.rest()
        sqlglot.parse_one(f"select {body}", dialect="snowflake")
        assert (kind == "MASKING POLICY") == (returns == argument_type == "VARCHAR")
        return {"SIGNATURE": f"({argument} {argument_type})", "RETURNS": returns, "BODY": body}

    def _task(self, words: Words) -> Thing:
        thing: Thing = {"STATE": "suspended"}
        while not words.has("AS"):
            name = words.one().text.upper()
            words.take("=")
            thing[name] = TASK[name](words)
        thing["DEFINITION"] = words.rest()
        assert isinstance(sqlglot.parse_one(thing["DEFINITION"], dialect="snowflake"), exp.Merge)
        return thing

    def _create_relation(self, words: Words, replace: bool) -> None:
        tree = sqlglot.parse_one(words.statement, dialect="snowflake")
        assert isinstance(tree, exp.Create), tree
        words.rest()
        target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
        name = ".".join(part.name if part.quoted else part.name.upper() for part in target.parts)
        if tree.kind == "VIEW":
            self._sources(tree.expression, words)
            self._make(words, "VIEW", name, {"TEXT": words.statement}, replace)
            self._granted_to_new("VIEW", name, keep="copy grants" in words.statement)
            return
        columns = {each.name.upper(): each.kind.sql("snowflake").upper() for each in tree.this.expressions}
        bound = [
            (each.this.sql("snowflake").upper(), [column.name.upper() for column in each.expressions])
            for each in tree.find_all(exp.RowAccessProperty)
        ]
        policy, on = bound[0] if bound else (None, [])
        self._make(words, "TABLE", name, {"COLUMNS": columns, "POLICY": policy, "POLICY_ON": on}, replace)
        self.rows_of.setdefault(name, [])
        self._granted_to_new("TABLE", name)

    def _granted_to_new(self, kind: str, name: str, *, keep: bool = False) -> None:
        if not keep:
            self.grants = {grant for grant in self.grants if grant[1:3] != (kind, name)}
        for privilege, granted, schema, role in self.future:
            if granted == kind and name.startswith(schema + "."):
                self.grants.add((privilege, kind, name, role))

    def _sources(self, query: Any, words: Words) -> None:
        inner = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
        for table in query.find_all(exp.Table):
            name = table.sql("snowflake", comments=False).split(" AS ")[0].upper()
            own = name.lower() in inner or name.startswith("SNOWFLAKE.ACCOUNT_USAGE.")
            if not own and name not in self.things["TABLE"] and name not in self.things["VIEW"]:
                raise words.refuse(f"object {name} does not exist")

    def _alter(self, words: Words) -> None:
        if words.has("ACCOUNT SET"):
            thing = words.properties({"RESOURCE_MONITOR": Words.name})
            self._known_monitor(thing)
            self.account |= thing
            return None
        kind = self._kind(words)
        name = words.name()
        thing = self.things[kind][name]
        if words.has("SET TAG"):
            return self._set_tag(words, kind, name)
        return getattr(self, f"_alter_{kind.lower().replace(' ', '_')}")(words, thing, name)  # type: ignore[no-any-return]

    def _set_tag(self, words: Words, kind: str, name: str) -> None:
        tag = words.name()
        words.take("=")
        value = words.text()
        if value not in self.things["TAG"][tag]["ALLOWED"]:
            raise words.refuse(f"{value} is not allowed for tag {tag}")
        self.tags.setdefault((kind, name), {})[tag] = value

    def _alter_resource_monitor(self, words: Words, thing: Thing, _: str) -> None:
        if words.has("SET") and words.peek("TRIGGERS"):
            raise words.refuse("SET is for properties, triggers follow it")
        if not words:
            raise words.refuse()
        thing |= self._monitor(words)

    def _alter_warehouse(self, words: Words, thing: Thing, _: str) -> None:
        if words.has("SUSPEND"):
            if thing["STATE"] == "SUSPENDED":
                raise words.refuse("Invalid state. Warehouse cannot be suspended")
            thing["STATE"] = "SUSPENDED"
        elif not words.has("ABORT ALL QUERIES"):
            words.take("SET")
            values = words.properties(WAREHOUSE)
            self._known_monitor(values)
            thing |= values

    def _alter_database(self, words: Words, thing: Thing, _: str) -> None:
        words.take("SET")
        thing |= words.properties(DATABASE)

    def _alter_schema(self, words: Words, thing: Thing, _: str) -> None:
        if words.has("ENABLE MANAGED ACCESS"):
            thing["MANAGED"] = True
        else:
            words.take("SET")
            thing |= words.properties(COMMENT)

    def _alter_role(self, words: Words, thing: Thing, _: str) -> None:
        words.take("SET")
        thing |= words.properties(COMMENT)

    def _alter_user(self, words: Words, thing: Thing, _: str) -> None:
        words.take("SET")
        thing |= words.properties(USER)

    def _alter_tag(self, words: Words, thing: Thing, _: str) -> None:
        if words.has("SET MASKING POLICY"):
            policy = words.name()
            self.things["MASKING POLICY"][policy]
            if not words.has("FORCE") and thing["POLICIES"]:
                raise words.refuse("the tag carries a policy of this type already")
            thing["POLICIES"] = [policy]
        elif words.has("ADD ALLOWED_VALUES"):
            thing["ALLOWED"] += self._listed(words)
        else:
            words.take("DROP ALLOWED_VALUES")
            for value in self._listed(words):
                thing["ALLOWED"].remove(value)

    def _alter_row_access_policy(self, words: Words, thing: Thing, _: str) -> None:
        words.take("SET BODY ->")
        thing["BODY"] = words.rest()
        sqlglot.parse_one(f"select {thing['BODY']}", dialect="snowflake")

    _alter_masking_policy = _alter_row_access_policy

    def _alter_network_rule(self, words: Words, thing: Thing, _: str) -> None:
        words.take("SET")
        thing |= words.properties({"VALUE_LIST": Words.texts})

    def _alter_network_policy(self, words: Words, thing: Thing, _: str) -> None:
        words.take("SET")
        thing |= self._known_rules(words.properties(NETWORK_POLICY))

    def _alter_task(self, words: Words, thing: Thing, _: str) -> None:
        verb = words.one().text.upper()
        thing["STATE"] = {"RESUME": "started", "SUSPEND": "suspended"}[verb]

    def _alter_table(self, words: Words, thing: Thing, name: str) -> None:
        if words.has("MODIFY COLUMN"):
            column = words.name()
            thing["COLUMNS"][column]
            words.take("SET TAG")
            return self._set_tag(words, "COLUMN", f"{name}.{column}")
        if words.has("DROP ROW ACCESS POLICY"):
            if thing["POLICY"] != words.name():
                raise words.refuse("that policy is not bound")
            thing["POLICY"] = None
            if not words.has(","):
                return None
        words.take("ADD ROW ACCESS POLICY")
        policy = words.name()
        self.things["ROW ACCESS POLICY"][policy]
        words.take("ON (")
        column = words.name()
        thing["COLUMNS"][column]
        words.take(")")
        if thing["POLICY"]:
            raise words.refuse("the table has a row access policy already")
        thing |= {"POLICY": policy, "POLICY_ON": [column]}
        return None

    def _grant(self, words: Words) -> None:
        self._granting(words, "TO", set.add)

    def _revoke(self, words: Words) -> None:
        if words.has("GRANT OPTION FOR"):
            kept, self.grants = self.grants, self.options
            self._granting(words, "FROM", set.remove)
            self.grants = kept
            return
        self._granting(words, "FROM", set.remove)

    def _granting(self, words: Words, to: str, change: Callable[[set[Any], Any], None]) -> None:
        if words.has("ROLE"):
            role = words.name()
            self.things["ROLE"][role]
            words.take(to)
            kind = self._kind(words)
            name = words.name()
            self.things[kind][name]
            change(self.role_grants, (role, kind, name))
            return
        privilege = ""
        while not words.has("ON"):
            privilege = f"{privilege} {words.one().text.upper()}".strip()
        if words.peek("ALL") or words.peek("FUTURE"):
            which, kind = words.one().text.upper(), words.one().text.upper().removesuffix("S")
            words.take("IN SCHEMA")
            schema = words.name()
            self.things["SCHEMA"][schema]
            role = self._grantee(words, to, privilege, kind)
            if which == "FUTURE":
                change(self.future, (privilege, kind, schema, role))
            else:
                for name in (each for each in self.things[kind] if each.startswith(schema + ".")):
                    change(self.grants, (privilege, kind, name, role))
            return
        kind = "ACCOUNT" if words.has("ACCOUNT") else self._kind(words)
        name = "XY12345" if kind == "ACCOUNT" else words.name()
        if kind != "ACCOUNT":
            self.things[kind][name]
        grant = (privilege, kind, name, self._grantee(words, to, privilege, kind))
        change(self.grants, grant)
        if words.has("WITH GRANT OPTION"):
            self.options.add(grant)

    def _grantee(self, words: Words, to: str, privilege: str, kind: str) -> str:
        words.take(to, "ROLE")
        role = words.name()
        self.things["ROLE"][role]
        if (privilege, kind) not in PRIVILEGES:
            raise words.refuse(f"privilege {privilege} is not one of {kind}")
        return role

    def _drop(self, words: Words) -> None:
        kind = self._kind(words)
        name = words.name()
        del self.things[kind][name]
        self.grants = {grant for grant in self.grants if name not in grant}
        self.future = {grant for grant in self.future if name not in grant}
        self.role_grants = {grant for grant in self.role_grants if name not in grant}
        self.tags.pop((kind, name), None)

    def _use(self, words: Words) -> None:
        words.take("WAREHOUSE")
        self.warehouse = words.name()
        self.things["WAREHOUSE"][self.warehouse]

    # -- rows

    def _insert(self, words: Words) -> None:
        tree = sqlglot.parse_one(words.statement, dialect="snowflake")
        assert isinstance(tree, exp.Insert)
        names = [each.name for each in tree.this.expressions]
        (row,) = tree.expression.expressions
        self.rows_of[tree.this.this.sql("snowflake").upper()].append(
            dict(zip(names, map(_literal, row.expressions), strict=True))
        )

    def _where(self, tree: Any) -> Callable[[Row], bool]:
        equal = tree.args["where"].this
        assert isinstance(equal, exp.EQ)
        return lambda row: row[equal.this.name] == _literal(equal.expression)

    def _update(self, words: Words) -> None:
        tree = sqlglot.parse_one(words.statement, dialect="snowflake")
        table, matches = tree.this.sql("snowflake").upper(), self._where(tree)
        changes = {each.this.name: _literal(each.expression) for each in tree.expressions}
        self.rows_of[table] = [{**row, **changes} if matches(row) else row for row in self.rows_of[table]]

    def _delete(self, words: Words) -> None:
        tree = sqlglot.parse_one(words.statement, dialect="snowflake")
        table, matches = tree.this.sql("snowflake").upper(), self._where(tree)
        self.rows_of[table] = [row for row in self.rows_of[table] if not matches(row)]

    def _select(self, words: Words) -> list[Row]:
        running = self.things["WAREHOUSE"].get(self.warehouse)
        if running is None or not (running.get("AUTO_RESUME") or running["STATE"] == "STARTED"):
            raise words.refuse("No active warehouse selected in the current session")
        words.take("* FROM")
        if not words.has("TABLE ("):
            return self.rows_of[words.name()]
        function = words.name().partition(".INFORMATION_SCHEMA.")[2]
        words.take("(")
        arguments = [token.text for token in words.tokens[words.at :] if token.token_type == TokenType.STRING]
        by_name = words.peek("POLICY_NAME")
        answer: list[Row] = getattr(self, f"_{function.lower()}")(arguments, by_name)
        return answer

    def _policy_references(self, arguments: list[str], by_name: bool) -> list[Row]:
        if by_name:
            policy = _kept(arguments[0])
            self.things["ROW ACCESS POLICY"][policy]
            tables = self.things["TABLE"].items()
            return [row for name, table in tables for row in self._bound(name, table) if row["policy_path"] == policy]
        name, domain = _kept(arguments[0]), arguments[1].upper()
        if domain == "TABLE":
            return self._bound(name, self.things["TABLE"][name])
        assert domain == "TAG"
        return [_policy_of(policy) for policy in self.things["TAG"][name]["POLICIES"]]

    def _bound(self, name: str, table: Thing) -> list[Row]:
        if not table["POLICY"]:
            return []
        policy = next(each for each in self.things["ROW ACCESS POLICY"] if each.endswith(table["POLICY"]))
        row = {**_policy_of(policy), **_path("ref_database_name ref_schema_name ref_entity_name", name)}
        columns = json.dumps(table["POLICY_ON"])
        return [{**row, "policy_kind": "ROW_ACCESS_POLICY", "ref_arg_column_names": columns, "policy_path": policy}]

    def _tag_references(self, arguments: list[str], _: bool) -> list[Row]:
        kind, name = arguments[1].upper(), arguments[0].upper()
        self.things[kind][name]
        return [self._tag_row(tag, value) for tag, value in self.tags.get((kind, name), {}).items()]

    def _tag_references_all_columns(self, arguments: list[str], _: bool) -> list[Row]:
        table = _kept(arguments[0])
        return [
            {**self._tag_row(tag, value), "column_name": column, "level": "COLUMN"}
            for column in self.things["TABLE"][table]["COLUMNS"]
            for tag, value in self.tags.get(("COLUMN", f"{table}.{column}"), {}).items()
        ]

    def _tag_row(self, tag: str, value: str) -> Row:
        return {**_path("tag_database tag_schema tag_name", tag), "tag_value": value}

    # -- answers

    def _show(self, words: Words) -> list[Row]:
        if words.has("PARAMETERS LIKE"):
            name = words.text().upper()
            words.take("IN")
            thing = self.things[self._kind(words)][words.name()]
            default = "172800" if name == "STATEMENT_TIMEOUT_IN_SECONDS" else ""
            return [{"key": name, "value": str(thing.get(name, default))}]
        if words.has("FUTURE GRANTS TO ROLE"):
            role = words.name()
            return [
                {"privilege": p, "grant_on": kind, "name": f"{schema}.<{kind}>", "grantee_name": g}
                for p, kind, schema, g in self.future
                if g == role
            ]
        if words.has("GRANTS"):
            return self._show_grants(words)
        if words.has("COLUMNS LIKE"):
            return self._show_columns(words)
        kind = next(each for each in sorted(self.things, key=len, reverse=True) if words.has(_plural(each)))
        place = ""
        if words.has("IN") and not words.has("ACCOUNT"):
            holder = self._kind(words)
            place = words.name()
            self.things[holder][place]
        chosen = {name: thing for name, thing in self.things[kind].items() if not place or name.startswith(place + ".")}
        return [self._shown(kind, name, thing) for name, thing in chosen.items()]

    def _shown(self, kind: str, name: str, thing: Thing) -> Row:  # noqa: C901 - one branch a kind
        row: Thing = {"name": name.split(".")[-1], "comment": thing.get("COMMENT", "")}
        if kind == "RESOURCE MONITOR":
            steps = {"notify_at": "NOTIFY", "suspend_at": "SUSPEND", "suspend_immediately_at": "SUSPEND_IMMEDIATE"}
            row |= {theirs: ",".join(f"{p}%" for p in thing[ours]) or None for theirs, ours in steps.items()}
            level = "ACCOUNT" if self.account.get("RESOURCE_MONITOR") == name else "WAREHOUSE"
            row |= {"credit_quota": f"{thing['CREDIT_QUOTA']}.00", "frequency": thing["FREQUENCY"], "level": level}
        if kind == "WAREHOUSE":
            row |= {"state": thing["STATE"], "size": thing["WAREHOUSE_SIZE"], "auto_suspend": thing["AUTO_SUSPEND"]}
            row |= {"auto_resume": str(thing["AUTO_RESUME"]).lower()}
            row |= {"resource_monitor": thing.get("RESOURCE_MONITOR", "null")}
        if kind == "DATABASE":
            row |= {"retention_time": str(thing["DATA_RETENTION_TIME_IN_DAYS"])}
        if kind == "SCHEMA":
            row |= {"options": "MANAGED ACCESS" if thing["MANAGED"] else ""}
        if kind == "USER":
            row |= {"type": thing.get("TYPE")}
        if kind == "TAG":
            row |= {"allowed_values": json.dumps(thing["ALLOWED"])}
        if kind == "NETWORK RULE":
            row |= {"type": thing["TYPE"], "mode": thing["MODE"], "entries_in_valuelist": len(thing["VALUE_LIST"])}
        if kind == "VIEW":
            row |= {"text": thing["TEXT"]}
        if kind == "TASK":
            row |= {"schedule": thing["SCHEDULE"], "definition": thing["DEFINITION"], "state": thing["STATE"]}
        if len(name.split(".")) == 3:
            row |= dict(zip(("database_name", "schema_name"), name.split("."), strict=False))
        return row

    def _show_grants(self, words: Words) -> list[Row]:
        if words.has("OF ROLE"):
            role = words.name()
            self.things["ROLE"][role]
            return [
                {"role": r, "granted_to": kind, "grantee_name": _written(name)}
                for r, kind, name in self.role_grants
                if r == role
            ]
        if words.has("TO USER"):
            user = words.name()
            self.things["USER"][user]
            return [
                {"role": _written(r), "granted_to": "USER", "grantee_name": user}
                for r, kind, name in self.role_grants
                if (kind, name) == ("USER", user)
            ]
        words.take("TO ROLE")
        role = words.name()
        self.things["ROLE"][role]
        rows = [
            {
                "privilege": grant[0],
                "granted_on": grant[1].replace(" ", "_"),
                "name": _written(grant[2]),
                "grantee_name": _written(grant[3]),
                "grant_option": str(grant in self.options).lower(),
            }
            for grant in self.grants
            if grant[3] == role
        ]
        roles = [r for r, kind, name in self.role_grants if (kind, name) == ("ROLE", role)]
        return rows + [
            {
                "privilege": "USAGE",
                "granted_on": "ROLE",
                "name": _written(r),
                "grantee_name": role,
                "grant_option": "false",
            }
            for r in roles
        ]

    def _show_columns(self, words: Words) -> list[Row]:
        pattern = re.compile(re.escape(words.text().upper()).replace("_", ".").replace("%", ".*"))
        words.take("IN DATABASE")
        database = words.name()
        kinds = {"VARCHAR": "TEXT", "TEXT": "TEXT", "BIGINT": "FIXED", "DATE": "DATE", "DOUBLE": "REAL"}
        return [
            {
                **_path("database_name schema_name table_name", table),
                "column_name": column,
                "data_type": json.dumps({"type": kinds.get(kind.split("(")[0], "FIXED")}),
            }
            for table, thing in self.things["TABLE"].items()
            if table.startswith(database + ".")
            for column, kind in thing["COLUMNS"].items()
            if pattern.fullmatch(column)
        ]

    def _describe(self, words: Words) -> list[Row]:
        kind = self._kind(words)
        thing = self.things[kind][words.name()]
        if kind == "USER":
            return [{"property": name, "value": value} for name, value in _user_properties(thing).items()]
        if kind == "NETWORK POLICY":
            rules = [{"fullyQualifiedRuleName": name} for name in thing["ALLOWED_NETWORK_RULE_LIST"]]
            return [{"name": "ALLOWED_NETWORK_RULE_LIST", "value": json.dumps(rules)}]
        if kind == "NETWORK RULE":
            return [{"value_list": ",".join(thing["VALUE_LIST"])}]
        return [{"signature": thing["SIGNATURE"], "return_type": thing["RETURNS"], "body": thing["BODY"]}]


def _user_properties(thing: Thing) -> dict[str, str]:
    key = thing.get("RSA_PUBLIC_KEY")
    digest = base64.b64encode(hashlib.sha256(base64.b64decode(key)).digest()).decode() if key else ""
    roles = thing.get("DEFAULT_SECONDARY_ROLES")
    return {
        "DEFAULT_ROLE": thing.get("DEFAULT_ROLE", "null"),
        "DEFAULT_WAREHOUSE": thing.get("DEFAULT_WAREHOUSE", "null"),
        "DEFAULT_SECONDARY_ROLES": json.dumps(["ALL"] if roles is None else roles),
        "DISABLED": str(thing.get("DISABLED", False)).lower(),
        "RSA_PUBLIC_KEY_FP": f"SHA256:{digest}" if key else "null",
    }


def _plural(kind: str) -> str:
    return f"{kind[:-1]}IES" if kind.endswith("Y") else f"{kind}S"


def _path(names: str, path: str) -> Row:
    return dict(zip(names.split(), path.split("."), strict=True))


def _kept(path: str) -> str:
    """A path in an argument, as it is kept."""
    parts = re.findall(r'"(?:[^"]|"")+"|[^."]+', path)
    return ".".join(part[1:-1].replace('""', '"') if part.startswith('"') else part.upper() for part in parts)


def _written(path: str) -> str:
    """A path as SHOW GRANTS writes it, in quotes where it needs them; names here have no dots inside."""
    parts = path.split(".")
    return ".".join(part if re.fullmatch("[A-Z_][A-Z0-9_]*", part) else _quoted(part) for part in parts)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _policy_of(policy: str) -> Row:
    return _path("policy_db policy_schema policy_name", policy)


def _literal(node: Any) -> Any:
    assert isinstance(node, exp.Literal), node
    return node.this if node.is_string else int(node.this)
