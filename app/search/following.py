"""Who keeps the indexes up to date beside a service: threads of its own, or jobs that a queue brings."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from adapters.commit_signal import CommitSignal
from app.search.embedding_follower import EmbeddingFollower
from app.search.job_follower import JobFollower
from app.search.job_setting import open_queue
from app.search.opening import OpenedSearch
from app.search.search_follower import SearchFollower
from app.settings import Settings


@contextmanager
def follow_with_search(
    settings: Settings, search: OpenedSearch, signal: CommitSignal
) -> Iterator[None]:
    """Have the indexes follow the log: each in a thread of its own, so that none waits for another.

    With a queue in the settings there is one thread alone, which sends jobs: the processes that get them need
    not live longer than a request.
    """
    with ExitStack() as closing:
        if search.look_after is not None:
            closing.enter_context(search.look_after(signal))
        queue = closing.enter_context(open_queue(settings))
        if queue is not None:
            states = tuple(one.state for one in search.indexings)
            closing.enter_context(JobFollower(states, queue, signal))
        else:
            embedding = closing.enter_context(EmbeddingFollower(search.embedding, signal))
            for one in search.indexings:
                closing.enter_context(SearchFollower(one, signal, embedding.wake))
        yield
