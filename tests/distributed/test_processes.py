"""Which process this is: what torchrun and Slurm say in the environment, and what other jobs left there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylegan.configuration.batches import devices_of_run
from stylegan.configuration.compose import composed
from stylegan.distributed.processes import Process, Waiting, first_node, this_process

# As `srun` on 2 nodes with 2 tasks each sets them, in task 3.
SLURM = {
    "SLURM_JOB_ID": "1234567",
    "SLURM_STEP_ID": "1",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_NTASKS": "4",
}
TORCHRUN = {
    "RANK": "3",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "4",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "10.0.0.1",
    "MASTER_PORT": "29611",
}


def test_alone():
    assert this_process({}) == Process()
    # The shell of an allocation has Slurm's variables, and one command in it is one process.
    assert this_process({"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_JOB_ID": "1"}).world == 1
    assert this_process({**SLURM, "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}).world == 1


LEFT_OVER = {
    "RANK": "1",
    "LOCAL_RANK": "3",
    "WORLD_SIZE": "4",
    "NODE_RANK": "1",
    "MASTER_ADDR": "10.0.0.1",
    "MASTER_PORT": "29500",
    "SLURM_JOB_ID": "77",
    "SLURM_JOB_NAME": "train",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "2",
    "TORCHELASTIC_RUN_ID": "5",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
    "KUBERNETES_PORT": "tcp://10.0.0.1",
    "LSB_JOBID": "3",
    "LSB_DJOB_RANKFILE": "hosts",
    "JSM_NAMESPACE_RANK": "1",
    "JSM_NAMESPACE_LOCAL_RANK": "1",
    "JSM_NAMESPACE_SIZE": "2",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_RANK": "2",
    "PMI_SIZE": "4",
    "PMI_RANK": "2",
}


@given(st.sets(st.sampled_from(sorted(LEFT_OVER))))
def test_what_a_job_has_left_makes_one_process_or_is_named(names):
    try:
        process = this_process({name: LEFT_OVER[name] for name in names})
    except ValueError as error:
        assert {"RANK", "WORLD_SIZE"} <= names and "MASTER_ADDR" not in names and "MASTER_ADDR" in str(error)
    else:
        # All that a launcher sets is believed: nothing tells it from what is left of it.
        assert (process.world > 1) == ({"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= names)


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK"])
@pytest.mark.parametrize("text", ["", "abc"])
def test_a_number_that_lightning_would_fail_to_read_is_named(name, text):
    with pytest.raises(ValueError, match=f"says {name}={text}, which is not a number; unset it"):
        this_process({name: text})


def test_waiting_for_processes_is_said_once(capsys, monkeypatch):
    waiting = Waiting(this_process(TORCHRUN))
    waiting.say_once(lambda: 3)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("stylegan.distributed.processes._SILENT_SEC", -1.0)
    waiting.say_once(lambda: 3)
    waiting.say_once(lambda: 3)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert (
        "waiting at 10.0.0.1:29611 for 3 more; where nothing starts them, unset RANK and WORLD_SIZE" in said
    )


def test_of_torchrun():
    process = this_process(TORCHRUN)
    assert (process.rank, process.local_rank, process.world, process.local_world) == (3, 1, 4, 2)
    assert (process.address, process.port) == ("10.0.0.1", 29611)
    assert (process.num_nodes, process.node) == (2, 1)
    # torchrun inside a Slurm step: its processes are what counts.
    assert this_process({**SLURM, **TORCHRUN}) == process


def test_of_slurm():
    process = this_process(SLURM)
    assert (process.rank, process.local_rank, process.world, process.local_world) == (3, 1, 4, 2)
    assert (process.address, process.num_nodes, process.node) == ("gpu07", 2, 1)
    # All tasks of a step meet at the same port, another step of the job at another one.
    assert this_process({**SLURM, "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}).port == process.port
    assert this_process({**SLURM, "SLURM_STEP_ID": "2"}).port != process.port
    chosen = this_process({**SLURM, "MASTER_ADDR": "head", "MASTER_PORT": "1234"})
    assert (chosen.address, chosen.port) == ("head", 1234)


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("gpu1", "gpu1"),
        ("gpu[03-07,12]", "gpu03"),
        ("gpu[3,5],x[1-2]", "gpu3"),
        ("a,b", "a"),
        ("rack[1-2]-ib,x", "rack1-ib"),
        ("rack[1-2]node[3-4]", "rack1node3"),
        ("rack[1,4]node[3-4]-ib,x[1-2]", "rack1node3-ib"),
        ("", ""),
    ],
)
def test_the_first_of_slurms_nodes(nodes, first):
    assert first_node(nodes) == first


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"SLURM_STEP_NUM_TASKS": "two"}, "SLURM_STEP_NUM_TASKS=two"),
        ({**TORCHRUN, "LOCAL_WORLD_SIZE": "0"}, "torchrun started process 3 of 4, 0 on this node"),
        ({**TORCHRUN, "MASTER_PORT": "70000"}, "MASTER_PORT=70000"),
    ],
)
def test_numbers_that_cannot_be_are_said(environment, said):
    with pytest.raises(ValueError, match=said):
        this_process(environment)


@given(st.sampled_from(sorted(TORCHRUN)), st.text(max_size=5))
def test_nonsense_in_the_environment_is_said(name, text):
    """Any text in any variable gives a process that makes sense, or a line that names the variable or the starter."""
    try:
        process = this_process({**TORCHRUN, name: text})
    except ValueError as error:
        assert name in str(error) or "torchrun started process" in str(error)
    else:
        assert 0 <= process.rank < process.world and process.world % process.local_world == 0


@given(
    st.builds(
        Process,
        rank=st.integers(0, 9),
        world=st.just(10),
        local_rank=st.integers(0, 4),
        local_world=st.sampled_from([1, 2, 5, 10]),
        port=st.integers(1, 65535),
        starter=st.just("torchrun"),
    )
)
def test_what_a_process_gets_is_read_back(process):
    assert this_process(process.environment()) == process


@pytest.mark.parametrize(
    ("words", "started", "devices", "nodes"),
    [
        ([], 1, 1, 1),
        (["trainer.devices=2"], 1, 2, 1),
        (["trainer=ddp", "trainer.devices=2"], 1, 2, 1),
        (["trainer=ddp"], 4, 2, 2),
        (["trainer.devices=2", "trainer.num_nodes=2"], 4, 2, 2),
    ],
)
def test_devices_are_those_that_are_there_or_will_be(words, started, devices, nodes):
    config = composed("train", words).config
    process = this_process(TORCHRUN) if started == 4 else Process()
    count, settled = devices_of_run(config.trainer, process)
    assert count == devices * nodes
    asked = {"trainer.devices": config.trainer.devices, "trainer.num_nodes": config.trainer.num_nodes}
    assert asked | settled == {"trainer.devices": devices, "trainer.num_nodes": nodes}


def test_other_processes_than_requested_are_refused():
    with pytest.raises(
        ValueError, match="torchrun started 4 processes, trainer.devices=1 and trainer.num_nodes=1"
    ):
        devices_of_run(composed("train").config.trainer, this_process(TORCHRUN))
