# SPDX-License-Identifier: Apache-2.0
"""The syntax tree. Expression nodes compare by content, which GROUP BY needs."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Iterator, Optional

from ..contract import SqlType


class Node:
    pass


class Expr(Node):
    pass


@dataclass
class Lit(Expr):
    value: Any
    type: SqlType


@dataclass
class Var(Expr):
    name: str  # with @


@dataclass
class Col(Expr):
    parts: list[str]  # the last one is the column


@dataclass
class Star(Expr):
    parts: list[str] = field(default_factory=list)


@dataclass
class Unary(Expr):
    op: str  # - + ~
    arg: Expr


@dataclass
class Binary(Expr):
    op: str
    left: Expr
    right: Expr


@dataclass
class Compare(Expr):
    op: str
    left: Expr
    right: Expr
    quantifier: str = ""  # ANY, ALL


@dataclass
class Logic(Expr):
    op: str  # AND, OR
    left: Expr
    right: Expr


@dataclass
class Not(Expr):
    arg: Expr


@dataclass
class IsNull(Expr):
    arg: Expr
    negated: bool


@dataclass
class In(Expr):
    arg: Expr
    items: list[Expr]
    query: Optional["Query"]
    negated: bool


@dataclass
class Between(Expr):
    arg: Expr
    low: Expr
    high: Expr
    negated: bool


@dataclass
class Like(Expr):
    arg: Expr
    pattern: Expr
    escape: Optional[Expr]
    negated: bool


@dataclass
class Exists(Expr):
    query: "Query"


@dataclass
class Distinct(Expr):
    left: Expr
    right: Expr
    negated: bool


@dataclass
class Scalar(Expr):
    query: "Query"


@dataclass
class Case(Expr):
    arg: Optional[Expr]
    whens: list[tuple[Expr, Expr]]
    otherwise: Optional[Expr]


@dataclass
class Cast(Expr):
    arg: Expr
    type: SqlType
    style: Optional[Expr] = None
    soft: bool = False


@dataclass
class Collate(Expr):
    arg: Expr
    name: str


@dataclass
class AtZone(Expr):
    arg: Expr
    zone: Expr


@dataclass
class Window:
    partition: list[Expr] = field(default_factory=list)
    order: list[tuple[Expr, bool]] = field(default_factory=list)
    frame: Optional[tuple[str, Any, Any]] = None  # ROWS|RANGE, start, end


@dataclass
class Func(Expr):
    name: str  # upper case; with schema when it has one
    args: list[Expr]
    distinct: bool = False
    star: bool = False
    over: Optional[Window] = None
    within: list[tuple[Expr, bool]] = field(default_factory=list)
    text: str = ""  # the name as written

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Func) and (self.name, self.args, self.distinct, self.star, self.over, self.within) == (
            other.name, other.args, other.distinct, other.star, other.over, other.within)


# -- queries ------------------------------------------------------------------------------------------------------------


@dataclass
class Item(Node):
    """One element of a select list. `var` is set for SELECT @v = expr."""

    expr: Expr
    alias: str = ""
    var: str = ""
    op: str = "="


@dataclass
class Table(Node):
    name: list[str]
    alias: str = ""


@dataclass
class TableVar(Node):
    name: str
    alias: str = ""


@dataclass
class TableFunc(Node):
    name: list[str]
    args: list[Expr]
    alias: str = ""
    columns: list[str] = field(default_factory=list)


@dataclass
class Derived(Node):
    query: "Query"
    alias: str = ""
    columns: list[str] = field(default_factory=list)


@dataclass
class Join(Node):
    kind: str  # INNER LEFT RIGHT FULL CROSS, CROSS APPLY, OUTER APPLY
    left: Node
    right: Node
    on: Optional[Expr] = None


@dataclass
class Select(Node):
    items: list[Item]
    distinct: bool = False
    top: Optional[Expr] = None
    percent: bool = False
    ties: bool = False
    into: Optional[list[str]] = None
    source: Optional[Node] = None
    where: Optional[Expr] = None
    group: list[Expr] = field(default_factory=list)
    having: Optional[Expr] = None


@dataclass
class Values(Node):
    rows: list[list[Expr]]


@dataclass
class SetOp(Node):
    op: str  # UNION, UNION ALL, EXCEPT, INTERSECT
    left: Node
    right: Node


@dataclass
class Cte(Node):
    name: str
    columns: list[str]
    query: "Query"


@dataclass
class Query(Node):
    body: Node  # Select, Values or SetOp
    order: list[tuple[Expr, bool]] = field(default_factory=list)
    offset: Optional[Expr] = None
    fetch: Optional[Expr] = None
    ctes: list[Cte] = field(default_factory=list)


# -- statements ---------------------------------------------------------------------------------------------------------


@dataclass
class Stmt(Node):
    line: int = field(default=1, kw_only=True)


@dataclass
class SelectStmt(Stmt):
    query: Query


@dataclass
class Insert(Stmt):
    target: Node
    columns: list[str]
    source: Any  # Query, Execute, or None for DEFAULT VALUES
    output: list[Item] = field(default_factory=list)
    into: Optional[Node] = None
    into_columns: list[str] = field(default_factory=list)
    top: Optional[Expr] = None
    ctes: list[Cte] = field(default_factory=list)


@dataclass
class Update(Stmt):
    target: Node
    sets: list[tuple[list[str], str, str, Expr]]  # column parts, variable, operator, value
    source: Optional[Node] = None
    where: Optional[Expr] = None
    top: Optional[Expr] = None
    percent: bool = False
    output: list[Item] = field(default_factory=list)
    into: Optional[Node] = None
    into_columns: list[str] = field(default_factory=list)
    ctes: list[Cte] = field(default_factory=list)


@dataclass
class Delete(Stmt):
    target: Node
    source: Optional[Node] = None
    where: Optional[Expr] = None
    top: Optional[Expr] = None
    percent: bool = False
    output: list[Item] = field(default_factory=list)
    into: Optional[Node] = None
    into_columns: list[str] = field(default_factory=list)
    ctes: list[Cte] = field(default_factory=list)


@dataclass
class Truncate(Stmt):
    table: list[str]


@dataclass
class Declare(Stmt):
    items: list[tuple[str, Any, Optional[Expr]]]  # @name, SqlType or TableSpec, value


@dataclass
class SetVar(Stmt):
    name: str
    op: str
    value: Expr


@dataclass
class SetOption(Stmt):
    names: list[str]
    value: Any


@dataclass
class If(Stmt):
    condition: Expr
    then: list[Stmt]
    otherwise: list[Stmt]


@dataclass
class While(Stmt):
    condition: Expr
    body: list[Stmt]


@dataclass
class Block(Stmt):
    body: list[Stmt]


@dataclass
class Try(Stmt):
    body: list[Stmt]
    handler: list[Stmt]


@dataclass
class Break(Stmt):
    pass


@dataclass
class Continue(Stmt):
    pass


@dataclass
class Return(Stmt):
    value: Optional[Expr] = None


@dataclass
class Print(Stmt):
    value: Expr


@dataclass
class RaisError(Stmt):
    message: Expr
    severity: Expr
    state: Expr
    args: list[Expr]
    options: list[str]


@dataclass
class Throw(Stmt):
    number: Optional[Expr] = None
    message: Optional[Expr] = None
    state: Optional[Expr] = None


@dataclass
class WaitFor(Stmt):
    kind: str  # DELAY, TIME
    value: Expr


@dataclass
class ExecArg:
    name: str
    value: Optional[Expr]  # None: DEFAULT
    output: bool = False


@dataclass
class Execute(Stmt):
    name: list[str]
    args: list[ExecArg]
    status: str = ""  # EXEC @status = proc
    name_var: str = ""


@dataclass
class ExecText(Stmt):
    text: Expr


@dataclass
class Use(Stmt):
    database: str


@dataclass
class BeginTran(Stmt):
    name: Any = ""
    mark: Optional[Any] = None  # Expr or "" for WITH MARK alone


@dataclass
class Commit(Stmt):
    name: Any = ""


@dataclass
class Rollback(Stmt):
    name: Any = ""


@dataclass
class SaveTran(Stmt):
    name: Any = ""


@dataclass
class Kill(Stmt):
    spid: Expr
    status_only: bool


@dataclass
class Shutdown(Stmt):
    nowait: bool = False


@dataclass
class Checkpoint(Stmt):
    pass


@dataclass
class Reconfigure(Stmt):
    pass


@dataclass
class Dbcc(Stmt):
    command: str
    args: list[Any]
    options: list[str]


@dataclass
class ColumnSpec:
    name: str
    type: Optional[SqlType]
    nullable: Optional[bool] = None
    identity: Optional[tuple[int, int]] = None
    default: Optional[str] = None
    default_name: str = ""
    constraints: list["Constraint"] = field(default_factory=list)
    computed: Optional[str] = None
    line: int = 1


@dataclass
class Constraint:
    kind: str  # PRIMARY KEY, UNIQUE, CHECK, FOREIGN KEY, DEFAULT
    name: str = ""
    columns: list[str] = field(default_factory=list)
    text: str = ""
    column: str = ""  # of an inline constraint
    table: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


@dataclass
class TableSpec:
    columns: list[ColumnSpec]
    constraints: list[Constraint]


@dataclass
class CreateTable(Stmt):
    name: list[str]
    spec: TableSpec


@dataclass
class AlterTable(Stmt):
    name: list[str]
    columns: list[ColumnSpec]
    constraints: list[Constraint]


@dataclass
class CreateIndex(Stmt):
    name: str
    table: list[str]
    columns: list[str]
    unique: bool = False


@dataclass
class CreateSchema(Stmt):
    name: str
    owner: str = ""


@dataclass
class Drop(Stmt):
    kind: str  # DATABASE, TABLE, INDEX, SCHEMA
    names: list[list[str]]
    if_exists: bool = False


@dataclass
class CreateDatabase(Stmt):
    name: str
    options: dict[str, Any]


@dataclass
class AlterDatabase(Stmt):
    name: str  # empty: CURRENT
    clauses: list[tuple[str, Any]]
    termination: Optional[str] = None


@dataclass
class Security(Stmt):
    verb: str
    args: dict[str, Any]
    curcmd: int = 0


@dataclass
class Media(Stmt):
    """BACKUP and RESTORE with variables not yet replaced: names and device paths are Expr or str."""

    verb: str
    what: str
    database: Any
    devices: list[Any]
    options: dict[str, Any]
    mirrors: list[list[Any]] = field(default_factory=list)


def walk(node: Any) -> Iterator[Any]:
    """Every node below, the node itself first."""
    if isinstance(node, (list, tuple)):
        for item in node:
            yield from walk(item)
    elif isinstance(node, (Node, Window, ExecArg)):
        yield node
        for f in fields(node):
            value = getattr(node, f.name)
            if value.__class__ not in (str, int, bool):
                yield from walk(value)
