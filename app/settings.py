"""The settings: the one place that reads the environment.

Each has a default that works on a laptop. A secret can also be given as a file, by the same name
with `_FILE` behind it.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from domain.errors import Malformed
from domain.log import STAGED_ABOVE_BYTES

MAX_SECRET_FILE_BYTES = 8_192
LOOPBACK = ("127.0.0.1", "localhost", "::1")
CHECKOUT = Path(__file__).parent.parent
"""The folder of this program; a checkout has `run.py` in it, an installed package has not."""
_PORT = "(?:[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"


class VectorIndex(msgspec.Struct, frozen=True):
    """A hosted vector index: its address, and the token that may write."""

    url: str
    token: str

    def __repr__(self) -> str:
        """Without the token."""
        return f"VectorIndex({self.url!r})"


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="upper"):
    """What an operator can set; the variable is the field's name in capitals.

    Attributes:
        database_url: Postgres for the service; unset: an embedded one in the data folder.
        deedbook_admin_database_url: Postgres for migrations, `rebuild` and `doctor`; unset: the
            service's.
        deedbook_pooled: The service's URL leads through a transaction pooler such as PgBouncer.
        deedbook_data: The data folder.
        deedbook_host: The ledger's host name, part of every log's origin; fixed at the first start.
        deedbook_log_key: Where the key lies with which checkpoints are signed, as `file:PATH`; unset:
            `keys/log.key` in the data folder.
        deedbook_seal_key: The same of the key with which exports are sealed; unset: `keys/seal.key`.
        deedbook_witness_policy: A file that names the witnesses of checkpoints (C2SP tlog-policy); unset:
            nobody is asked.
        deedbook_sigstore_trusted_root: A file, Sigstore's `trusted_root.json`, by which certificates of
            attestations are checked; unset: no certificate is.
        deedbook_listen: Address to serve on.
        deedbook_port: Port to serve on; 0: any free one.
        deedbook_guest_projects: Projects that may be read, in the browser and over HTTP, without signing in;
            commas between them; unset: none.
        deedbook_access_log: Write a line for every request, on standard error.
        deedbook_repository: The git repository that `up` imports at the first start; unset: the one
            in which this program stands.
        blob_read_write_token: The token of a private Vercel Blob store, for large contents and
            originals; unset: everything stays in Postgres.
        deedbook_blob_store_above_bytes: Contents with more bytes are put there.
        upstash_vector_rest_url: A HYBRID index of Upstash Vector, in which search looks first; unset: search
            is in Postgres alone.
        upstash_vector_rest_token: The token that may write there.
        deedbook_search_allow_non_hybrid: Take an index that is dense or sparse only, and call it degraded.
        deedbook_embedder: The model for searching by meaning: `auto`, if it is installed; `minilm`, or the
            ledger does not start; `none`.
        deedbook_embedder_vocab: Its vocabulary, a `vocab.txt` or `tokenizer.json`; unset: the package's.
        deedbook_search_fallback: While the hosted index is away, the one in Postgres answers, and the answer
            says so; else there is none.
        qstash_token: With it, jobs of QStash keep the search index up to date, and no thread of the service.
        qstash_url: Where QStash is; unset: its usual place.
        qstash_current_signing_key: By which jobs are known to come from QStash.
        qstash_next_signing_key: And the one that comes after it.
        deedbook_public_url: Where QStash finds this ledger, without a path.
        deedbook_url: Where the command line finds a ledger.
        deedbook_token: With which token.
        deedbook_project: And which project it means when none is named.
        deedbook_run: And which run; unset: the one that it started last.
    """

    database_url: str | None = None
    deedbook_admin_database_url: str | None = None
    deedbook_pooled: bool = False
    deedbook_data: str = ".deedbook"
    deedbook_host: Annotated[
        str, msgspec.Meta(pattern=r"^[a-z0-9]([a-z0-9.-]{0,200}[a-z0-9])?\Z")
    ] = "ledger.localhost"
    deedbook_log_key: str | None = None
    deedbook_seal_key: str | None = None
    deedbook_witness_policy: str | None = None
    deedbook_sigstore_trusted_root: str | None = None
    deedbook_listen: str = "127.0.0.1"
    deedbook_port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 8000
    deedbook_guest_projects: str | None = None
    deedbook_access_log: bool = False
    deedbook_repository: str | None = None
    blob_read_write_token: str | None = None
    deedbook_blob_store_above_bytes: Annotated[int, msgspec.Meta(ge=STAGED_ABOVE_BYTES)] = (
        4 * 1024 * 1024
    )
    upstash_vector_rest_url: (
        Annotated[
            str,
            msgspec.Meta(
                pattern=r"^https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)"
                rf"(:{_PORT})?(/[A-Za-z0-9._~/-]*)?\Z"
            ),
        ]
        | None
    ) = None
    upstash_vector_rest_token: Annotated[str, msgspec.Meta(pattern=r"^[!-~]+\Z")] | None = None
    deedbook_search_allow_non_hybrid: bool = False
    deedbook_embedder: Literal["auto", "minilm", "none"] = "auto"
    deedbook_embedder_vocab: str | None = None
    deedbook_search_fallback: bool = True
    qstash_token: str | None = None
    qstash_url: str | None = None
    qstash_current_signing_key: str | None = None
    qstash_next_signing_key: str | None = None
    deedbook_public_url: str | None = None
    deedbook_url: str | None = None
    deedbook_token: str | None = None
    deedbook_project: str | None = None
    deedbook_run: str | None = None

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"Settings(data={self.deedbook_data!r}, port={self.deedbook_port})"

    @property
    def data_folder(self) -> Path:
        """The data folder as an absolute path."""
        return Path(self.deedbook_data).expanduser().absolute()

    @property
    def log_key(self) -> str:
        """Where the key that signs checkpoints lies, as a URI."""
        return self.deedbook_log_key or f"file:{self.data_folder / 'keys' / 'log.key'}"

    @property
    def seal_key(self) -> str:
        """Where the key that seals exports lies, as a URI."""
        return self.deedbook_seal_key or f"file:{self.data_folder / 'keys' / 'seal.key'}"

    @property
    def repository(self) -> Path:
        """The git repository that the first start imports."""
        if self.deedbook_repository is not None:
            return Path(self.deedbook_repository).expanduser().absolute()
        return CHECKOUT if (CHECKOUT / "run.py").exists() else Path.cwd()

    @property
    def vector_index(self) -> VectorIndex | None:
        """The hosted index; None: there is none. Ask at the start.

        Raises:
            Malformed: `invalid-parameter`: its address without its token, or the other way round; one that
                would show the token on the way.
        """
        url, token = self.upstash_vector_rest_url, self.upstash_vector_rest_token
        if url is None and token is None:
            return None
        if url is None or token is None:
            given, missing = ("URL", "TOKEN") if token is None else ("TOKEN", "URL")
            raise Malformed(
                "invalid-parameter",
                f"UPSTASH_VECTOR_REST_{given} is set and UPSTASH_VECTOR_REST_{missing} is not: set both, or "
                "neither.",
            )
        parts = urlsplit(url)
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise Malformed(
                "invalid-parameter",
                "UPSTASH_VECTOR_REST_URL leads over plain HTTP to another machine, where everybody on the way reads "
                "the token: use https://.",
            )
        return VectorIndex(url, token)

    @property
    def embedded(self) -> bool:
        """Whether the ledger brings its own Postgres."""
        return self.database_url is None


SECRETS = (
    "DATABASE_URL",
    "DEEDBOOK_ADMIN_DATABASE_URL",
    "DEEDBOOK_TOKEN",
    "BLOB_READ_WRITE_TOKEN",
    "UPSTASH_VECTOR_REST_TOKEN",
    "QSTASH_TOKEN",
    "QSTASH_CURRENT_SIGNING_KEY",
    "QSTASH_NEXT_SIGNING_KEY",
)


def read_settings(environment: dict[str, str] | None = None) -> Settings:
    """The settings from the environment; an empty variable is an unset one.

    Raises:
        Malformed: `invalid-parameter`, naming the variable, and never saying what a secret is.
    """
    variables = dict(os.environ if environment is None else environment)
    given = {
        name: variables[name] for name in Settings.__struct_encode_fields__ if variables.get(name)
    }
    for name in SECRETS:
        file_name = variables.get(f"{name}_FILE")
        if file_name and name in given:
            raise Malformed("invalid-parameter", f"Set {name} or {name}_FILE, not both.")
        if file_name:
            given[name] = _secret(name, Path(file_name))
    try:
        return msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$.")
        name = place.removesuffix("`")
        raise Malformed("invalid-parameter", f"The setting {name} is wrong: {what}.") from None


def environment() -> Mapping[str, str]:
    """The variables of this process, for what other programs say by them, such as a CI service."""
    return dict(os.environ)


def _secret(name: str, file: Path) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_SECRET_FILE_BYTES + 1)
        text = content.decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Malformed("invalid-parameter", f"{name}_FILE cannot be read: {error}.") from None
    if not text or len(content) > MAX_SECRET_FILE_BYTES:
        raise Malformed(
            "invalid-parameter",
            f"{name}_FILE names {file}, which should hold 1 to {MAX_SECRET_FILE_BYTES} bytes.",
        )
    return text
