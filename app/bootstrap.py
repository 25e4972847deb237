"""The composition root: the only place that builds adapters, reads the clock or draws randomness."""

import os
import secrets
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from psycopg_pool import ConnectionPool

from adapters.commit_signal import CommitSignal
from adapters.embedded_postgres import EmbeddedPostgres
from adapters.issuer_keys import IssuerKeys
from adapters.key_file import key_file
from adapters.migrate import migrate, pending
from adapters.outside_contents import ObjectStore, OutsideContents
from adapters.postgres_blobs import PostgresBlobs
from adapters.postgres_checkpoints import PostgresCheckpoints
from adapters.postgres_connect import open_pool
from adapters.postgres_drafts import PostgresDrafts
from adapters.postgres_erasures import PostgresErasures
from adapters.postgres_events import PostgresEvents
from adapters.postgres_exports import PostgresExports
from adapters.postgres_keys import register_key
from adapters.postgres_ledger_row import fix_host
from adapters.postgres_log import PostgresLog
from adapters.postgres_seals import PostgresSeals, open_seal_log
from adapters.postgres_sessions import PostgresSessions
from adapters.postgres_tokens import PostgresTokens
from adapters.postgres_trusted_issuers import PostgresTrustedIssuers
from adapters.postgres_uploads import PostgresUploads
from adapters.postgres_views import PostgresViews
from adapters.postgres_witnesses import PostgresWitnesses
from adapters.qstash_signature import UsedSignatures
from adapters.schema_state import SchemaState
from adapters.service_login import service_login
from adapters.witness_client import WitnessClient
from app.checkpoint_follower import CheckpointFollower
from app.checkpoints import Checkpoints
from app.erasures import Erasures
from app.exports import Exports
from app.guests import guest_token
from app.identity_exchange import IdentityExchange
from app.keys.public_keys import write_public_files
from app.keys.signing_key import Signers, open_seal_signer, open_signer
from app.ledger import Ledger
from app.seals import Seals
from app.search.embedder_choice import choose_embedder
from app.search.following import follow_with_search
from app.search.index_jobs import IndexJobs
from app.search.job_setting import job_signature
from app.search.opening import Chances, open_search
from app.search.vector_setting import open_vector_index
from app.settings import Settings
from app.witness_follower import WitnessFollower
from app.witness_setting import read_policy
from app.witnesses import Witnesses, WitnessRounds
from domain.attestation_trust import IdentityVerifier
from domain.dsse import DsseSigner
from domain.errors import Conflict, Unavailable
from domain.signed_note import Signer

POOL_CONNECTIONS = 10


def now() -> datetime:
    """The one clock."""
    return datetime.now(UTC)


def random_bytes(count: int) -> bytes:
    """Randomness for tokens."""
    return secrets.token_bytes(count)


def chance() -> float:
    """A random number from 0 to 1, for waits."""
    return secrets.randbelow(1_000_001) / 1_000_000


def new_id() -> str:
    """A random UUID, version 7: sorted by time of making, so that its index stays compact."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    return str(uuid.UUID(int=value))


@contextmanager
def admin_url(settings: Settings) -> Iterator[str]:
    """A connection URL that may migrate, starting the embedded Postgres if need be."""
    given = settings.deedbook_admin_database_url or settings.database_url
    if given is not None:
        yield given
        return
    with EmbeddedPostgres.open(settings.data_folder) as server:
        yield server.admin_url


@contextmanager
def database(settings: Settings) -> Iterator[str]:
    """A migrated database for one command, which joins a server that runs; yields the service's URL."""
    with admin_url(settings) as owner:
        migrate(owner)
        yield settings.database_url or service_login(owner)


@contextmanager
def own_database(settings: Settings) -> Iterator[str]:
    """A migrated database for as long as a service needs it; yields the URL with which it connects.

    An embedded one is this process's own, and is started again whenever it ends by itself.

    Raises:
        Conflict: `already-running`, `migration-changed`.
        Forbidden: `database-rights-missing`.
        Unavailable: `database-unavailable`, `postgres-absent`, `postgres-failed`.
    """
    if settings.database_url is not None:
        migrate(settings.deedbook_admin_database_url or settings.database_url)
        yield settings.database_url
        return
    with EmbeddedPostgres.open(settings.data_folder, share=False, keep=True) as server:
        migrate(server.admin_url)
        yield service_login(server.admin_url)


@contextmanager
def ready_database(settings: Settings) -> Iterator[str]:
    """The URL with which the service connects to a database that somebody else migrates.

    Raises:
        Conflict: `migrations-pending`, `already-running`.
    """
    with ExitStack() as closing:
        url = settings.database_url
        if url is None:
            folder = settings.data_folder
            server = closing.enter_context(EmbeddedPostgres.open(folder, share=False, keep=True))
            url = server.admin_url
        names = pending(url)
        if names:
            raise Conflict(
                "migrations-pending",
                f"The database lacks {', '.join(names)}: run `deedbook migrate` first.",
            )
        yield url if settings.database_url is not None else service_login(url)


@contextmanager
def open_contents(
    settings: Settings, store: Callable[[str], AbstractContextManager[ObjectStore]] | None = None
) -> Iterator[OutsideContents]:
    """The contents outside the database; without a store when the settings name none.

    Args:
        settings: With or without the store's token.
        store: Opens the store of a token; by default Vercel Blob.
    """
    token = settings.blob_read_write_token
    if token is None:
        yield OutsideContents()
        return
    if store is None:
        from adapters.vercel_blob import VercelBlob  # noqa: PLC0415 - slow, and seldom needed

        store = VercelBlob
    with store(token) as opened:
        yield OutsideContents(
            opened,
            above_bytes=settings.deedbook_blob_store_above_bytes,
            random_bytes=random_bytes,
        )


def open_identities(settings: Settings) -> IdentityVerifier | None:
    """What checks the certificates of attestations; None when the settings name no trusted root.

    Raises:
        Unavailable: `trusted-root-unusable`, `sigstore-absent`.
    """
    if settings.deedbook_sigstore_trusted_root is None:
        return None
    try:
        from adapters.sigstore_identity import open_trusted_root  # noqa: PLC0415 - slow, seldom needed
    except ImportError:
        raise Unavailable(
            "sigstore-absent",
            "DEEDBOOK_SIGSTORE_TRUSTED_ROOT needs the package `sigstore`, which is not installed here: "
            "pip install 'sigstore>=4.5.1,<4.6', or unset it to check keys alone.",
        ) from None
    return open_trusted_root(Path(settings.deedbook_sigstore_trusted_root).expanduser())


@contextmanager
def open_ledger(
    settings: Settings,
    url: str,
    *,
    clock: Callable[[], datetime] = now,
    ids: Callable[[], str] = new_id,
    store: Callable[[str], AbstractContextManager[ObjectStore]] | None = None,
    signer: Signer | None = None,
    seal_signer: DsseSigner | None = None,
    serving: bool = False,
    make_key: bool = False,
) -> Iterator[Ledger]:
    """A ledger over a migrated database, with its writer and signal running.

    Args:
        settings: As an operator has set them.
        url: Of the database, for the service.
        clock: Gives the time.
        ids: Gives random UUIDs.
        store: Opens the store of a token; by default Vercel Blob.
        signer: Signs checkpoints; by default nobody does.
        seal_signer: Signs seals; likewise.
        serving: This is a service: the keys of the settings sign, checkpoints also when nobody asks.
        make_key: Make these keys if the ledger has none; done in any case where the settings name its
            place, since a folder that nobody named may be gone tomorrow.

    Raises:
        Conflict: `signing-key-mismatch`.
        Forbidden: `signing-key-exposed`.
        Unavailable: `signing-key-unusable`, `trusted-root-unusable`, `database-unavailable`.
        Malformed: `invalid-parameter`, `witness-policy-malformed`.
    """
    with ExitStack() as closing:
        pool = closing.enter_context(
            open_pool(url, max_size=POOL_CONNECTIONS, pooled=settings.deedbook_pooled)
        )
        fix_host(pool, settings.deedbook_host)
        open_seal_log(pool)
        signers = _signers(settings, pool, make_key) if serving else Signers(signer, seal_signer)
        if signers.log is not None:
            register_key(pool, signers.log.public_key)
        if signers.seal is not None:
            register_key(pool, signers.seal.spki, "seal")
        outside = closing.enter_context(open_contents(settings, store))
        signal = closing.enter_context(CommitSignal(url, pooled=settings.deedbook_pooled))
        log = closing.enter_context(
            PostgresLog(url, pool, signal=signal, now=clock, pooled=settings.deedbook_pooled)
        )
        if serving and signers.log is not None and signers.seal is not None:
            keys = key_file(settings.seal_key).parent
            write_public_files(keys, PostgresSeals(pool).trust())
        checkpoints = Checkpoints(PostgresCheckpoints(pool), signers.log)
        exports = Exports(log, PostgresExports(pool, outside))
        cosigned = PostgresWitnesses(pool)
        reads = serving or signers.log is not None
        policy = read_policy(settings.deedbook_witness_policy) if reads else None
        if serving and signers.log is not None:
            closing.enter_context(CheckpointFollower(checkpoints, signal, time.monotonic))
            if policy is not None:
                client = closing.enter_context(WitnessClient())
                rounds = WitnessRounds(cosigned, checkpoints, policy, client, clock)
                closing.enter_context(WitnessFollower(rounds, signal, clock, time.monotonic))
        identities = open_identities(settings)
        views, blobs = PostgresViews(pool), PostgresBlobs(pool, outside)
        embedder = choose_embedder(settings)
        hosted = open_vector_index(settings, embedder, chance=chance, serving=serving)
        search = open_search(
            pool,
            (log, views, blobs),
            embedder=embedder,
            hosted=closing.enter_context(hosted),
            falls_back=settings.deedbook_search_fallback,
            chances=Chances(chance, clock, time.monotonic),
        )
        if serving:
            closing.enter_context(follow_with_search(settings, search, signal))
        yield Ledger(
            log=log,
            views=views,
            events=PostgresEvents(pool),
            uploads=PostgresUploads(pool, outside),
            blobs=blobs,
            search=search.searches,
            index_jobs=IndexJobs(
                job_signature(settings), UsedSignatures(pool), search.indexings, search.embedding
            ),
            drafts=PostgresDrafts(pool),
            exports=exports,
            checkpoints=checkpoints,
            seals=Seals(PostgresSeals(pool), exports, checkpoints, signers.log, signers.seal),
            witnesses=Witnesses(cosigned, policy),
            erasures=Erasures(log, PostgresErasures(pool, outside), ids, time.monotonic),
            tokens=PostgresTokens(pool, random_bytes=random_bytes, now=clock),
            sessions=PostgresSessions(pool, random_bytes=random_bytes, now=clock),
            guest=guest_token(settings.deedbook_guest_projects),
            jobs=IdentityExchange(
                PostgresTrustedIssuers(pool, random_bytes=random_bytes, now=clock),
                IssuerKeys(),
                clock,
            ),
            schema=SchemaState(pool),
            signal=signal,
            identities=identities,
            new_id=ids,
            monotonic=time.monotonic,
        )


def _signers(settings: Settings, pool: ConnectionPool, make: bool) -> Signers:
    """The keys that the settings name; made also where they name a place themselves."""
    return Signers(
        open_signer(settings.log_key, pool, make=make or settings.deedbook_log_key is not None),
        open_seal_signer(
            settings.seal_key, pool, make=make or settings.deedbook_seal_key is not None
        ),
    )
