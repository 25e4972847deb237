"""The house rules that a program can check."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ("domain", "projections", "adapters", "app")
FORBIDDEN_WORDS = ("utils", "common", "base", "manager", "service", "helpers", "misc")


def modules(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def tracked() -> list[str]:
    """The files under version control; the tests that need them skip in a copy without git."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False, timeout=30
    )
    if listed.returncode != 0:
        pytest.skip("this is not a git checkout")
    return [name for name in listed.stdout.decode().split("\0") if name]


def test_every_module_says_what_lives_in_it() -> None:
    for file in modules(*LAYERS, "tests", "bench"):
        assert ast.get_docstring(ast.parse(file.read_text("utf-8"))), file


def test_no_module_is_a_drawer() -> None:
    for file in modules(*LAYERS):
        words = set(file.stem.split("_"))
        assert not words & set(FORBIDDEN_WORDS) or file.stem == "service_login", file


def test_migrations_are_numbered_without_holes() -> None:
    names = sorted(file.name for file in (ROOT / "adapters/migrations").glob("*"))
    for number, name in enumerate(names, start=1):
        assert re.fullmatch(rf"{number:04d}_[a-z0-9_]+\.sql", name), name


def test_locks_name_no_address() -> None:
    for file in ROOT.glob("requirements*.txt"):
        text = file.read_text("utf-8")
        assert "://" not in text, file.name
        for line in text.splitlines():
            assert re.match(
                r"[a-z0-9_.-]+(\[[a-z0-9_,.-]+\])?==|    --hash=sha256:[0-9a-f]{64}", line
            ), line


def test_locks_agree_where_they_name_the_same() -> None:
    """They go into one environment, where a second version would replace the first."""
    seen: dict[str, str] = {}
    for file in sorted(ROOT.glob("requirements*.txt")):
        for entry in re.split(r"\n(?=\S)", file.read_text("utf-8").rstrip("\n")):
            # An extra changes what else is wanted, and not what is fetched.
            wanted = re.sub(r"\[.*?\]", "", entry.partition(" \\\n")[0])
            hashes = entry.partition(" \\\n")[2]
            assert seen.setdefault(wanted, hashes) == hashes, f"{file.name}: {wanted}"
    pinned = [re.sub(r"==[^ ;]*", "==", wanted) for wanted in seen]
    assert len(pinned) == len(set(pinned)), sorted(pinned)


def test_no_source_file_is_unused() -> None:
    imported = {"app.__main__"}
    for file in [*modules(*LAYERS, "tests", "bench"), ROOT / "run.py"]:
        text = file.read_text("utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                beside = file.relative_to(ROOT).parts[: -node.level] if node.level else ()
                module = ".".join([*beside, *([node.module] if node.module else [])])
                imported |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    for file in modules(*LAYERS):
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        if file.name == "__init__.py" or name.startswith("app.cli."):
            continue  # commands are imported by name, and a test imports each
        launched = file.name == "postgres_launch.py"  # run as a script
        assert name in imported or launched, f"nobody imports {name}"


def test_nothing_generated_or_secret_is_tracked() -> None:
    for name in tracked():
        assert not re.search(
            r"(^|/)(uv\.lock|\.venv|__pycache__|\.deedbook|node_modules)(/|$)", name
        )
        assert not name.endswith((".pem", ".key", ".pyc")), name


def test_every_sql_value_is_a_parameter() -> None:
    """Statements may be joined of our own literals; `.format(` and `%` never make one."""
    for file in modules("adapters"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "execute"
                and node.args
            ):
                statement = node.args[0]
                assert not isinstance(statement, ast.BinOp) or not isinstance(
                    statement.op, ast.Mod
                ), f"{file.name}:{node.lineno}"


def test_no_adapter_ends_a_stage_of_a_pipeline_without_fetching() -> None:
    """`Pipeline.sync()` stops flushing after the last command: large messages block for ever."""
    for file in modules("adapters"):
        assert ".sync(" not in file.read_text("utf-8"), file
