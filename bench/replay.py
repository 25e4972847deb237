"""Replay as NDJSON against `COPY … TO STDOUT` of the same lines."""

import http.client
from collections.abc import Iterator
from functools import partial

import psycopg

from bench.ground import Ground, Service, serving
from bench.measure import Figure, race, rate_of, ratio
from bench.samples import documents, fill

PROJECT = "bench-replay"
OURS, HTTP, COPY = "in-process", "over HTTP", "COPY"
READ_BYTES = 1024 * 1024


def measure(ground: Ground, rounds: int) -> Iterator[Figure]:
    """Every line of a log of many short documents."""
    count = 10_000 if ground.quick else 40_000
    # The contents do not matter here, the lines do.
    size = fill(ground, PROJECT, documents(count, 30, 60))
    with serving(ground) as service:
        rates = race(
            {
                OURS: partial(rate_of, size, partial(_lines, ground, size)),
                HTTP: partial(rate_of, size, partial(_ndjson, service, size)),
                COPY: partial(rate_of, size, partial(_copy, ground)),
            },
            rounds,
        )
    for one in (OURS, HTTP):
        yield ratio(
            f"replay {one}, {size:,} lines, against COPY TO STDOUT",
            rates,
            one,
            COPY,
            "lines/s",
            target=">= 0.4",
        )


def _lines(ground: Ground, size: int) -> None:
    count = sum(piece.count(b"\n") for piece in ground.ledger.log.lines(PROJECT, 0, size))
    assert count == size


def _ndjson(service: Service, size: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    connection.request(
        "GET",
        f"/v1/projects/{PROJECT}/events",
        headers={
            "Authorization": f"Bearer {service.token}",
            "Accept": "application/x-ndjson",
        },
    )
    answer = connection.getresponse()
    count = 0
    while piece := answer.read(READ_BYTES):
        count += piece.count(b"\n")
    connection.close()
    assert count == size + 1  # the last line says that it is the last


def _copy(ground: Ground) -> None:
    """The floor: the same lines in order, raw buffers, thrown away."""
    with (
        psycopg.connect(ground.owner_url) as connection,
        connection.cursor().copy(
            "COPY (SELECT line FROM event WHERE project_id = %s ORDER BY position) "
            "TO STDOUT (FORMAT BINARY)",
            (PROJECT,),
        ) as copying,
    ):
        for _ in copying:
            pass
