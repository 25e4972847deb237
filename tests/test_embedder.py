"""The model: the numbers that were measured of it, and what is said where it is missing or not itself."""

import builtins
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path, PurePosixPath

import msgspec
import pytest

from adapters.search import minilm as subject
from adapters.search import vocabulary
from adapters.search.embedder import EmbedderMissing
from adapters.search.minilm import MiniLM, ModelMissing, open_minilm
from adapters.search.vocabulary import read_vocabulary
from app.search.embedder_choice import choose_embedder
from app.settings import Settings
from domain.errors import Unavailable
from projections.search.wordpiece import tokens


@pytest.fixture(scope="module")
def model() -> MiniLM:
    try:
        return open_minilm(None)
    except ModelMissing as error:
        pytest.skip(f"the model is not here: {error}")


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("Hello, world!", [101, 7592, 1010, 2088, 999, 102]),
        ("Crème brûlée", [101, 13675, 21382, 7987, 9307, 2063, 102]),
        ("FR-014 snake_case", [101, 10424, 1011, 5890, 2549, 7488, 1035, 2553, 102]),
        ("東京 tower", [101, 1879, 1755, 3578, 102]),
    ],
)
@pytest.mark.usefixtures("model")
def test_texts_become_the_numbers_of_the_reference(text: str, numbers: list[int]) -> None:
    assert tokens(text, read_vocabulary(None)) == numbers


def test_texts_that_mean_alike_are_near_each_other(model: MiniLM) -> None:
    asked, near, far = model.embed(
        [
            "how do I delete a temporary drive",
            "remove a mapped network disk",
            "chocolate cake recipe",
        ]
    )
    assert cosine(asked, near) == pytest.approx(0.454, abs=0.03)
    assert cosine(asked, far) == pytest.approx(0.065, abs=0.03)
    assert cosine(asked, asked) == pytest.approx(1.0, abs=1e-5)
    assert len(asked) == model.dimension


def test_each_text_gets_its_own_vector_in_whatever_company(model: MiniLM) -> None:
    texts = ["a", "a longer text about ledgers", "", "x " * 400, "seals"] * 5
    together = model.embed(texts)
    for text, vector in zip(texts[:5], together[5:10], strict=True):
        [alone] = model.embed([text])
        assert vector == alone
    assert model.embed([]) == []


def test_a_model_that_breaks_is_said_to_be_missing(model: MiniLM) -> None:
    class Broken:
        def run(self, *_: object) -> None:
            raise RuntimeError("out of memory")

    with pytest.raises(Unavailable) as caught:
        MiniLM(Broken(), model._vocabulary).embed(["a"])
    assert caught.value.code == "embedder-missing"
    assert caught.value.detail == "The model stopped working (RuntimeError): restart the service."


def package_of(folder: Path, name: str, content: bytes) -> object:
    """What `importlib.metadata` says of a package with one file."""
    (folder / name).write_bytes(content)

    class Distribution:
        files = (metadata.PackagePath(PurePosixPath(name)),)

    Distribution.files[0].dist = metadata.PathDistribution(folder / "x.dist-info")
    return Distribution()


def test_a_model_with_another_byte_is_not_used(
    tmp_path: Path, model: MiniLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    del model
    raw = bytearray(subject._model_file().read_bytes())
    raw[1_000] ^= 1
    made = package_of(tmp_path, "model.onnx", bytes(raw))
    monkeypatch.setattr(metadata, "distribution", lambda _: made)
    found = choose_embedder(Settings())()
    assert isinstance(found, EmbedderMissing)
    assert "not the one that this was made for" in found.reason
    with pytest.raises(Unavailable) as caught:
        choose_embedder(Settings(deedbook_embedder="minilm"))
    assert caught.value.code == "embedder-missing"


@pytest.mark.usefixtures("model")
def test_a_package_with_another_file_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = vocabulary._of_package().read_bytes()
    made = package_of(tmp_path, "tokenizer.json", raw + b"\n")
    monkeypatch.setattr(metadata, "distribution", lambda _: made)
    with pytest.raises(vocabulary.VocabularyMissing, match="not the one that this was made for"):
        read_vocabulary(None)


def test_a_package_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", nothing)
    found = choose_embedder(Settings())()
    assert isinstance(found, EmbedderMissing)
    assert "not installed" in found.reason
    with pytest.raises(vocabulary.VocabularyMissing, match="requirements-model"):
        read_vocabulary(None)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("vocab.txt", b"[UNK]\n[CLS]\n[SEP]\n"),
        ("tokenizer.json", b'{"model": {"vocab": {"[UNK]": 0}}}'),
        ("tokenizer.json", b"not JSON"),
        ("vocab.txt", b"\xff\xfe"),
    ],
)
@pytest.mark.usefixtures("model")
def test_another_vocabulary_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    found = choose_embedder(Settings(deedbook_embedder_vocab=str(tmp_path / name)))()
    assert isinstance(found, EmbedderMissing)
    assert name in found.reason


@pytest.mark.usefixtures("model")
def test_a_vocabulary_in_another_order_is_refused(tmp_path: Path) -> None:
    """Its vectors would look like any others, and be nonsense."""
    pieces = read_vocabulary(None)
    pieces["ledger"], pieces["cake"] = pieces["cake"], pieces["ledger"]
    file = tmp_path / "tokenizer.json"
    file.write_bytes(msgspec.json.encode({"model": {"vocab": pieces}}))
    found = choose_embedder(Settings(deedbook_embedder_vocab=str(file)))()
    assert isinstance(found, EmbedderMissing)
    assert "is not the vocabulary of the model" in found.reason


def test_what_onnx_runtime_says_of_an_old_machine_is_passed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """NumPy, for one, raises a RuntimeError on a processor without the instructions it was built for."""
    found: Callable[..., object] = builtins.__import__

    def imported(name: str, *rest: object) -> object:
        if name == "numpy":
            raise RuntimeError("built with baseline optimizations")
        return found(name, *rest)

    monkeypatch.setattr(builtins, "__import__", imported)
    missing = choose_embedder(Settings())()
    assert isinstance(missing, EmbedderMissing)
    assert "built with baseline optimizations" in missing.reason


def test_without_onnx_runtime_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    missing = choose_embedder(Settings())()
    assert isinstance(missing, EmbedderMissing)
    assert missing.reason.startswith("numpy is not installed: pip install")


@pytest.mark.usefixtures("model")
def test_an_operator_may_name_the_vocabulary(tmp_path: Path) -> None:
    pieces = read_vocabulary(None)
    as_lines = tmp_path / "vocab.txt"
    as_lines.write_text("\n".join(sorted(pieces, key=pieces.__getitem__)), "utf-8")
    as_json = tmp_path / "tokenizer.json"
    as_json.write_bytes(msgspec.json.encode({"model": {"vocab": pieces}, "padding": {}}))
    assert read_vocabulary(as_lines) == read_vocabulary(as_json) == pieces
    absent = choose_embedder(Settings(deedbook_embedder_vocab=str(tmp_path / "gone.txt")))()
    assert isinstance(absent, EmbedderMissing)


def test_none_is_none() -> None:
    assert choose_embedder(Settings(deedbook_embedder="none"))() == EmbedderMissing(
        "DEEDBOOK_EMBEDDER is none"
    )


@pytest.mark.usefixtures("model")
def test_the_model_is_opened_once_whoever_asks_first() -> None:
    choice = choose_embedder(Settings())
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: choice(), range(4)))
    assert len({id(one) for one in found}) == 1


def test_threads_share_the_model(model: MiniLM) -> None:
    texts = [f"text number {number} " * number for number in range(1, 9)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda text: model.embed([text])[0], texts))
    assert found == model.embed(texts)
