"""The child process that quantizes with the library of llama-cpp-python.

    python -m evalkit.children.quantize JOB

JOB is an `evalkit.weights.quantize.Job` as JSON. llama.cpp's log goes to standard error; exit code 0: done.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Importance = dict[str, NDArray[np.float32]]


def _llama_cpp() -> Any:  # noqa: ANN401 - its types come and go with the package, which is an extra
    return importlib.import_module("llama_cpp")


def parameters(job: dict[str, Any], matrix: Importance) -> Any:  # noqa: ANN401
    """llama.cpp's `llama_model_quantize_params`; they point into `matrix`, which must outlive them."""
    from gguf import GGMLQuantizationType

    llama_cpp = _llama_cpp()
    params = llama_cpp.llama_model_quantize_default_params()
    kind = "ALL" if job["mix"] == "F32" else "MOSTLY"
    params.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_{kind}_{job['mix']}")
    if job["embeddings"]:
        params.token_embedding_type = int(GGMLQuantizationType[job["embeddings"]])
    if job["output"]:
        params.output_tensor_type = int(GGMLQuantizationType[job["output"]])
    params.pure = job["pure"]
    params.allow_requantize = job["allow_requantize"]
    params.nthread = job["threads"]
    if job["imatrix"]:
        params.imatrix = _imatrix(matrix)
        params.kv_overrides = _metadata(Path(job["imatrix"]), len(matrix))
    return params


def importance(path: Path) -> Importance:
    """The importance of each column of each tensor: mean squared activations, float32, by tensor name.

    The format is llama.cpp's GGUF one: `NAME.in_sum2` (sums, one row per expert) over `NAME.counts`; an
    expert that was never called counts as 1 (`load_imatrix` in tools/quantize/quantize.cpp).

    Raises:
        UserError: not a GGUF file, or not an importance matrix.
    """
    import numpy as np

    from evalkit.schema import UserError
    from evalkit.weights.gguf import read_header

    header = read_header(path)
    tensors = {tensor.name: tensor for tensor in header.tensors if tensor.type == "F32"}

    def values(name: str) -> NDArray[np.float32]:
        tensor = tensors[name]
        offset = header.data_offset + tensor.offset
        return np.fromfile(path, dtype="<f4", count=tensor.elements, offset=offset)

    found: Importance = {}
    for name in tensors:
        base = name.removesuffix(".in_sum2")
        if base == name or f"{base}.counts" not in tensors:
            continue
        counts, sums = values(f"{base}.counts")[:, None], values(name)
        if not counts.size or sums.size % counts.size:
            raise UserError(f"{path.name}: sums and counts of {base[:80]} do not fit together")
        sums = sums.reshape(counts.size, -1)
        found[base] = np.where(counts > 0, sums / np.maximum(counts, 1), np.float32(1)).ravel()
    if not found:
        raise UserError(f"{path.name} holds no importance matrix in llama.cpp's GGUF format")
    return found


def _imatrix(matrix: Importance) -> Any:  # noqa: ANN401
    """An array of `llama_model_imatrix_data`, ended by an empty one. llama.cpp copies the values."""
    llama_cpp = _llama_cpp()
    floats = ctypes.POINTER(ctypes.c_float)
    array = (llama_cpp.llama_model_imatrix_data * (len(matrix) + 1))()
    for entry, (name, values) in zip(array, matrix.items(), strict=False):
        entry.name = name.encode()
        entry.data = values.ctypes.data_as(floats)
        entry.size = values.size
    return array


def _metadata(path: Path, entries: int) -> Any:  # noqa: ANN401
    """The metadata keys by which llama-quantize records the matrix it used, ended by an empty one."""
    llama_cpp = _llama_cpp()
    overrides = (llama_cpp.llama_model_kv_override * 3)()
    overrides[0].key = b"quantize.imatrix.file"
    overrides[0].tag = llama_cpp.LLAMA_KV_OVERRIDE_TYPE_STR
    overrides[0].value.val_str = path.name.encode()[:127]
    overrides[1].key = b"quantize.imatrix.entries_count"
    overrides[1].tag = llama_cpp.LLAMA_KV_OVERRIDE_TYPE_INT
    overrides[1].value.val_i64 = entries
    return overrides


def main(arguments: list[str]) -> int:
    """Do one job; returns llama.cpp's exit code."""
    from evalkit.schema import UserError

    llama_cpp = _llama_cpp()
    # llama.cpp's own log, instead of the package's callback into Python for every piece of a line.
    llama_cpp.llama_log_set(llama_cpp.llama_log_callback(), None)
    job = json.loads(arguments[0])
    try:
        matrix = importance(Path(job["imatrix"])) if job["imatrix"] else {}
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the quantizer's log
        return 2
    params = parameters(job, matrix)
    source, target = job["source"].encode(), job["target"].encode()
    return int(llama_cpp.llama_model_quantize(source, target, ctypes.byref(params)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
