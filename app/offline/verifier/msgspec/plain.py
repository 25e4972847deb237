"""Structs as plain dicts, lists and texts."""

from .struct_type import Struct, is_default


def to_builtins(value: object) -> object:
    """The same value made of dicts, lists, tuples, texts, numbers, booleans and None.

    Raises:
        TypeError: Something in it is none of these and no struct.
    """
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Struct):
        return _members(value)
    if isinstance(value, dict):
        return {to_builtins(name): to_builtins(member) for name, member in value.items()}
    if isinstance(value, tuple):
        return tuple(to_builtins(one) for one in value)
    if isinstance(value, list):
        return [to_builtins(one) for one in value]
    raise TypeError(f"Encoding objects of type {type(value).__name__} is unsupported")


def _members(struct: Struct) -> dict[str, object]:
    kind = type(struct)
    omit = kind.__struct_options__.get("omit_defaults")
    members: dict[str, object] = {}
    for name, field, default in zip(
        kind.__struct_encode_fields__,
        kind.__struct_fields__,
        kind.__struct_defaults__,
        strict=True,
    ):
        value = getattr(struct, field)
        if not (omit and is_default(value, default)):
            members[name] = to_builtins(value)
    return members
