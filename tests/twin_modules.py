"""Modules of this project a second time, made with the verifier's stand-in where they import msgspec."""

import importlib
import sys
from types import ModuleType

import app.offline.verifier.msgspec as stand_in

OURS = ("domain", "projections", "adapters", "app")


def twin_modules(*names: str) -> dict[str, ModuleType]:
    """Each module, and everything of ours that it imports, as it is in the verifier's one file."""
    before = dict(sys.modules)
    for name in before:
        if name.partition(".")[0] in OURS:
            del sys.modules[name]
    sys.modules["msgspec"] = stand_in
    try:
        for name in names:
            importlib.import_module(name)
        return {
            name: module
            for name, module in sys.modules.items()
            if name.partition(".")[0] in OURS and module is not before.get(name)
        }
    finally:
        sys.modules.clear()
        sys.modules.update(before)
