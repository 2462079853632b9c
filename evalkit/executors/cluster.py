"""Being connected to a Ray cluster: one of our own on this machine, or one that is there already."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from evalkit.errors import UserError
from evalkit.executors.settings import RaySettings

# Prompts and answers pass from process to process; Ray's own default is a third of the machine's memory.
_OBJECT_STORE_BYTES = 200 * 2**20
_KNOCK_SECONDS = 10
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

    def __init__(self, settings: RaySettings) -> None:
        self._scratch: str | None = None
        self._reaper: subprocess.Popen[bytes] | None = None
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
            _knock(address)
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (OSError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"executor.address={address}: no Ray cluster that answers there: {reason}"
            ) from error

    def _start(self, ray: Any) -> None:  # noqa: ANN401 - a module
        from evalkit.backends.engine import EngineUnusable

        self._scratch = tempfile.mkdtemp(prefix="evalkit-ray-")
        self._reaper = subprocess.Popen(
            [sys.executable, "-m", "evalkit.executors.reaper", self._scratch],
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

    def room(self, settings: RaySettings) -> int:
        """How many workers the cluster's machines have room for, be they busy or not."""
        import ray

        has: dict[str, float] = ray.cluster_resources()
        room = [
            int(has.get(name, 0) // wanted)
            for name, wanted in (("CPU", settings.cpus), ("GPU", settings.gpus))
            if wanted
        ]
        return min(room, default=1)

    def close(self) -> None:
        """Leave the cluster; its actors of ours end with that."""
        import ray

        with _handlers_kept():
            ray.shutdown()
        if self._reaper is not None:
            self._reaper.communicate()


def _knock(address: str) -> None:
    """Raises OSError or ValueError if nobody listens there: Ray itself would try for many minutes."""
    if address == "auto":
        return
    url = urlsplit(address if "://" in address else f"//{address}")
    if not url.hostname or not url.port:
        raise ValueError("an address is auto, HOST:PORT or ray://HOST:PORT")
    socket.create_connection((url.hostname, url.port), timeout=_KNOCK_SECONDS).close()


@contextlib.contextmanager
def _handlers_kept() -> Iterator[None]:
    """Ray puts its own end on SIGTERM; ours ends a run as Ctrl-C does."""
    try:
        before = signal.getsignal(signal.SIGTERM)
        yield
    finally:
        with contextlib.suppress(ValueError):  # not in the main thread, where Ray has changed nothing
            signal.signal(signal.SIGTERM, before)
