"""A ledger with something on every page: documents, a run, exports, a draft, and titles that mean harm."""

from tests.draft_samples import Drafted
from tests.examined_samples import fill
from tests.serving import Served

PROJECT = "alpha"
KIND, KEY = "SPEC", "everything"
DRAFT = "00000000-0000-7000-8000-00000000d4af"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
FIRST = """# The whole of it

A paragraph with *emphasis*, **weight**, `code` and a [link](https://example.com/).
"""
SECOND = """# The whole of it

A paragraph with *emphasis*, **weight**, `code` and another [link](https://example.com/).

## A list

- one
- two
  1. inner
  2. more

## Code

```python
def answer() -> int:
    return 42  # a comment
```

| what | how many |
|:-----|---------:|
| events | 1,204 |
| a long cell without a place to break: averyveryveryverylongwordthatgoesonandon | 1 |

> Said by somebody.

- [x] done
- [ ] not yet

<script>alert(3)</script>
"""


def filled(served: Served) -> Drafted:
    """Fill it; answers the draft that stays open."""
    ledger = served.ledger
    fill(ledger, served.database_url)
    for text in (FIRST, SECOND):
        ledger.write_artifact(
            PROJECT, KIND, KEY, text.encode(), title="The whole of it", actor="user:ada"
        )
    ledger.write_artifact(PROJECT, KIND, "hostile", HOSTILE.encode(), title=HOSTILE, actor=HOSTILE)
    while ledger.index_jobs.catch_up():
        pass
    with served.client() as http:
        draft = Drafted(http, PROJECT, f"{KIND}/draft")
        assert draft.open(id=DRAFT, title="A draft").status_code == 201
        assert draft.write(SECOND).status_code == 204
    return draft
