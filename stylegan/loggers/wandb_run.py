"""Weights & Biases: the run of a training there; mistakes in one line, and offline where the network is away.

The constructor reports what can be known before a run begins: variables that W&B cannot read, a missing key, one that
its server does not accept. From then on nothing that happens there ends a training."""

import base64
import difflib
import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.loggers.logger import rank_zero_experiment
from pytorch_lightning.utilities import rank_zero_only

from stylegan.machine.console import warn
from stylegan.machine.files import replacing

# Read by W&B although neither its settings nor its list of variables has them.
_ALSO_READ = {"WANDB_DISABLE_CACHE", "WANDB_SERVICE_TRANSPORT"}
# Of W&B's settings, the arguments by which they are set here.
_ARGUMENTS = {
    "project": "project",
    "entity": "entity",
    "run_group": "group",
    "run_tags": "tags",
    "run_id": "id",
}
_SECRET = ("KEY", "TOKEN", "PASS", "PROXY", "URL")


class WandbRun(WandbLogger):
    """Lightning's logger, but that it needs no network, asks no questions, and never logs a row twice.

    Without a network the run is logged offline, and a line says so; `wandb sync` uploads it later. A run that
    continues keeps its id, and rows that were logged before are not logged again: W&B cannot take them back.

    Args:
        project: at W&B, as are the next five; None = `WANDB_PROJECT`, else W&B's own choice.
        name: of the run; None = W&B's own choice.
        id: of the run; one that is there already is continued. None = a new one.
        entity: user or team; None = your default.
        group: under which runs are shown together; None = none.
        tags: of the run.
        save_dir: the run folder.
        offline: true = no network is used.
        init_timeout_sec: how long the start waits for the network, above 0.
        finish_timeout_sec: how long the end waits for what is not uploaded yet, which stays on the disk; above 0.
    Raises: ValueError for a value or a variable that W&B cannot read, no key, or one that is not accepted.
    """

    def __init__(
        self,
        *,
        project: str | None = None,
        name: str | None = None,
        id: str | None = None,
        entity: str | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        save_dir: str | os.PathLike,
        offline: bool = False,
        init_timeout_sec: float = 10.0,
        finish_timeout_sec: float = 60.0,
    ) -> None:
        super().__init__(project=project, name=name, id=id, save_dir=save_dir, offline=offline)
        for argument, seconds in (
            ("init_timeout_sec", init_timeout_sec),
            ("finish_timeout_sec", finish_timeout_sec),
        ):
            if not seconds > 0:
                raise ValueError(f"{argument} must be above 0 seconds, got {seconds}")
        self.arguments = {
            "project": project,
            "name": name,
            "id": id,
            "entity": entity,
            "group": group,
            "tags": list(tags) or None,
            "dir": os.fspath(save_dir),
            "resume": "allow",
        }
        self.folder = Path(save_dir) / "wandb"
        self.offline, self.run = offline, None
        self.timeouts_sec = {"init_timeout": init_timeout_sec, "finish_timeout": finish_timeout_sec}
        self.logged_images = -1  # by processes before this one
        self.away: str | None = None  # why W&B cannot be reached
        if rank_zero_only.rank == 0:
            refuse_mistyped_variables(os.environ)
            _refuse_values(project=project, entity=entity, run_group=group, run_tags=list(tags), run_id=id)
            self.away = None if offline else _why_away(init_timeout_sec)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run of W&B, begun when it is first asked for."""
        if self.run is None:
            with self.forgiving():
                self.run = self._begin()
                self.logged_images = self._read_logged_images()
        return self.run

    def log_hyperparams(self, params: Mapping[str, Any]) -> None:
        with self.forgiving():
            super().log_hyperparams(params)

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Logs values at `step` images seen, unless that was done before; a run that W&B has lost is given up."""
        run = self.experiment
        if step is not None and step <= self.logged_images:
            return
        with self.forgiving():
            super().log_metrics(metrics, step)
        if step is not None and run is self.run:
            with suppress(OSError), replacing(self._counter, durable=False) as file:
                file.write(json.dumps({"images": step}).encode())

    @contextmanager
    def forgiving(self) -> Iterator[None]:
        """Inside, whatever it is that W&B has ends no training: its run is given up."""
        try:
            yield
        except Exception as error:
            self._give_up(error)

    @property
    def _counter(self) -> Path:
        return self.folder / f"logged-{self.experiment.id}.json"

    def _read_logged_images(self) -> int:
        """Images seen at the last row that the run has, -1 where it has none."""
        try:
            return int(json.loads(self._counter.read_text())["images"])
        except (OSError, ValueError, KeyError, TypeError):
            return -1

    def _begin(self) -> Any:
        import wandb

        if wandb.run is not None:
            return wandb.run  # a script's own
        if self.away is not None:
            self._say_offline(self.away)
        if self.offline or self.away is not None:
            return self._init("offline")
        try:
            return self._init(None)
        except wandb.Error as error:
            # Its service holds the id of the run that it could not begin.
            wandb.teardown()
            self._say_offline(_in_one_line(error))
            return self._init("offline")

    def _init(self, mode: str | None) -> Any:
        import wandb

        return wandb.init(mode=mode, settings=wandb.Settings(**self.timeouts_sec), **self.arguments)

    def _say_offline(self, reason: str) -> None:
        warn(
            f"W&B cannot be reached ({reason}); this run is logged offline: wandb sync {self.folder}/offline-run-*"
            " uploads it later"
        )

    def _give_up(self, error: Exception) -> None:
        import wandb

        warn(f"W&B takes no more rows ({_in_one_line(error)}); the rest continues")
        with suppress(Exception):
            wandb.teardown()  # else its service, which is gone, is asked to end the run when the program ends
        self.run = wandb.init(mode="disabled")


def refuse_mistyped_variables(environment: Mapping[str, str]) -> None:
    """Raises: ValueError that names a `WANDB_...` variable whose value W&B cannot read, or nearly W&B's own name."""
    import wandb

    known = {f"WANDB_{field.upper()}" for field in wandb.Settings.model_fields} | _ALSO_READ
    known |= {value for value in vars(wandb.env).values() if str(value).startswith("WANDB_")}
    for name, value in environment.items():
        if not name.startswith("WANDB_"):
            continue
        try:
            wandb.Settings().update_from_env_vars({name: value})
        except (ValueError, wandb.Error) as error:
            shown = name if any(word in name for word in _SECRET) else f"{name}={value}"
            raise ValueError(
                f"{shown}: W&B cannot read this variable ({_message(error)}); correct or unset it"
            ) from error
        if name not in known and not name.startswith("WANDB__"):
            near = difflib.get_close_matches(name[6:], [other[6:] for other in known], n=1, cutoff=0.8)
            if near:
                raise ValueError(
                    f"{name} is no variable of W&B; did you mean WANDB_{near[0]}? Rename or unset it"
                )


def _refuse_values(**settings: Any) -> None:
    """Raises: ValueError that begins with the argument, for a value that W&B does not take."""
    import wandb

    for setting, value in settings.items():
        if value is None or value == []:
            continue
        try:
            wandb.Settings(**{setting: value})
        except (ValueError, wandb.Error) as error:
            raise ValueError(
                f"{_ARGUMENTS[setting]} must be one that W&B takes: {_message(error)}"
            ) from error


def _why_away(timeout_sec: float) -> str | None:
    """Why the server of W&B cannot be reached; None where it can, or is not meant to be.

    Raises: ValueError where there is no key, or none that the server accepts.
    """
    import wandb

    ways_out = "run `wandb login`, or set logger.wandb.offline=true"
    try:
        settings = wandb.setup().settings
        if wandb.run is not None or settings.mode not in ("online", "run", "shared"):
            return None
        has_key = wandb.login(verify=False, prompt=False)
    except (ValueError, wandb.Error) as error:
        raise ValueError(f"W&B: {_message(error)} {ways_out}") from error
    if not has_key:
        raise ValueError(f"there is no key for W&B, {settings.base_url}: {ways_out}")
    answer: list[int | str] = []
    # In a thread, since looking up a name has no limit of its own.
    thread = threading.Thread(target=lambda: answer.append(_ask(settings, timeout_sec)), daemon=True)
    thread.start()
    thread.join(timeout_sec)
    said = answer[0] if answer else f"no answer of {settings.base_url} within {timeout_sec:g} seconds"
    if said in (401, 403):
        raise ValueError(f"{settings.base_url} does not accept the key for W&B: {ways_out}, with --relogin")
    if isinstance(said, int):
        return f"{settings.base_url} answers with status {said}" if said >= 500 else None
    return said


def _ask(settings: Any, timeout_sec: float) -> int | str:
    """The status of HTTP with which the server answers who we are, or why it does not answer."""
    request = urllib.request.Request(
        f"{settings.base_url.rstrip('/')}/graphql",
        data=json.dumps({"query": "query { viewer { id } }"}).encode(),
        headers={"Content-Type": "application/json"},
    )
    if settings.api_key:
        user = base64.b64encode(f"api:{settings.api_key}".encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {user}")
    proxies = {"http": settings.http_proxy, "https": settings.https_proxy}
    own = {scheme: url for scheme, url in proxies.items() if url}
    opener = urllib.request.build_opener(*([urllib.request.ProxyHandler(own)] if own else []))
    try:
        with opener.open(request, timeout=timeout_sec) as response:
            viewer = (json.load(response).get("data") or {}).get("viewer")
            return 401 if settings.api_key and viewer is None else response.status
    except urllib.error.HTTPError as error:
        return error.code if settings.api_key or error.code >= 500 else 200
    except ValueError:
        return 200  # it answers, if not as we know it: W&B itself will see
    except OSError as error:
        reason = getattr(error, "reason", error)
        # W&B may trust certificates that Python does not know.
        return 200 if "CERTIFICATE" in str(reason) else f"{settings.base_url}: {_in_one_line(reason)}"


def _message(error: Exception) -> str:
    """What W&B says of a value, without its addresses and without the value, which may be a secret."""
    errors = getattr(error, "errors", None)
    return " ".join(str(found["msg"]) for found in errors()) if callable(errors) else _in_one_line(error)


def _in_one_line(error: object) -> str:
    return " ".join(str(error).split())[:200]
