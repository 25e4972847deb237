"""Asks securesystemslib and in-toto-attestation, unmodified, about many cases at once.

Runs in the environment that tests/outside.sh makes for them, with nothing of ours in it. Cases come as a JSON
list on standard input, and a list of true and false goes out. A case is one of

    {"kind": "dsse", "envelope": …, "keyid": …, "public": PEM}   does this key's signature hold?
    {"kind": "statement", "payload": BASE64}                     is it an in-toto Statement v1?

Whatever a library raises is a refusal.
"""

import base64
import json
import sys
from typing import Any


def signed(case: dict[str, Any]) -> bool:
    """Whether the envelope has one good signature by the key."""
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    key = SSlibKey(case["keyid"], "ecdsa", "ecdsa-sha2-nistp256", {"public": case["public"]})
    accepted = Envelope.from_dict(case["envelope"]).verify([key], 1)
    return set(accepted) == {case["keyid"]}


def well_formed(case: dict[str, Any]) -> bool:
    """Whether the payload is a Statement, by the published schema."""
    from google.protobuf.json_format import Parse
    from in_toto_attestation.v1 import statement_pb2
    from in_toto_attestation.v1.statement import Statement

    payload = base64.b64decode(case["payload"])
    read = Parse(payload, statement_pb2.Statement())
    Statement.copy_from_pb(read).validate()
    return True


CHECKS = {"dsse": signed, "statement": well_formed}


def verdict(case: dict[str, Any]) -> bool:
    """One case; a library that raises has refused."""
    try:
        return CHECKS[case["kind"]](case)
    except ImportError:
        raise
    except Exception:  # noqa: BLE001 - of somebody else's library any is a refusal
        return False


if __name__ == "__main__":
    sys.stdout.write(json.dumps([verdict(case) for case in json.load(sys.stdin)]))
