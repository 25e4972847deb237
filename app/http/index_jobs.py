"""Jobs of the queue, for a ledger whose processes do not stay: they bring the search index up to date."""

import msgspec
from starlette.responses import Response

from app.http.answers import answer
from app.http.call import Call, NoQuery, decode_json
from app.http.endpoint import Accepted, Endpoints
from app.http.gate import OPEN
from app.search.index_jobs import Done, IndexJob

endpoints = Endpoints("jobs")

MAX_JOB_BYTES = 8 * 1024
SIGNATURE = "Upstash-Signature"


class JobDone(msgspec.Struct, frozen=True):
    """What became of a job: `indexed`; `current`, nothing was to be done; or `failed`, and counted as such."""

    outcome: Done


@endpoints.add(
    "POST",
    "/v1/jobs/index-artifact",
    scope=OPEN,
    accepted=Accepted(IndexJob, {"application/json": lambda raw: raw}, MAX_JOB_BYTES),
    answers={200: JobDone},
    problems=("bad-signature", "jobs-not-configured", "index-job-unfinished", "invalid-parameter"),
    headers=(SIGNATURE,),
)
def index_artifact(call: Call[NoQuery, bytes]) -> Response:
    """Index an artifact or a run, as a job that QStash has signed says.

    No bearer token is needed. A job that comes late or twice does nothing; one that could not be done now is
    answered with 503, and QStash comes again.
    """
    jobs = call.ledger.index_jobs
    signed = jobs.check(call.headers.get(SIGNATURE, ""), call.body)
    return answer(JobDone(jobs.work(signed, decode_json(call.body, IndexJob))))
