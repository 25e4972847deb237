"""What stands in annotations beside the plain types: JSON as it is, and constraints."""

import re


class Raw(bytes):
    """JSON that is kept as the bytes it was."""

    __slots__ = ()


class Meta:
    """Constraints on a number or a text, for `Annotated`."""

    def __init__(
        self,
        *,
        ge: int | None = None,
        le: int | None = None,
        min_length: int | None = None,
        max_length: int | None = None,
        pattern: str | None = None,
    ) -> None:
        self.ge = ge
        self.le = le
        self.min_length = min_length
        self.max_length = max_length
        self.pattern = None if pattern is None else re.compile(pattern)
