"""The errors, in their family as `msgspec` has it."""


class MsgspecError(Exception):
    """The family."""


class EncodeError(MsgspecError):
    """A value cannot be written."""


class DecodeError(MsgspecError, ValueError):
    """What was given is not JSON."""


class ValidationError(DecodeError):
    """What was given is JSON, and not of the type that was asked for."""


class Wrong(Exception):
    """A value that does not fit; its place is filled in from the inside out.

    Attributes:
        path: The steps that lead to it, the innermost first.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.path: list[str] = []

    def reported(self) -> ValidationError:
        """The error as callers know it."""
        place = f" - at `${''.join(reversed(self.path))}`" if self.path else ""
        return ValidationError(f"{self}{place}")
