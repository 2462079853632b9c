"""One worker of a run on Ray, and the cluster that it works on.

`Worker` is an engine with its answers, which Ray runs on some machine as an actor; it knows nothing of Ray.
`RayWorker` is the driver's end of it: calls that Ray carries, and their failures as what they mean to a run.
`Cluster` is the connection to one of our own on this machine, or to one that is there already.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from array import array
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from evalkit.config.settings import BackendSettings, ModelSettings, RayExecutor
from evalkit.engines import Engine, open_engine
from evalkit.run.folder import ENGINE_LOG
from evalkit.run.provenance import hardware
from evalkit.run.schedule import NO_HISTORY, Asker, EngineClock
from evalkit.schema import (
    ENGINE_ERROR,
    Completion,
    EngineUnusable,
    GenerationSettings,
    Message,
    Name,
    Request,
    Speed,
    TextGold,
    UserError,
    messages_of,
    seeded,
)
from evalkit.spawn import child_command
from evalkit.version import __version__

_LONGEST_WAIT_SECONDS = 10.0  # of `collect`, for something to collect


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What a worker is made from. ``scratch``: the folder for its own files; None: the machine's for
    temporary ones."""

    model: ModelSettings
    backend: BackendSettings
    sampling: GenerationSettings
    system: str | None
    scratch: str | None


@dataclass(frozen=True, slots=True)
class Facts:
    """Who a worker is. ``engine`` is the engine's description."""

    version: str
    node: str
    hardware: dict[str, Any]
    identity: dict[str, Any]
    engine: dict[str, Any]
    slots: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What a worker has cost so far: bytes, and seconds with a request in flight."""

    peak_memory_bytes: int | None = None
    peak_gpu_memory_bytes: int | None = None
    engine_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """Answers since the last delivery, in the order in which they came."""

    answers: list[tuple[Name, Completion]]
    figures: Figures


@dataclass(frozen=True, slots=True)
class Job:
    """The requests of a group that have no answer yet, in order, and the answers that its others have.

    One that failed has none, and what builds on it fails, too.
    """

    requests: tuple[Request, ...]
    texts: dict[Name, str | None]


def job(requests: Sequence[Request], texts: Mapping[Name, str | None]) -> Job:
    """A job without what no engine needs to see: gold answers stay with the driver."""
    bare = tuple(
        replace(request, example=replace(request.example, gold=TextGold(""), facets={}))
        for request in requests
    )
    return Job(bare, dict(texts))


class Worker:
    """An engine and the answers that it has given and nobody has collected yet."""

    def __init__(self, spec: WorkerSpec) -> None:
        self._spec = spec
        self._clock = EngineClock()
        self._scratch: str | None = None
        self._engine: Engine | None = None
        self._asker: Asker | None = None
        self._started = asyncio.Lock()
        self._serving: set[asyncio.Task[None]] = set()
        self._answers: list[tuple[Name, Completion]] = []
        self._news = asyncio.Event()

    async def prepare(self) -> Facts:
        """Fetch and check the weights; the engine is not started.

        Raises:
            UserError: this machine cannot serve the model.
        """
        async with self._started:
            engine = await asyncio.to_thread(self._open)
        return self._facts(engine)

    def _open(self) -> Engine:
        if self._engine is None:
            self._scratch = self._scratch or tempfile.mkdtemp(
                prefix="evalkit-worker-", dir=self._spec.scratch
            )
            log = Path(self._scratch) / ENGINE_LOG
            self._engine = open_engine(
                self._spec.model, self._spec.backend, self._spec.sampling.max_tokens, log
            )
        return self._engine

    def _facts(self, engine: Engine) -> Facts:
        return Facts(
            version=__version__,
            node=platform.node(),
            hardware=hardware(),
            identity=engine.identity(),
            engine=engine.description(),
            slots=engine.slots,
        )

    async def tokenize(self, prompts: list[tuple[Message, ...]]) -> list[array[int]] | None:
        await self.prepare()
        assert self._engine is not None
        return await self._engine.tokenize(prompts)

    async def start(self, longest_prompt: int | None) -> Facts:
        """Start serving, or drop what was being served: whoever starts a worker knows nothing of its past."""
        await self.prepare()
        engine = self._engine
        assert engine is not None
        async with self._started:
            for task in list(self._serving):
                task.cancel()
            if self._asker is None:
                await engine.start(longest_prompt)
                self._asker = Asker(engine, self._clock)
        return self._facts(engine)

    async def probe(self) -> Speed | None:
        assert self._engine is not None
        return await self._engine.probe()

    async def serve(self, slot: int, work: Job) -> None:
        """Answer a job's requests one after the other, on one slot."""
        task = asyncio.ensure_future(self._serve(slot, work))
        self._serving.add(task)
        try:
            await asyncio.wait({task})
            if not task.cancelled():  # by `start`: then nobody waits for this answer
                task.result()
        finally:
            task.cancel()
            self._serving.discard(task)

    async def _serve(self, slot: int, work: Job) -> None:
        assert self._asker is not None, "started before it serves"
        texts = dict(work.texts)
        for request in work.requests:
            messages = messages_of(request, self._spec.system, texts)
            if messages is None:
                completion = NO_HISTORY
            else:
                completion = await self._asker.ask(messages, seeded(self._spec.sampling, request), slot)
            self._clock.recorded()
            if not (completion.error or "").startswith(ENGINE_ERROR):
                texts[request.name] = completion.text
            self._answers.append((request.name, completion))
            self._news.set()

    async def collect(self, linger: float) -> Delivery:
        """The answers since the last call. Waits a while for the first, then `linger` seconds for more."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), _LONGEST_WAIT_SECONDS)
            await asyncio.sleep(linger)
        self._news.clear()
        answers, self._answers = self._answers, []
        return Delivery(answers, self._figures())

    def _figures(self) -> Figures:
        if self._engine is None:
            return Figures()
        return Figures(
            self._engine.peak_memory_bytes(), self._engine.peak_gpu_memory_bytes(), self._clock.engine_seconds
        )

    async def stop(self) -> Figures:
        """End the engine; what it cost in all."""
        if self._engine is not None:
            await self._engine.stop()
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)
        return self._figures()


T = TypeVar("T")


class WorkerLost(Exception):
    """The worker's process, machine or connection is gone, with what it had not delivered. One line."""


class RemoteWorker(Protocol):
    """A worker somewhere. Every call may raise WorkerLost, UserError and EngineUnusable."""

    async def start(self, longest_prompt: int | None) -> Facts:
        """Waits until there is a machine for the worker, as often as machines are lost."""
        ...

    async def serve(self, slot: int, work: Job) -> None: ...

    async def collect(self, linger: float) -> Delivery: ...

    def replace(self) -> None:
        """Have the worker made anew, on whatever machine: its engine does not serve here."""
        ...


class RayWorker:
    """A worker as a Ray actor: Ray finds a machine for it, and another one when that is lost."""

    def __init__(self, spec: WorkerSpec, settings: RayExecutor) -> None:
        import ray

        actor = ray.remote(Worker).options(
            num_cpus=settings.resources.num_cpus,
            num_gpus=settings.resources.num_gpus,
            scheduling_strategy="SPREAD",
            max_restarts=-1,
        )
        self._actor: Any = actor.remote(spec)

    async def prepare(self) -> Facts:
        """Waits until there is a machine for the worker, as `start` does."""
        return await _answer(self._actor.prepare.options(max_task_retries=-1).remote())

    async def tokenize(self, prompts: list[tuple[Message, ...]]) -> list[array[int]] | None:
        return await _answer(self._actor.tokenize.remote(prompts))

    async def start(self, longest_prompt: int | None) -> Facts:
        return await _answer(self._actor.start.options(max_task_retries=-1).remote(longest_prompt))

    async def probe(self) -> Speed | None:
        return await _answer(self._actor.probe.remote())

    async def serve(self, slot: int, work: Job) -> None:
        await _answer(self._actor.serve.remote(slot, work))

    async def collect(self, linger: float) -> Delivery:
        return await _answer(self._actor.collect.remote(linger))

    async def stop(self) -> Figures:
        return await _answer(self._actor.stop.remote())

    def replace(self) -> None:
        self._kill(no_restart=False)

    def end(self) -> None:
        """End the actor's process for good, and its engine with it."""
        self._kill(no_restart=True)

    def _kill(self, no_restart: bool) -> None:
        import ray

        ray.kill(self._actor, no_restart=no_restart)


async def _answer(reference: Awaitable[T]) -> T:
    """What a call brings.

    Raises:
        WorkerLost: the call was not carried out, or nobody knows.
        EngineUnusable: the connection to the cluster is gone.
        Exception: what the worker itself raised.
    """
    from ray.exceptions import RayError, RayTaskError

    call = asyncio.ensure_future(reference)
    call.add_done_callback(_seen)
    try:
        # Ray's client for far clusters cannot bear that what it waits for is cancelled.
        return await asyncio.shield(call)
    except RayTaskError as error:
        cause: Any = error.cause
        raise cause if isinstance(cause, Exception) else error from None
    except RayError as error:
        line = str(error).strip().partition("\n")[0][:200]
        raise WorkerLost(f"{type(error).__name__}: {line}") from error
    except ConnectionError as error:
        raise EngineUnusable(f"the connection to the Ray cluster is gone: {str(error)[:200]}") from error


def _seen(call: asyncio.Future[Any]) -> None:
    """How a call ends that nobody waits for any more is of no interest, and not worth a warning."""
    if not call.cancelled():
        call.exception()


# Prompts and answers pass from process to process; Ray's own default is a third of the machine's memory.
_OBJECT_STORE_BYTES = 200 * 2**20
_CONNECT_SECONDS = 10
# What a cluster of our own needs before Ray is imported. On Linux Ray listens on every interface; the switch
# that it made for the firewalls of other systems makes it listen on loopback only (seen with Ray 2.60). The
# token, new for each process (Ray reads it once), keeps other users of the machine out.
_OWN_CLUSTER = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}


class Cluster:
    """A connection that `close` ends, with the cluster itself if it was made here.

    Raises:
        UserError: nothing answers at the address.
        EngineUnusable: a cluster of our own does not start.
    """

    def __init__(self, settings: RayExecutor) -> None:
        self._scratch: str | None = None
        self._cleanup: subprocess.Popen[bytes] | None = None
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        if settings.address is None:
            os.environ.update(_OWN_CLUSTER)
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        import ray

        with _handlers_kept():
            if settings.address is not None:
                self._join(ray, settings.address)
            elif ray.is_initialized():
                raise UserError("executor=ray: this process is in a Ray cluster: give executor.address=auto")
            else:
                self._start(ray)

    @property
    def scratch(self) -> str | None:
        """A folder that ends with the cluster, where it is our own and workers are on this machine."""
        return self._scratch

    def _join(self, ray: Any, address: str) -> None:  # noqa: ANN401 - a module
        try:
            _require_listener(address)
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (OSError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"executor.address={address}: no Ray cluster that answers there: {reason}"
            ) from error

    def _start(self, ray: Any) -> None:  # noqa: ANN401 - a module
        self._scratch = tempfile.mkdtemp(prefix="evalkit-ray-")
        self._cleanup = subprocess.Popen(
            child_command("evalkit.children.ray_cleanup", self._scratch),
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            ray.init(
                address="local",
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
                object_store_memory=_OBJECT_STORE_BYTES,
                _temp_dir=self._scratch,
            )
        except (OSError, ValueError, RuntimeError) as error:
            self.close()
            raise EngineUnusable(f"Ray does not start here: {str(error).strip()[:300]}") from error

    def room(self, settings: RayExecutor) -> int:
        """How many workers the cluster's machines have room for, be they busy or not."""
        import ray

        has: dict[str, float] = ray.cluster_resources()
        room = [
            int(has.get(name, 0) // wanted)
            for name, wanted in (("CPU", settings.resources.num_cpus), ("GPU", settings.resources.num_gpus))
            if wanted
        ]
        return min(room, default=1)

    def close(self) -> None:
        """Leave the cluster; its actors of ours end with that."""
        import ray

        with _handlers_kept():
            ray.shutdown()
        if self._cleanup is not None:
            self._cleanup.communicate()


def _require_listener(address: str) -> None:
    """Raises OSError or ValueError if nobody listens there: Ray itself would try for many minutes."""
    if address == "auto":
        return
    url = urlsplit(address if "://" in address else f"//{address}")
    if not url.hostname or not url.port:
        raise ValueError("an address is auto, HOST:PORT or ray://HOST:PORT")
    socket.create_connection((url.hostname, url.port), timeout=_CONNECT_SECONDS).close()


@contextlib.contextmanager
def _handlers_kept() -> Iterator[None]:
    """Ray puts its own end on SIGTERM; ours ends a run as Ctrl-C does."""
    try:
        before = signal.getsignal(signal.SIGTERM)
        yield
    finally:
        with contextlib.suppress(ValueError):  # not in the main thread, where Ray has changed nothing
            signal.signal(signal.SIGTERM, before)
