"""An archive is one encoding of its files, and everything else is refused, named, and left alone."""

import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.zip_reader import open_archive
from app.offline.verify import verify_file
from domain.errors import Damaged, Malformed, TooLarge
from projections.bundle_paths import check_path
from projections.verify_report import Report
from projections.zip_layout import central_record, end_records, local_header
from tests.export_samples import files_of, published_zip, sample_log, zip_of
from tests.zip_crafts import Crafts, Part, build

CRAFTS = Crafts()
CASES = list(CRAFTS.all())


def ignore(_done: int, _total: int | None) -> None:
    """No bar."""


def verified(file: Path) -> Report:
    return verify_file(file, progress=ignore)


def shape_of(report: Report) -> tuple[bool | None, str]:
    first = report.checks[0]
    assert first.id == "shape"
    return first.ok, first.detail


def test_the_crafting_kit_makes_the_good_export(tmp_path: Path) -> None:
    log = sample_log()
    assert CRAFTS.good == zip_of(files_of(log.lines, log.blobs))
    file = tmp_path / "good.zip"
    file.write_bytes(CRAFTS.good)
    assert verified(file).sound
    assert len({name for name, _, _ in CASES}) == len(CASES) > 59


@pytest.mark.parametrize(("raw", "step"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_a_crafted_archive_is_refused_with_its_step_and_place(
    raw: bytes, step: int, tmp_path: Path
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "crafted.zip").write_bytes(raw)
    report = verified(folder / "crafted.zip")
    assert report.state == "FAILED"
    ok, detail = shape_of(report)
    assert ok is False
    assert f"(step {step}, " in detail
    assert "offset " in detail
    assert detail.isascii()
    assert detail.isprintable()
    assert [one.ok for one in report.checks[1:]] == [None] * (len(report.checks) - 1)
    assert sorted(tmp_path.rglob("*")) == [folder, folder / "crafted.zip"]
    assert (folder / "crafted.zip").read_bytes() == raw


def test_empty_archives_and_wrong_bodies_have_a_good_container_and_fail_later(
    tmp_path: Path,
) -> None:
    file = tmp_path / "crafted.zip"
    file.write_bytes(build([]))
    report = verified(file)
    assert report.state == "FAILED"
    assert shape_of(report)[0] is True
    file.write_bytes(build([Part(b"alpha-1/bagit.txt", b"")]))
    assert verified(file).state == "FAILED"
    wrong = {"crc32": 1}
    file.write_bytes(CRAFTS.changed(local=wrong, central=wrong))
    ok, detail = shape_of(verified(file))
    assert ok is False
    assert "does not have the CRC-32 of its header" in detail
    assert CRAFTS.parts[3].name.decode() in detail


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "good.zip").write_bytes(CRAFTS.good)
    (tmp_path / "link.zip").symlink_to(tmp_path / "good.zip")
    os.mkfifo(tmp_path / "pipe.zip")
    for name in ("link.zip", "pipe.zip", "missing.zip", "."):
        with pytest.raises(Malformed) as caught:
            verified(tmp_path / name)
        assert caught.value.code == "archive-unreadable"


def test_a_file_above_the_limit_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "good.zip"
    file.write_bytes(CRAFTS.good)
    with (
        pytest.raises(TooLarge, match="the limit is 100"),
        open_archive(file, check_path, max_bytes=100),
    ):
        pass


def test_a_sparse_file_above_the_largest_export_is_a_finding(tmp_path: Path) -> None:
    file = tmp_path / "large.zip"
    with file.open("wb") as opened:
        opened.truncate(64 * 2**30 + 1)
    report = verified(file)
    assert report.state == "FAILED"
    assert report.zip_sha256 is None
    assert "archive-too-large" in shape_of(report)[1]


def test_a_file_that_is_cut_while_it_is_read_is_a_finding(tmp_path: Path) -> None:
    file = tmp_path / "good.zip"
    file.write_bytes(CRAFTS.good)

    def cut(_done: int, _total: int | None) -> None:
        os.truncate(file, 1_000)

    report = verify_file(file, progress=cut)
    assert report.state == "FAILED"
    assert "archive-truncated" in shape_of(report)[1]


def test_a_file_that_is_cut_while_its_container_is_read_is_a_finding(tmp_path: Path) -> None:
    file = tmp_path / "good.zip"
    file.write_bytes(CRAFTS.good)

    def cut(path: str) -> None:
        os.truncate(file, 10)
        check_path(path)

    with pytest.raises(Damaged) as caught, open_archive(file, cut):
        pass
    assert caught.value.code == "archive-truncated"


def test_a_file_that_is_replaced_while_it_is_read_stays_the_one_that_was_opened(
    tmp_path: Path,
) -> None:
    file, other = tmp_path / "good.zip", tmp_path / "other.zip"
    file.write_bytes(CRAFTS.good)
    other.write_bytes(b"another file")

    def swap(_done: int, _total: int | None) -> None:
        if other.exists():
            other.replace(file)

    report = verify_file(file, progress=swap)
    assert report.sound
    assert file.read_bytes() == b"another file"


def test_a_file_that_changes_while_it_is_read_is_a_finding(tmp_path: Path) -> None:
    file = tmp_path / "good.zip"
    file.write_bytes(CRAFTS.good)
    at = CRAFTS.good.index(b'{"actor"')

    def change(_done: int, _total: int | None) -> None:
        with file.open("r+b") as opened:
            opened.seek(at)
            opened.write(b"[")

    report = verify_file(file, progress=change)
    assert report.state == "FAILED"


@pytest.mark.parametrize("count", [65_534, 65_535, 65_536])
def test_archives_around_the_zip64_border_are_laid_out_and_read_back(
    count: int, tmp_path: Path
) -> None:
    file = tmp_path / "many.zip"
    paths = [f"alpha-1/data/artifacts/NOTE/n{number:05}.v1.txt" for number in range(count)]
    raw = zip_of(dict.fromkeys(paths, b""))
    file.write_bytes(raw)
    assert (b"PK\6\6" in raw[-98:]) == (count >= 65_535)
    with open_archive(file, check_path) as archive:
        assert [one.path for one in archive.entries] == paths
    with zipfile.ZipFile(file) as opened:
        assert opened.namelist() == paths


def _large(file: Path) -> list[tuple[str, int]]:
    """A sparse archive with an entry of 4.5 GiB and small ones behind it, beyond 4 GiB."""
    folder = "alpha-1/data/artifacts/NOTE"
    sizes = [(f"{folder}/a.v1.bin", 4_831_838_208)]
    sizes += [(f"{folder}/b{number}.v1.bin", number) for number in range(3)]
    offset, directory = 0, b""
    with file.open("wb") as opened:
        for path, size in sizes:
            opened.seek(offset)
            header = local_header(path, size, 0)
            opened.write(header)
            directory += central_record(path, size, 0, offset)
            offset += len(header) + size
        opened.seek(offset)
        opened.write(directory + end_records(len(sizes), len(directory), offset))
    return sizes


def test_sizes_and_offsets_beyond_four_gibibytes_are_read_and_each_bit_of_them_counts(
    tmp_path: Path,
) -> None:
    file = tmp_path / "large.zip"
    sizes = _large(file)
    with open_archive(file, check_path) as archive:
        assert [(one.path, one.size_bytes) for one in archive.entries] == sizes
        assert b"".join(archive.chunks(archive.entries[2])) == b"\0"
    with zipfile.ZipFile(file) as opened:
        assert [(one.filename, one.file_size) for one in opened.infolist()] == sizes
    size = file.stat().st_size
    tail = size - (98 + sum(46 + len(path) for path, _ in sizes) + 20 + 3 * 12)
    for at in (*range(64), *range(tail, size)):
        with _flipped(file, at, at % 8), pytest.raises(Damaged), open_archive(file, check_path):
            pass


class _flipped:  # noqa: N801 -- reads like the sentence that it is in
    """A file with one bit flipped, for a while."""

    def __init__(self, file: Path, at: int, bit: int) -> None:
        self._descriptor = os.open(file, os.O_RDWR)
        self._at, self._bit = at, bit

    def _flip(self) -> None:
        (byte,) = os.pread(self._descriptor, 1, self._at)
        os.pwrite(self._descriptor, bytes([byte ^ 1 << self._bit]), self._at)

    def __enter__(self) -> None:
        self._flip()

    def __exit__(self, *_: object) -> None:
        self._flip()
        os.close(self._descriptor)


def _sound(file: Path) -> Iterator[str]:
    """The paths of an archive whose container and bodies are as their headers say."""
    with open_archive(file, check_path) as archive:
        for entry in archive.entries:
            crc32 = 0
            for chunk in archive.chunks(entry):
                crc32 = zlib.crc32(chunk, crc32)
            if crc32 != entry.crc32:
                raise Damaged("archive-body", entry.path)
            yield entry.path


def test_every_single_bit_flip_of_the_published_zip_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "golden.zip"
    raw = published_zip()
    file.write_bytes(raw)
    assert len(list(_sound(file))) == 8
    assert shape_of(verified(file))[0] is True
    refused = 0
    for at in range(len(raw)):
        for bit in range(8):
            with _flipped(file, at, bit):
                try:
                    list(_sound(file))
                except Damaged:
                    refused += 1
    assert refused == 24_352
    assert file.read_bytes() == raw


def test_a_system_that_gives_few_bytes_at_a_time_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "good.zip"
    file.write_bytes(CRAFTS.good)
    read = os.pread

    def meagre(descriptor: int, count: int, at: int) -> bytes:
        return read(descriptor, min(count, 10), at)

    monkeypatch.setattr(os, "pread", meagre)
    assert verified(file).sound
    gone = iter((1, 0))

    def ending(descriptor: int, count: int, at: int) -> bytes:
        return read(descriptor, min(count, next(gone)), at)

    monkeypatch.setattr(os, "pread", ending)
    with pytest.raises(Damaged) as caught, open_archive(file, check_path):
        pass
    assert caught.value.code == "archive-truncated"


def test_a_refused_file_that_cannot_be_read_again_has_no_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "bad.zip"
    file.write_bytes(CRAFTS.good + b"x")
    monkeypatch.setattr("app.offline.verify.MAX_ZIP_BYTES", 100)
    assert verified(file).zip_sha256 is None

    def vanish(*_: object, **__: object) -> None:
        file.unlink()
        raise Damaged("archive-end", "gone")

    monkeypatch.setattr("app.offline.verify.open_archive", vanish)
    assert verified(file).zip_sha256 is None


@pytest.mark.parametrize("limit", ["MAX_ENTRIES", "MAX_DIRECTORY_BYTES"])
def test_an_archive_above_a_limit_is_refused_before_its_directory_is_read(
    limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "good.zip"
    file.write_bytes(CRAFTS.good)
    monkeypatch.setattr(f"adapters.zip_reader.{limit}", 18)
    report = verified(file)
    assert "(step 4, " in shape_of(report)[1]
