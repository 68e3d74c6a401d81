"""Every Python file of the three packages -> nothing that the conventions forbid. Each rule is proven on a line that breaks it."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("reconciliation", "expectations", "assets")
LINES_MAX = 600
LINES_MAX_OF = {"reconciliation/close/audit.py": 850}  # promised to be one file, which an auditor reads whole
NAMELESS = {"utils", "util", "helpers", "helper", "misc", "common", "manager", "managers"}
MONEY_WORDS = {"amount", "minor", "fee", "fees", "net"}
DOORS = {  # the only places (files or folders) that may import a tool
    "duckdb": ("reconciliation/engine.py",),
    "rapidfuzz": ("reconciliation/similarity.py",),
    "sklearn": ("reconciliation/learning/",),
    "interpret": ("reconciliation/learning/",),
    "skops": ("reconciliation/learning/",),
    "stripe": ("reconciliation/connectors/stripe/",),
    "great_expectations": ("expectations/",),
    "dagster": ("assets/",),
    "pickle": (),
    "pandas": ("expectations/",),
}
SQL = re.compile(r"(?is)^\s*(select\b.+\bfrom\b|insert\s+into\b|delete\s+from\b|update\b.+\bset\b|create\s+(or\s+replace\s+)?(table|view)\b|copy\b.+\bto\b)")


@dataclass(frozen=True)
class Source:
    """A Python file: its place from the root, its text and its syntax tree."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """Return the syntax tree."""
        return ast.parse(self.text, filename=self.path)

    @property
    def package(self) -> str:
        """Return the top-level package the file belongs to."""
        return self.path.partition("/")[0]


Rule = Callable[[Source], Iterator[str]]


def is_short(source: Source) -> Iterator[str]:
    """Yield a file that is too long to be read at once."""
    if (count := len(source.text.splitlines())) > (allowed := LINES_MAX_OF.get(source.path, LINES_MAX)):
        yield f"{source.path}: {count} lines, more than {allowed}"


def has_a_name_that_says_what_it_does(source: Source) -> Iterator[str]:
    """Yield folders and modules named after nothing."""
    yield from (f"{source.path}: {part} is no name for a home" for part in Path(source.path).with_suffix("").parts if part in NAMELESS)


def is_finished(source: Source) -> Iterator[str]:
    """Yield marks of unfinished work."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b|raise NotImplementedError", line):
            yield f"{source.path}:{number}: unfinished: {line.strip()}"


def does_not_print(source: Source) -> Iterator[str]:
    """Yield prints in the core and the expectations, which speak through results and logs."""
    for node in ast.walk(source.tree):
        if source.package != "assets" and isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield f"{source.path}:{node.lineno}: print"


def catches_what_it_names(source: Source) -> Iterator[str]:
    """Yield handlers and suppressions of everything."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            kinds = names_in(node.type) if node.type is not None else {"BaseException"}
        elif isinstance(node, ast.Call) and "suppress" in names_in(node.func):
            kinds = {name for argument in node.args for name in names_in(argument)}
        else:
            continue
        if kinds & {"Exception", "BaseException"}:
            yield f"{source.path}:{node.lineno}: catches everything"


def is_documented(source: Source) -> Iterator[str]:
    """Yield modules, public classes and public functions without a docstring; the rule of a schema says all in its name."""
    if source.tree.body and not ast.get_docstring(source.tree):
        yield f"{source.path}:1: the module has no docstring"
    for node in public_definitions(source.tree):
        if not ast.get_docstring(node):
            yield f"{source.path}:{node.lineno}: {node.name} has no docstring"


def public_definitions(body: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Yield the public definitions of a module and of its public classes, without schema rules and validators."""
    for node in body.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        decorators = {name for decorator in node.decorator_list for name in names_in(decorator)}
        if not decorators & {"rule", "overload", "override"}:
            yield node
        if isinstance(node, ast.ClassDef):
            yield from public_definitions(node)


def keeps_money_exact(source: Source) -> Iterator[str]:
    """Yield amounts that are made a float."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float" and node.args:
            words = {word for name in names_in(node.args[0]) for word in name.lower().split("_")}
            if words & MONEY_WORDS:
                yield f"{source.path}:{node.lineno}: float() of {ast.unparse(node.args[0])}"


def reads_the_environment_at_its_door(source: Source) -> Iterator[str]:
    """Yield reads of environment variables outside `config` and the command line, which sets them for what it starts."""
    if source.path == "reconciliation/config.py" or source.path.startswith("assets/cli/"):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute | ast.Name) and (node.attr if isinstance(node, ast.Attribute) else node.id) in ("environ", "environb", "getenv"):
            yield f"{source.path}:{node.lineno}: reads the environment"


def only_assembles(source: Source) -> Iterator[str]:
    """Yield frame expressions and SQL in the asset modules, where a frame may be named as a type only; the command line is no asset."""
    if source.package != "assets" or source.path.startswith("assets/cli/"):
        return
    for module, line in imports(source.tree):
        if module.partition(".")[0] in ("duckdb", "pandas", "numpy") or (module == "polars" and "from polars" in source.text):
            yield f"{source.path}:{line}: imports {module}"
    for node in ast.walk(source.tree):
        called = node.func if isinstance(node, ast.Call) else node
        is_polars = isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id in ("pl", "polars")
        if is_polars and (isinstance(node, ast.Call) or called.attr not in ("DataFrame", "LazyFrame")):
            yield f"{source.path}:{called.lineno}: a frame expression: {ast.unparse(called)}"
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value):
            yield f"{source.path}:{node.lineno}: SQL"


def imports_downwards(source: Source) -> Iterator[str]:
    """Yield imports against assets -> expectations -> reconciliation, and tools used beside their door."""
    for module, line in imports(source.tree):
        top = module.partition(".")[0]
        if top in PACKAGES and PACKAGES.index(top) > PACKAGES.index(source.package):
            yield f"{source.path}:{line}: {source.package} imports {module}"
        if top in DOORS and not source.path.startswith(DOORS[top] or ("none",)):
            yield f"{source.path}:{line}: {top} is not used through its door"


def does_not_assert(source: Source) -> Iterator[str]:
    """Yield asserts, which vanish under -O and say nothing to the one who must act."""
    yield from (f"{source.path}:{node.lineno}: assert" for node in ast.walk(source.tree) if isinstance(node, ast.Assert))


def keeps_annotations_for_run_time(source: Source) -> Iterator[str]:
    """Yield postponed annotations where Dagster and dataframely read them at run time."""
    if source.package == "assets" or source.path.startswith("reconciliation/schemas/"):
        yield from (f"{source.path}:{line}: postpones annotations" for module, line in imports(source.tree) if module == "__future__")


def imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the modules a file imports, absolute ones, with the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, node.lineno


def names_in(node: ast.AST) -> set[str]:
    """Return the names, attributes and column names that an expression mentions."""
    found = {child.id for child in ast.walk(node) if isinstance(child, ast.Name)} | {child.attr for child in ast.walk(node) if isinstance(child, ast.Attribute)}
    return found | {child.value for child in ast.walk(node) if isinstance(child, ast.Constant) and isinstance(child.value, str)}


RULES: dict[Rule, list[tuple[str, str]]] = {  # each with (place, text) of what it must find
    is_short: [("reconciliation/long.py", "\n" * (LINES_MAX + 1))],
    has_a_name_that_says_what_it_does: [("reconciliation/utils.py", ""), ("assets/common/x.py", "")],
    is_finished: [("assets/x.py", "# TODO later"), ("reconciliation/x.py", "raise NotImplementedError")],
    does_not_print: [("reconciliation/x.py", "def f():\n    print(1)")],
    catches_what_it_names: [
        ("reconciliation/x.py", "try:\n    f()\nexcept Exception:\n    pass"),
        ("assets/x.py", "try:\n    f()\nexcept:\n    raise"),
        ("assets/x.py", "try:\n    f()\nexcept (ValueError, builtins.BaseException) as e:\n    raise"),
        ("expectations/x.py", "with contextlib.suppress(Exception):\n    f()"),
    ],
    is_documented: [
        ("reconciliation/x.py", "A = 1"),
        ("reconciliation/x.py", '"""M."""\ndef f() -> None:\n    return None'),
        ("reconciliation/x.py", '"""M."""\nclass A:\n    """A."""\n    async def f(self) -> None:\n        return None'),
    ],
    keeps_money_exact: [
        ("reconciliation/x.py", "x = float(amount_minor)"),
        ("reconciliation/x.py", "x = float(row['net'])"),
        ("assets/x.py", "x = float(a.fee_minor / 100)"),
    ],
    reads_the_environment_at_its_door: [("reconciliation/x.py", "import os\nx = os.environ['A']"), ("assets/x.py", "from os import getenv\nx = getenv('A')")],
    only_assembles: [
        ("assets/x.py", "import polars as pl\nx = pl.DataFrame({})"),
        ("assets/x.py", "def f():\n    return pl.col('a')"),
        ("assets/stages/x.py", "q = 'select a from b'"),
        ("assets/x.py", "from polars import col"),
    ],
    imports_downwards: [
        ("reconciliation/x.py", "import assets.jobs"),
        ("expectations/x.py", "from assets import jobs"),
        ("reconciliation/close/x.py", "import duckdb"),
        ("reconciliation/x.py", "from stripe import StripeClient"),
        ("reconciliation/x.py", "import pickle"),
    ],
    does_not_assert: [("reconciliation/x.py", "assert x")],
    keeps_annotations_for_run_time: [("assets/x.py", "from __future__ import annotations")],
}  # fmt: skip


@cache
def sources() -> list[Source]:
    """Return the Python files of the three packages."""
    paths = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return [Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in paths]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_source_keeps_the_rule(rule: Rule) -> None:
    found = [fault for source in sources() for fault in rule(source)]
    assert not found, "\n".join([str(rule.__doc__), *found])


@pytest.mark.parametrize(("rule", "place", "text"), [(rule, *example) for rule, examples in RULES.items() for example in examples])
def test_the_rule_finds_what_breaks_it(rule: Rule, place: str, text: str) -> None:
    assert list(rule(Source(place, text)))


def test_an_asset_may_name_a_frame_as_a_type() -> None:
    assert list(only_assembles(Source("assets/x.py", "import polars as pl\ndef f(x: pl.DataFrame) -> pl.DataFrame:\n    return x"))) == []


GOOD = '''"""Frames -> sums."""

import logging


def add(total_minor: int, share: str) -> float:
    """Add."""
    try:
        return float(share)
    except ValueError:
        return 0.0
'''


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_passes_what_keeps_it(rule: Rule) -> None:
    assert list(rule(Source("reconciliation/sums.py", GOOD))) == []


def test_the_packages_are_found() -> None:
    assert {source.package for source in sources()} == set(PACKAGES)
