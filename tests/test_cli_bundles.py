"""`export` and `import bundle` against a server: what is asked, what is kept, and what is refused."""

import base64
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from app.cli import failure
from app.cli.root import run
from domain.merkle import leaf_hash, tree_root
from tests.export_samples import files_of, sample_log, zip_of

LOG = sample_log()
PIN = f"{tree_root([leaf_hash(line) for line in LOG.lines]).hex()}@16"
GOOD = zip_of(files_of(LOG.lines, LOG.blobs))
SHA256 = hashlib.sha256(GOOD).hexdigest()


class Server(ThreadingHTTPServer):
    """Answers as a ledger would that holds one project."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.announces = True
        self.asked: list[str] = []
        self.received = b""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_POST(self) -> None:
        self.server.received = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(f"{self.command} {self.path} {self.headers['Content-Type']}")
        raw = msgspec.json.encode({"project": "alpha", "position": 16})
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _answer(self, *, with_body: bool) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        body, start = GOOD, 0
        wanted = self.headers.get("Range", "")
        if wanted.startswith("bytes=") and with_body:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if start else 200)
        if "/events" in self.path:
            self.send_header("Deedbook-Position", "16")
        self.send_header("ETag", '"layout"')
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if self.server.announces:
            encoded = base64.b64encode(hashlib.sha256(body).digest()).decode()
            self.send_header("Repr-Digest", f"sha-256=:{encoded}:")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        if with_body:
            self.wfile.write(body[start:])


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    with Server() as serving:
        monkeypatch.setenv("DEEDBOOK_URL", serving.url)
        monkeypatch.setenv("DEEDBOOK_DATA", str(tmp_path / "data"))
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.mark.usefixtures("server")
def test_an_export_is_saved_under_its_own_name_and_verifies(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["--json", "export", "alpha"]) == failure.OK
    written = capsys.readouterr()
    assert msgspec.json.decode(written.out) == {
        "path": "alpha-16.zip",
        "size_bytes": len(GOOD),
        "sha256": SHA256,
    }
    assert "deedbook verify alpha-16.zip" in written.err
    assert Path("alpha-16.zip").read_bytes() == GOOD
    assert [one.name for one in Path().iterdir()] == ["alpha-16.zip"]
    assert run(["verify", "-q", "alpha-16.zip"]) == failure.NOT_VERIFIED
    assert run(["verify", "-q", "alpha-16.zip", "--pin", PIN]) == failure.OK


def test_a_runs_export_is_named_after_the_run(server: Server) -> None:
    assert run(["-q", "export", "alpha", "--run", "r1", "--at", "12"]) == failure.OK
    assert Path("alpha-r1-12.zip").exists()
    assert "GET /v1/projects/alpha/exports/12.zip?run=r1" in server.asked


def test_a_download_goes_on_where_it_stopped(
    capsys: pytest.CaptureFixture[str], server: Server
) -> None:
    Path("x.zip.part").write_bytes(GOOD[:1_000])
    assert run(["export", "alpha", "-o", "x.zip"]) == failure.OK
    assert "The first 1000 B were there already." in capsys.readouterr().err
    assert Path("x.zip").read_bytes() == GOOD
    assert not Path("x.zip.part").exists()


@pytest.mark.parametrize("announces", [True, False])
def test_the_same_file_that_is_there_stays_and_another_is_not_overwritten(
    server: Server, announces: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    server.announces = announces
    Path("x.zip").write_bytes(GOOD)
    assert run(["export", "alpha", "-o", "x.zip"]) == failure.OK
    assert "x.zip is there already, byte for byte." in capsys.readouterr().err
    Path("x.zip").write_bytes(b"mine")
    assert run(["export", "alpha", "-o", "x.zip"]) == failure.CONFLICT
    assert "give --force" in capsys.readouterr().err
    assert Path("x.zip").read_bytes() == b"mine"
    assert not Path("x.zip.part").exists()
    assert run(["export", "alpha", "-o", "x.zip", "--force"]) == failure.OK
    assert Path("x.zip").read_bytes() == GOOD


def test_a_bundle_is_sent_as_it_is(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    Path("alpha.zip").write_bytes(GOOD)
    assert run(["--json", "import", "bundle", "alpha.zip"]) == failure.OK
    assert msgspec.json.decode(capsys.readouterr().out) == {"project": "alpha", "position": 16}
    assert server.received == GOOD
    assert server.asked == ["POST /v1/imports/bundle application/zip"]
