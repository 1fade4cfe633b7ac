"""W&B: what a run leaves on the disk for `wandb sync`, read record by record; keys, variables and absent networks."""

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
import wandb
from wandb.proto import wandb_internal_pb2

from stylegan.cli.train import main as train
from stylegan.loggers import WandbRun, define_kimg_axis, log_image, log_means
from stylegan.loggers.wandb_run import refuse_mistyped_variables

KEY = "0123456789" * 4
SMALL = [
    *("preset=tiny", "resolution=8", "batch_size=4", "total_kimg=0.008", "trainer=cpu", "metrics=none"),
    *("generator.channel_max=8", "data.num_items=10", "augpipe=none", "logger=wandb", "name=a"),
    *("callbacks.stats.every_kimg=0.004", "callbacks.snapshots=null"),
]


def records(path: Path) -> Iterator[wandb_internal_pb2.Record]:
    """The records of a `.wandb` file: a 7-byte header, then LevelDB's log framing in blocks of 32 KiB."""
    data, position, parts = path.read_bytes(), 7, []
    while position + 7 <= len(data):
        if (left := 32768 - position % 32768) < 7:
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        if kind == 0 and length == 0:
            break
        parts.append(data[position + 7 : position + 7 + length])
        position += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            record = wandb_internal_pb2.Record()
            record.ParseFromString(b"".join(parts))
            parts = []
            yield record


def complete_records(path: Path, patience_sec: float = 60) -> list[wandb_internal_pb2.Record]:
    """All records, once the last one is there: wandb's own process writes on for a moment after finish()."""
    deadline = time.monotonic() + patience_sec
    while time.monotonic() < deadline:
        found = list(records(path))
        if any(record.WhichOneof("record_type") == "exit" for record in found):
            return found
        time.sleep(0.05)
    raise AssertionError(f"{path} has no end after {patience_sec} s")


def history(path: Path) -> list[dict]:
    """The rows of a `.wandb` file."""
    return [
        {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in complete_records(path)
        if record.WhichOneof("record_type") == "history"
    ]


@pytest.fixture(autouse=True)
def of_its_own(tmp_path, monkeypatch):
    """No key, no settings and no variables but those of the test."""
    for folder in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(folder, str(tmp_path / folder.lower()))
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.fixture
def offline(tmp_path):
    return WandbRun(offline=True, save_dir=tmp_path, project="test", name="run")


@pytest.fixture
def server(monkeypatch):
    """A server that has the key, and knows no more: `server.status` is that of every answer but who we are."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            asks_who = b"viewer { id }" in body
            self.send_response(server.login if asks_who else server.status)
            self.end_headers()
            self.wfile.write(json.dumps({"data": {"viewer": server.viewer}}).encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.login, server.status, server.viewer = 200, 400, {"id": "me"}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()


@pytest.fixture
def away(monkeypatch):
    """No network: there is no server."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        number = port.getsockname()[1]
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{number}")
    monkeypatch.setenv("WANDB_API_KEY", KEY)


def test_rows_pictures_and_axis_reach_the_offline_file(offline, tmp_path):
    rows = [(4_032, 0.5), (8_064, 0.25), (8_064 + 32, 0.125)]
    define_kimg_axis([offline])
    define_kimg_axis([offline])
    for images, loss in rows:
        log_means(offline, {"Loss/G/loss": loss, "Progress/augment": images / 1e6}, images)
    log_image(offline, "fakes", torch.full((1, 8, 16), 7, dtype=torch.uint8), 8_096)
    wandb.finish()

    (path,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    metrics = [one.metric for one in complete_records(path) if one.WhichOneof("record_type") == "metric"]
    axes = {metric.name or metric.glob_name: metric.step_metric for metric in metrics}
    lines = history(path)
    scalars = [line for line in lines if "Loss/G/loss" in line]
    assert [(line["kimg"], line["Loss/G/loss"]) for line in scalars] == [(n / 1000, loss) for n, loss in rows]
    assert [line["Progress/augment"] for line in scalars] == [n / 1e6 for n, _ in rows]
    assert [line["trainer/global_step"] for line in scalars] == [n for n, _ in rows]
    assert axes["*"] == "kimg"
    (image,) = [line for line in lines if any(key.startswith("fakes") for key in line)]
    assert image["kimg"] == 8.096
    assert len(list(path.parent.glob("files/media/images/fakes*.png"))) == 1


def test_without_a_key_one_line_and_nothing_is_made(tmp_path, capsys):
    assert train(SMALL) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        "there is no key for W&B" in line and "`wandb login`" in line and "logger.wandb.offline=true" in line
    )
    assert not (tmp_path / "runs").exists()


def test_without_a_network_the_run_is_logged_offline_also_when_it_continues(tmp_path, away, capsys):
    for total_kimg in (0.008, 0.016):
        assert (
            train([*SMALL, f"total_kimg={total_kimg}", "logger.wandb.tags=[x,y]", "logger.wandb.group=g"])
            == 0
        )
        said = capsys.readouterr().out
        assert "W&B cannot be reached" in said and "wandb sync runs/a/wandb/offline-run-* uploads it" in said
        time.sleep(1.1)  # the names of these folders have their second
    files = sorted((tmp_path / "runs" / "a" / "wandb").glob("offline-run-*/*.wandb"))
    assert len({path.name for path in files}) == 1 and len(files) == 2  # one id
    kimg = [line["kimg"] for path in files for line in history(path) if "Progress/tick" in line]
    assert kimg == [0.004, 0.008, 0.012, 0.016]
    begun = [record for record in complete_records(files[0]) if record.WhichOneof("record_type") == "run"][
        0
    ].run
    assert (begun.project, begun.display_name, begun.run_group, list(begun.tags)) == (
        "stylegan",
        "a",
        "g",
        ["x", "y"],
    )


def test_the_configuration_is_logged_as_it_is_nested(tmp_path):
    assert train([*SMALL, "logger.wandb.offline=true", "loss.r1_gamma=0.25"]) == 0
    (path,) = (tmp_path / "runs" / "a" / "wandb").glob("offline-run-*/*.wandb")
    config = {}
    for record in complete_records(path):
        for update in [*record.config.update, *record.run.config.update]:
            config[update.key or ".".join(update.nested_key)] = json.loads(update.value_json)
    assert config["loss"]["r1_gamma"] == 0.25 and config["ada"]["target"] == 0.6
    assert config["generator"]["channel_max"] == 8 and config["data"]["num_items"] == 10


def test_no_row_is_logged_twice(tmp_path):
    """A run that was killed continues from a checkpoint, and comes by rows that it logged before."""

    def process(images):
        logger = WandbRun(offline=True, save_dir=tmp_path, project="test", id="same")
        for seen in images:
            log_means(logger, {"x": float(seen)}, seen)
        wandb.finish()
        time.sleep(1.1)  # the names of these folders have their second

    process([4, 8, 12])
    process([8, 12, 16])
    files = sorted((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    assert [line["x"] for path in files for line in history(path)] == [4, 8, 12, 16]


def test_a_server_that_fails_at_the_start_leaves_the_run_offline(tmp_path, server, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    logger = WandbRun(save_dir=tmp_path, project="test", id="one", init_timeout_sec=5)
    assert logger.away is None
    log_means(logger, {"x": 1.0}, 4)
    wandb.finish()
    assert "W&B cannot be reached" in capsys.readouterr().out
    (path,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    assert [line["x"] for line in history(path)] == [1.0]


@pytest.mark.parametrize(("login", "viewer"), [(401, {}), (403, {}), (200, None)])
def test_a_key_that_is_not_accepted_is_refused(tmp_path, server, monkeypatch, login, viewer):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    server.login, server.viewer = login, viewer
    with pytest.raises(
        ValueError, match="does not accept the key for W&B: run `wandb login`.*--relogin"
    ) as refused:
        WandbRun(save_dir=tmp_path)
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_that_is_out_of_order_is_away(tmp_path, server, monkeypatch, status):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    server.login = status
    assert f"answers with status {status}" in WandbRun(save_dir=tmp_path).away


def test_a_server_that_never_answers_is_away_soon(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        logger = WandbRun(save_dir=tmp_path, init_timeout_sec=0.5)
        assert logger.away and time.monotonic() - start < 10


def test_a_key_is_found_where_wandb_finds_it(tmp_path, server, monkeypatch):
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1:{server.server_port} login user password {KEY}\n")
    assert WandbRun(save_dir=tmp_path).away is None
    (tmp_path / "netrc").unlink()
    wandb.teardown()
    with pytest.raises(ValueError, match="there is no key"):
        WandbRun(save_dir=tmp_path)


@pytest.mark.parametrize("mode", ["offline", "dryrun", "disabled"])
def test_a_mode_that_uses_no_network_needs_no_key(tmp_path, monkeypatch, mode):
    monkeypatch.setenv("WANDB_MODE", mode)
    assert WandbRun(save_dir=tmp_path).away is None


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("WANDB_SILENT", "yess", "^WANDB_SILENT=yess: W&B cannot read this variable"),
        ("WANDB_MODE", "ofline", "^WANDB_MODE=ofline: .*'offline'"),
        ("WANDB_INIT_TIMEOUT", "soon", "^WANDB_INIT_TIMEOUT=soon: "),
        ("WANDB_BASE_URL", "somewhere", "^WANDB_BASE_URL: "),
        ("WANDB_PROJECT", "a/b", "^WANDB_PROJECT=a/b: "),
        ("WANDB_API_KYE", KEY, "^WANDB_API_KYE is no variable of W&B; did you mean WANDB_API_KEY?"),
        ("WANDB_PROJCT", "x", "did you mean WANDB_PROJECT?"),
        ("WANDB_TAG", "x", "did you mean WANDB_TAGS?"),
    ],
)
def test_a_mistyped_variable_is_named(name, value, message):
    with pytest.raises(ValueError, match=message) as refused:
        refuse_mistyped_variables({name: value, "PATH": "x"})
    assert KEY not in str(refused.value)


def test_variables_of_wandb_and_of_others_are_none_of_them():
    refuse_mistyped_variables(
        {
            "WANDB_DISABLE_CACHE": "1",
            "WANDB_SERVICE": "3-1-tcp",
            "WANDB_OUR_TEAM": "x",
            "WANDB_TAGS": "a,b",
            "X": "yess",
        }
    )


def test_a_key_of_the_wrong_form_is_one_line_without_it(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "short")
    with pytest.raises(ValueError, match="WANDB_API_KEY invalid.*`wandb login`") as refused:
        WandbRun(save_dir=tmp_path)
    assert "short" not in str(refused.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"project": "a/b"}, "^project must be one that W&B takes: .*'/'"),
        ({"tags": ["a" * 100]}, "^tags must be "),
        ({"id": "a/b"}, "^id must be "),
        ({"init_timeout_sec": 0}, "^init_timeout_sec must be above 0 seconds, got 0"),
        ({"finish_timeout_sec": -1}, "^finish_timeout_sec must be above 0"),
    ],
)
def test_a_value_that_wandb_does_not_take_is_named(tmp_path, values, message):
    with pytest.raises(ValueError, match=message):
        WandbRun(save_dir=tmp_path, offline=True, **values)


def test_a_run_that_wandb_has_lost_is_given_up_once(offline, capsys, monkeypatch):
    log_means(offline, {"x": 1.0}, 4)
    monkeypatch.setattr(type(offline.run), "log", lambda *_, **__: 1 / 0)
    for images in (8, 12):
        log_means(offline, {"x": 1.0}, images)
    assert capsys.readouterr().out.count("W&B takes no more rows (division by zero)") == 1


class Gone:
    """A run whose service has died: whatever it is asked fails."""

    id = "gone"

    def __getattr__(self, name):
        raise ConnectionResetError(104, f"Connection reset by peer in {name}")


@pytest.mark.parametrize("dies", ["at the beginning", "later"])
def test_a_service_that_dies_costs_one_line(tmp_path, capfd, monkeypatch, dies):
    logger = WandbRun(offline=True, save_dir=tmp_path, project="test", name="run")
    if dies == "later":
        monkeypatch.setattr(logger, "_begin", Gone)
    else:
        monkeypatch.setattr(logger, "_begin", lambda: Gone().config)
    logger.log_hyperparams({"seed": 1})
    define_kimg_axis([logger])
    log_image(logger, "reals", torch.zeros(3, 4, 4, dtype=torch.uint8), 0)
    for images in (4, 8):
        log_means(logger, {"x": 1.0}, images)
    logger.finalize("success")
    out, err = capfd.readouterr()
    assert out.count("warning     W&B takes no more rows ([Errno 104] Connection reset by peer") == 1
    assert out.count("\n") == 1 and err == ""
