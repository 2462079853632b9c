"""What serving a checkpoint with vLLM takes, and whether this machine has it: before anything is downloaded.

Weights are parameters times bytes, the KV cache is tokens times `Geometry.kv_bytes_per_token`. What each GPU
needs beside them (CUDA context, activations, captured graphs) is an allowance, not a formula; vLLM's own
profile decides in the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from evalkit.config.checks import Immaterial, Seconds, Whole
from evalkit.config.settings import BackendSettings, ModelSettings
from evalkit.engines.process import refuse_shared_port
from evalkit.schema import UserError
from evalkit.weights.fetch import Geometry, stated_geometry

# vLLM's `auto` serves a 32-bit checkpoint in 16 bits.
_DTYPE_BYTES = {"auto": 2.0, "bfloat16": 2.0, "float16": 2.0, "half": 2.0, "float": 4.0, "float32": 4.0}
_QUANTIZED_BYTES = {"fp8": 1.0}  # what vLLM makes of 16-bit weights while loading
_RUNTIME = 1_500_000_000  # bytes a GPU, or the process on a CPU
_UTILIZATION = 0.9  # vLLM's share of a GPU when nothing else is given
_PROMPT = 4096  # tokens: holds every prompt of the five benchmarks
_STATED_REQUESTS = 8  # in flight at once, in what `evalkit models` states
_STATED_TOKENS = 8192
_BOARDS = (24, 48, 80, 141)  # GB: what is sold and rented
_MOST_BOARDS = 8
_GB = 10**9


class VllmSettings(BackendSettings):
    """configs/backend/vllm.yaml"""

    enforces_schemas: ClassVar[bool] = True

    kind: Literal["vllm"]
    executable: Immaterial[str | None]
    dtype: str
    quantization: str | None
    tensor_parallel_size: Whole
    pipeline_parallel_size: Whole
    max_model_len: Whole | None
    max_num_seqs: Whole
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] | None
    kv_cache_bytes: Whole | None
    enable_prefix_caching: bool
    enforce_eager: bool
    extra_args: list[str | int | float]
    port: Immaterial[Annotated[int, Field(ge=1, le=65_535)] | None]
    start_timeout: Immaterial[Seconds]
    timeout: Immaterial[Seconds]

    def for_worker(self, cpus: float) -> VllmSettings:  # noqa: ARG002 - vLLM takes what it finds
        refuse_shared_port(self.port)
        return self


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes that a model takes in all: its weights, and the KV cache of ``requests`` times ``tokens``."""

    weights: int
    kv: int
    requests: int
    tokens: int

    @property
    def total(self) -> int:
        """Weights and KV cache, in bytes; the allowance per GPU comes on top."""
        return self.weights + self.kv

    def fits(self, boards: int, board_bytes: int, utilization: float = _UTILIZATION) -> bool:
        """Whether `boards` GPUs of that size hold it, the weights and the cache spread evenly."""
        return self.total / boards + _RUNTIME <= board_bytes * utilization

    def boards(self, board_bytes: int, utilization: float = _UTILIZATION) -> int | None:
        """The smallest power of two of such GPUs that holds it, None if more than eight.

        Powers of two, because tensor parallelism must divide the attention heads.
        """
        counts = [1 << power for power in range(_MOST_BOARDS.bit_length())]
        return next((n for n in counts if self.fits(n, board_bytes, utilization)), None)


@dataclass(frozen=True, slots=True)
class CheckpointSize:
    """A checkpoint on this machine: ``weights`` in bytes, ``dtype`` as its config.json names it."""

    weights: int
    dtype: str
    geometry: Geometry | None


@dataclass(frozen=True, slots=True)
class Machine:
    """``gpus``: memory of each in bytes; None: there is one, and nothing tells its memory."""

    gpus: tuple[int, ...] | None
    memory: int


def needs(
    model: ModelSettings,
    backend: VllmSettings,
    *,
    tokens: int,
    requests: int = 1,
    stored: CheckpointSize | None = None,
) -> Needs | None:
    """What `model` takes with the dtype and quantization of `backend`; None if its size is not known.

    Args:
        tokens: prompt and answer of one request.
        stored: the checkpoint where it is here; else the model config's parameters and geometry count.
    """
    each = _QUANTIZED_BYTES.get(str(backend.quantization), _DTYPE_BYTES.get(str(backend.dtype), 2.0))
    if stored:
        weights = int(stored.weights * each / _DTYPE_BYTES.get(stored.dtype, 2.0))
    else:
        weights = int((model.parameters or 0) * each)
    if not weights:
        return None
    geometry = stored.geometry if stored else stated_geometry(model)
    kv = requests * tokens * geometry.kv_bytes_per_token(value_bytes(backend)) if geometry else 0
    return Needs(weights, kv, requests, tokens)


def needed_here(model: ModelSettings, backend: VllmSettings, *, tokens: int, requests: int) -> int | None:
    """Bytes that it takes on one board, or in a CPU's memory, the process included; None if not known."""
    found = needs(model, backend, tokens=tokens, requests=requests)
    return found.total + _RUNTIME if found else None


def value_bytes(backend: VllmSettings) -> int:
    """Bytes of a value in the KV cache."""
    return 4 if backend.dtype in ("float", "float32") else 2


def stated_needs(model: ModelSettings, backend: VllmSettings) -> str:
    """What to have for `model`, in words: memory, and GPUs of the usual sizes that hold it."""
    found = needs(model, backend, tokens=_STATED_TOKENS, requests=_STATED_REQUESTS)
    if found is None:
        return "-"
    return f"{_gb(found.total)} of GPU memory: {_choices(found)}"


def _choices(found: Needs) -> str:
    """`4 x 48 GB or 2 x 141 GB`: the smallest number of each usual size, not more boards of a larger one."""
    words, fewest = [], _MOST_BOARDS + 1
    for size in _BOARDS:
        count = found.boards(size * _GB)
        if count is not None and count < fewest:
            words.append(f"{count} x {size} GB")
            fewest = count
    return " or ".join(words) or f"more than {_MOST_BOARDS} x {_BOARDS[-1]} GB"


def require_room(
    model: ModelSettings,
    backend: VllmSettings,
    max_tokens: int,
    machine: Machine,
    *,
    cpu: bool = False,
    stored: CheckpointSize | None = None,
) -> None:
    """Refuse a model that cannot be served here even one request at a time.

    Args:
        max_tokens: of the longest answer. cpu: vLLM is built for the CPU, whatever GPUs there are.

    Raises:
        UserError: one line with what is needed, what is here, and what could do it.
    """
    tokens = backend.max_model_len or _PROMPT + max_tokens
    found = needs(model, backend, tokens=tokens, stored=stored)
    if found is None or (machine.gpus is None and not cpu):
        return
    if cpu or not machine.gpus:
        enough, here = found.total + _RUNTIME <= machine.memory, _words(machine)
        hint = ""
    else:
        wanted = backend.tensor_parallel_size * backend.pipeline_parallel_size
        utilization = backend.gpu_memory_utilization or _UTILIZATION
        smallest = min(machine.gpus)
        enough = wanted <= len(machine.gpus) and found.fits(wanted, smallest, utilization)
        count = found.boards(smallest, utilization)
        here = f"{_words(machine)}, of which {wanted} would be used"
        fits_here = count is not None and count <= len(machine.gpus)
        hint = f"backend.tensor_parallel_size={count} here, " if fits_here else ""
    if not enough:
        raise UserError(
            f"{model.name} needs at least {_gb(found.total)} ({_gb(found.weights)} of weights, "
            f"{_gb(found.kv)} of KV cache for {tokens} tokens), this machine has {here}: what could is {hint}"
            f"{_choices(found)} with backend.tensor_parallel_size to match, a GGUF file of it "
            "(evalkit run FILE.gguf), or an endpoint that serves it (backend=remote)"
        )


def _words(machine: Machine) -> str:
    gpus = machine.gpus
    if not gpus:
        return f"no GPU and {_gb(machine.memory)} of memory"
    return f"{len(gpus)} x {_gb(min(gpus))} of GPU memory"


def _gb(size: int) -> str:
    return f"{size / _GB:.1f} GB"


def this_machine() -> Machine:
    """GPUs as NVML tells, and the host's memory."""
    import psutil

    return Machine(_gpus(), psutil.virtual_memory().total)


def _gpus() -> tuple[int, ...] | None:
    try:
        import pynvml

        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        return tuple(int(pynvml.nvmlDeviceGetMemoryInfo(handle).total) for handle in handles)
    except Exception:  # no package, no driver, no board: what the kernel shows decides
        # NVIDIA's and AMD's device files.
        shown = [*Path("/dev").glob("nvidia[0-9]*"), *Path("/dev").glob("kfd")]
        return None if shown else ()
