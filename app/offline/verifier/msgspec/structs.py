"""Making a changed copy of a struct."""

from typing import TypeVar

from .struct_type import Struct

One = TypeVar("One", bound=Struct)


def replace(struct: One, /, **changes: object) -> One:
    """A copy with other values for these members.

    Raises:
        TypeError: There is no such member.
    """
    kind = type(struct)
    values = {name: getattr(struct, name) for name in kind.__struct_fields__}
    return kind(**{**values, **changes})
