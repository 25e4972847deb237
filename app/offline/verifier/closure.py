"""What a module needs: the modules of this project that it imports, and those that they import.

The sources are read and not run, so the answer is the same on every machine.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

MAX_MODULES = 1_000


class Closure(NamedTuple):
    """What a module needs.

    Attributes:
        sources: The file of each module, by the module's name; packages included.
        outside: The top-level packages that come from elsewhere, each with a module that imports it.
    """

    sources: Mapping[str, Path]
    outside: Mapping[str, str]


def closure_of(root: Path, roots: tuple[str, ...]) -> Closure:
    """What some modules need, without the standard library.

    Args:
        root: The folder in which the top-level packages lie.
        roots: The modules to begin with.
    """
    sources: dict[str, Path] = {}
    outside: dict[str, str] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        file = _file_of(root, name)
        if name in sources or file is None:
            continue
        assert len(sources) < MAX_MODULES
        sources[name] = file
        waiting += [name.rpartition(".")[0]] if "." in name else []
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        for imported in _imports(ast.parse(file.read_bytes()), package):
            top = imported.partition(".")[0]
            if (root / top).is_dir():
                waiting.append(imported)
            elif top not in sys.stdlib_module_names and top != "annotationlib":
                outside.setdefault(top, name)
    return Closure(dict(sorted(sources.items())), dict(sorted(outside.items())))


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    """The modules, and names in modules that may be modules, that a source imports when it runs."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        match node:
            case ast.Import(names=names):
                yield from (one.name for one in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                parts = package.split(".")
                above = parts[: len(parts) - level + 1] if level else []
                whole = ".".join([*above, *([module] if module else [])])
                yield whole
                yield from (f"{whole}.{one.name}" for one in names)
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=other):
                waiting += other
            case _:
                waiting += ast.iter_child_nodes(node)


def _file_of(root: Path, name: str) -> Path | None:
    path = root.joinpath(*name.split("."))
    for file in (path / "__init__.py", path.with_name(f"{path.name}.py")):
        if file.is_file():
            return file
    return None
