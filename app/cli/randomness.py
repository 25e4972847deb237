"""Event ids made by the command line, before the request, so that repeating it is safe."""

import os
import time
import uuid


def new_id() -> str:
    """A random UUID, version 7 (RFC 9562, section 5.7)."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | int.from_bytes(os.urandom(10))
    value = (value & ~(0xF << 76)) | (7 << 76)
    value = (value & ~(0x3 << 62)) | (2 << 62)
    return str(uuid.UUID(int=value))


def new_word(length: int = 6) -> str:
    """A short random word of letters and digits that are hard to take for each other."""
    letters = "23456789abcdefghjkmnpqrstuvwxyz"
    return "".join(letters[byte % len(letters)] for byte in os.urandom(length))


def today() -> str:
    """The date in UTC as part of a readable id, such as `261125`."""
    return time.strftime("%y%m%d", time.gmtime())
