"""A Ray cluster to run on: a local one that is ours and ends with the run, or one that stands already."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import TargetError
from orchestrator.execution import ray_reaper
from orchestrator.model.groups import NodeGroup
from orchestrator.model.plan import Resources

# Before ray is imported: some are read at import. Given values win.
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",  # else one lane is started after the other
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_WARN_THRESHOLD_S": "10",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
}
LOCAL_SETTINGS = {
    "RAY_AUTH_MODE": "token",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # keeps Ray on the loopback address that is asked for
}
PREFIX = "orch-ray-"
DASHBOARD = "dashboard"  # file of a local cluster's directory: the address of its dashboard
ROOM_BYTES = (
    64 * 1024**2
)  # for sockets, logs and session files; on a full disk Ray fails slowly and unclearly
OBJECT_STORE_BYTES = 128 * 1024**2  # no results or checkpoints go through it


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster that this process is connected to.

    Attributes:
        directory: For Tune's own files; removed at the end.
        nodes: What each node has in all.
    """

    directory: Path
    nodes: tuple[Resources, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """A cluster that stands already, and what its nodes must share.

    Attributes:
        address: Its head, HOST:PORT, or "auto".
        store: Directory of the store, which every node must see; None when it is no path.
        data: Directory of the data sets, which every node must have if this one has it.
        reach: Raises an OrchError on a node that cannot use a store that is no path; picklable.
        groups: Nodes that its autoscaler may add.
        freeze: Writes the code that workers are to run into a directory, and returns the archive; None
            when they have this process's code already, as within a Ray job.
    """

    address: str
    store: Path | None
    data: Path
    reach: Callable[[], None] | None = None
    groups: tuple[NodeGroup, ...] = ()
    freeze: Callable[[Path], Path] | None = None


@contextlib.contextmanager
def connected(
    join: Join | None = None, *, cpus: int | None = None, gpus: int | None = None, dashboard: bool = False
) -> Iterator[Cluster]:
    """Yields a cluster: the one this process is connected to already, the one named, or a local one.

    A local one listens on loopback only, asks for a token that only this user can read, and is gone with
    its files when the context ends.

    Args:
        join: A cluster to join; None starts a local one.
        cpus: CPUs of the local one, None for this machine's.
        gpus: GPUs of the local one, None for this machine's.
        dashboard: Whether the local one serves Ray's dashboard.

    Raises:
        TargetError: The cluster cannot be reached or started, or a node of it cannot work.
    """
    with contextlib.ExitStack() as stack:
        for name, value in (SETTINGS if join else SETTINGS | LOCAL_SETTINGS).items():
            stack.enter_context(_environment(name, os.environ.get(name, value)))
        import ray

        stack.enter_context(_silenced())
        if ray.is_initialized():
            directory = stack.enter_context(_private_directory())
        elif join is not None:
            directory = stack.enter_context(_private_directory())
            stack.enter_context(_joined(join, directory))
        else:
            directory = stack.enter_context(_private_directory())
            stack.enter_context(_local(directory, cpus, gpus, dashboard))
        yield Cluster(directory=directory, nodes=nodes())


@contextlib.contextmanager
def _joined(join: Join, directory: Path) -> Iterator[None]:
    import ray

    from orchestrator.execution.ray_probe import answers, check_nodes

    answers(join.address)
    environment = {"working_dir": str(join.freeze(directory))} if join.freeze else None
    with _ray_failures(f"the Ray cluster at {join.address} cannot be joined"), _kept_signals():
        ray.init(address=join.address, runtime_env=environment, **_quiet())
    try:
        check_nodes(store=join.store, data=join.data, reach=join.reach)
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _local(directory: Path, cpus: int | None, gpus: int | None, dashboard: bool) -> Iterator[None]:
    import ray

    with contextlib.ExitStack() as stack:
        stack.enter_context(_reaper(directory))
        stack.enter_context(_token(directory))
        stack.enter_context(_loopback_only())
        _check_room(directory)
        with (
            _ray_failures("a local Ray cluster cannot be started"),
            _kept_signals(),
            _environment("PYTHONPATH", _import_path()),
            _environment(ray_reaper.MARK, str(directory)),
            _umask(0o077),
        ):
            context = ray.init(
                address="local",  # whatever RAY_ADDRESS says
                num_cpus=cpus,
                num_gpus=gpus,
                include_dashboard=dashboard,
                dashboard_host="127.0.0.1",
                object_store_memory=OBJECT_STORE_BYTES,
                _node_ip_address="127.0.0.1",
                _temp_dir=str(directory / "ray"),  # Ray opens it to all users; the directory above is private
                **_quiet(),
            )
        if address := context.address_info.get("webui_url"):
            (directory / DASHBOARD).write_text(f"http://{address}", encoding="utf-8")
        try:
            yield
        finally:
            ray.shutdown()


def local_dashboard(pid: int) -> tuple[str, Path] | None:
    """Returns where a process of this user serves Ray's dashboard, and the file of the token it asks for.

    None where it has no local cluster, or one without a dashboard.
    """
    for folder in _root().glob(f"{PREFIX}{pid}-*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == os.getuid():
                return (folder / DASHBOARD).read_text(encoding="utf-8").strip(), folder / "token"
    return None


def _check_room(directory: Path) -> None:
    free = shutil.disk_usage(directory).free
    if free < ROOM_BYTES:
        raise TargetError(
            f"a local Ray cluster needs {ROOM_BYTES / 1024**2:.0f} MiB in {directory.parent}, which has "
            f"{free / 1024**2:.0f} MiB free; make room there, or run --executor inline"
        )


def in_job() -> bool:
    """Returns whether this process is the driver of a Ray job."""
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


def _quiet() -> dict[str, Any]:
    return {"log_to_driver": False, "configure_logging": False, "ignore_reinit_error": False}


def nodes() -> tuple[Resources, ...]:
    """Returns what each living node of the connected cluster has in all."""
    import ray

    return tuple(
        Resources(
            cpu=node["Resources"].get("CPU", 0.0),
            gpu=node["Resources"].get("GPU", 0.0),
            memory_gb=node["Resources"].get("memory", 0.0) / 1024**3,
        )
        for node in ray.nodes()
        if node["Alive"]
    )


@contextlib.contextmanager
def _reaper(directory: Path) -> Iterator[None]:
    """Keeps a small process that ends the cluster's remains also when this one is killed."""
    with subprocess.Popen(
        [sys.executable, "-I", "-S", ray_reaper.__file__, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ):
        yield  # leaving closes its stdin and waits for it


@contextlib.contextmanager
def _token(directory: Path) -> Iterator[None]:
    """Makes a token of our own, readable by this user only, unless the user has set one."""
    if "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ:
        yield
        return
    path = directory / "token"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
    with _environment("RAY_AUTH_TOKEN_PATH", str(path)):
        read_token_again()
        yield
    read_token_again()


def read_token_again() -> None:
    """Makes Ray forget the mode and the token that it has read once in this process."""
    import ray

    ray._raylet.Config.initialize("")
    ray._raylet.AuthenticationTokenLoader.instance().reset_cache()


@contextlib.contextmanager
def _loopback_only() -> Iterator[None]:
    """Keeps Ray on the loopback address also when it was imported before our environment was set."""
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Sends Ray's news of died workers, which it prints to stdout whatever it is told, to logging."""
    from ray._private import worker

    for name in ("ray", "ray.tune", "ray.tune.tune"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    before = worker.print_to_stdstream

    def log(data: dict[str, Any], ignore_prefix: bool) -> None:
        for line in data["lines"]:
            logging.getLogger(__name__).debug("%s", line)

    worker.print_to_stdstream = log
    try:
        yield
    finally:
        worker.print_to_stdstream = before


@contextlib.contextmanager
def _private_directory() -> Iterator[Path]:
    """Yields a short-named directory of this user and process; Ray's sockets are in it."""
    sweep()
    path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=_root()))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def sweep() -> None:
    """Removes the directories of runs that were killed."""
    for path in _root().glob(f"{PREFIX}*"):
        pid = path.name.removeprefix(PREFIX).partition("-")[0]
        with contextlib.suppress(OSError):
            if pid.isdigit() and path.stat().st_uid == os.getuid() and not _alive(int(pid)):
                shutil.rmtree(path, ignore_errors=True)


def _root() -> Path:
    # Paths of sockets may have 107 characters, and Ray's use 80: TMPDIR is often too long.
    return Path("/tmp") if Path("/tmp").is_dir() else Path(tempfile.gettempdir())


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _import_path() -> str:
    """Returns where workers look for modules: where this process does, the working directory included."""
    entries = [str(Path(entry or ".").resolve()) for entry in ["", *sys.path]]
    return os.pathsep.join(dict.fromkeys(entries))


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


@contextlib.contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def _kept_signals() -> Iterator[None]:
    """Keeps the program's handler of SIGTERM: `ray.init` sets its own early on, which exits at once."""
    from ray._private import utils

    before = utils.set_sigterm_handler
    utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = before


@contextlib.contextmanager
def _ray_failures(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a start that takes too long is a plain Exception
        raise TargetError(f"{what}: {error}") from error
