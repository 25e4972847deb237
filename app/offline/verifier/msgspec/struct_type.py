"""Structs: classes whose members are their annotations, with the options that verification uses."""

import sys
from collections.abc import Mapping
from typing import Any, TypeGuard, dataclass_transform


class _Required:
    """Stands where a member has no default."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED = _Required()

INHERITED = ("frozen", "forbid_unknown_fields", "omit_defaults", "rename")
"""The options that a subclass takes over; `kw_only` is about the members of one class."""

EMPTY = (dict, list, set)
"""A default of these types is made anew for each struct."""


def _annotated(namespace: dict[str, Any]) -> list[str]:
    """The members that a class body annotates, in order."""
    if sys.version_info >= (3, 14):  # where annotations are made when they are asked for
        import annotationlib  # noqa: PLC0415 -- is only there

        annotate = annotationlib.get_annotate_from_class_namespace(namespace)
        if annotate is None:
            return []
        given = annotationlib.call_annotate_function(annotate, annotationlib.Format.FORWARDREF)
    else:
        given = namespace.get("__annotations__", {})
    return [name for name in given if not name.startswith("__")]


def _spelled(name: str, rename: object) -> str:
    if isinstance(rename, Mapping):
        return str(rename.get(name, name))
    if rename == "camel":
        first, *rest = name.split("_")
        return first + "".join(word.title() for word in rest)
    if rename is not None:
        raise TypeError(f"this stand-in cannot rename by {rename!r}")
    return name


@dataclass_transform(frozen_default=True)
class StructMeta(type):
    """Makes the classes.

    Attributes:
        __struct_fields__: The members, those that may be given by place first.
        __struct_encode_fields__: The same as they stand in JSON.
        __struct_defaults__: Of each member, or `REQUIRED`.
        __struct_sorted__: (name in JSON, member, default), in order of the name.
        __struct_options__: The options that hold.
    """

    __struct_fields__: tuple[str, ...]
    __struct_encode_fields__: tuple[str, ...]
    __struct_defaults__: tuple[object, ...]
    __struct_sorted__: tuple[tuple[str, str, object], ...]
    __struct_options__: Mapping[str, object]
    __struct_placed__: int
    __struct_setters__: tuple[Any, ...]

    def __new__(
        cls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        kw_only: bool = False,
        gc: bool = True,  # noqa: ARG004 -- about memory alone
        **options: object,
    ) -> "StructMeta":
        """A class, and the tables by which its structs are made, read and written."""
        unknown = options.keys() - set(INHERITED)
        if unknown:
            raise TypeError(f"this stand-in has no option {min(unknown)}")
        placed: dict[str, object] = {}
        named: dict[str, object] = {}
        held: dict[str, object] = {}
        for base in reversed(bases):
            if isinstance(base, StructMeta):
                held |= base.__struct_options__
                for index, member in enumerate(base.__struct_fields__):
                    kept = placed if index < base.__struct_placed__ else named
                    kept[member] = base.__struct_defaults__[index]
        held |= options
        own = _annotated(namespace)
        for member in own:
            if member in placed or member in named:
                raise TypeError(f"{member} is declared in a base class already")
            default = namespace.pop(member, REQUIRED)
            if isinstance(default, EMPTY) and default:
                raise TypeError(f"the default of {member} can be changed from outside")
            (named if kw_only else placed)[member] = default
        body = {**namespace, "__slots__": tuple(own), "__match_args__": tuple(placed)}
        made = super().__new__(cls, name, bases, body)
        defaults = {**placed, **named}
        made.__struct_fields__ = tuple(defaults)
        made.__struct_defaults__ = tuple(defaults.values())
        made.__struct_encode_fields__ = tuple(_spelled(one, held.get("rename")) for one in defaults)
        made.__struct_sorted__ = tuple(
            sorted(zip(made.__struct_encode_fields__, defaults, defaults.values(), strict=True),
                   key=lambda one: one[0])
        )  # fmt: skip
        made.__struct_options__ = held
        made.__struct_placed__ = len(placed)
        made.__struct_setters__ = tuple(getattr(made, member).__set__ for member in defaults)
        return made


class Struct(metaclass=StructMeta):
    """The family of all structs."""

    def __init__(self, *placed: object, **named: object) -> None:
        kind = type(self)
        if len(placed) > kind.__struct_placed__:
            raise TypeError("Extra positional arguments provided")
        values = list(placed)
        for member, default in zip(
            kind.__struct_fields__[len(placed) :],
            kind.__struct_defaults__[len(placed) :],
            strict=True,
        ):
            value = named.pop(member, default)
            if value is REQUIRED:
                raise TypeError(f"Missing required argument '{member}'")
            values.append(fresh(value) if value is default else value)
        if named:
            raise TypeError(f"Unexpected keyword argument '{next(iter(named))}'")
        for setter, value in zip(kind.__struct_setters__, values, strict=True):
            setter(self, value)

    def __setattr__(self, name: str, value: object) -> None:
        if type(self).__struct_options__.get("frozen"):
            raise AttributeError(f"immutable type: '{type(self).__name__}'")
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"immutable type: '{type(self).__name__}'")

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        if not type(self).__struct_options__.get("frozen"):
            raise TypeError(f"unhashable type: '{type(self).__name__}'")
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in type(self).__struct_fields__)
        return f"{type(self).__name__}({', '.join(shown)})"

    def _values(self) -> tuple[object, ...]:
        return tuple([getattr(self, name) for name in type(self).__struct_fields__])


def is_struct(kind: object) -> TypeGuard[type[Struct]]:
    """Whether a type is that of a struct."""
    return isinstance(kind, StructMeta)


def fresh(default: object) -> object:
    """A default for one struct: an empty list or dict of its own, everything else as it is."""
    return type(default)() if isinstance(default, EMPTY) else default


def is_default(value: object, default: object) -> bool:
    """Whether a member is left away with `omit_defaults`: by identity, as `msgspec` does it."""
    if value is default:
        return True
    return isinstance(default, EMPTY) and type(value) is type(default) and not value
