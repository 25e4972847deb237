"""Stands in for `msgspec` in the verifier's one file: the part of it that verification uses, in Python.

It is packed there under the name `msgspec`, because the real one is compiled for one machine. What it
accepts and refuses is the same, and tests hold the two against each other; it is only slower.
"""

from . import json_text as json
from . import structs
from .convert import convert
from .errors import DecodeError, EncodeError, MsgspecError, ValidationError
from .marks import Meta, Raw
from .plain import to_builtins
from .struct_type import Struct

__all__ = [
    "DecodeError",
    "EncodeError",
    "Meta",
    "MsgspecError",
    "Raw",
    "Struct",
    "ValidationError",
    "convert",
    "json",
    "structs",
    "to_builtins",
]
