"""Several processes that train one network: what comes out, what goes on, and that none hangs or stays."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
from tiny_study import NO_AVERAGE, NUMERICS, make_data, tiny_architecture, tiny_recipe, tiny_spec

from modules.errors import ConfigError, TrainingError, WorkerError
from modules.records import Part, TrialResult
from modules.store import Store
from modules.training import processes
from modules.training.callbacks import checkpoints
from modules.training.processes import num_processes, training_together
from modules.training.trial import run_trial
from modules.workers.pool import WorkerKilledError, WorkerPool

TRAIN = "modules.training.trial.train_trial"
SGD = Part(target="torch.optim.SGD", arguments={"momentum": 0.9})


def without_norms():
    """What a normalisation does depends on which images a process has."""
    architecture = tiny_architecture(dropout=0.0)
    norms = {node.name: node.inputs[0] for node in architecture.nodes if node.op == "norm"}
    kept = [node for node in architecture.nodes if node.op != "norm"]
    nodes = (node.updated(inputs=tuple(norms.get(name, name) for name in node.inputs)) for node in kept)
    return architecture.updated(nodes=tuple(nodes))


def together(spec, devices=2):
    return spec.updated(numerics=NUMERICS.updated(devices=devices, strategy="ddp"))


def arguments_of(spec, home):
    return {"spec": spec.model_dump(mode="json"), "home": str(home)}


def run(spec, home, report=lambda progress: None):
    return run_trial(spec, home, report)


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory):
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def pool(shared_home):
    with WorkerPool(1, threads=1, log_folder=shared_home / "logs") as one:
        yield one


@pytest.fixture(scope="module", autouse=True)
def no_siblings_stay():
    """Those of this process: tests that need a worker's own have a pool."""
    yield
    processes._end_siblings()


def in_pool(pool, spec, home, report=lambda progress: None):
    return TrialResult.model_validate(pool.call(TRAIN, arguments_of(spec, home), report))


@pytest.mark.parametrize("changes", [{}, {"most_at_once": 4}], ids=["whole", "in pieces"])
def test_two_processes_do_what_one_does(pool, shared_home, changes):
    """Batches of 17, of which one process has 9 images and the other 8: in pieces, three and two of them."""
    data = make_data(shared_home)
    recipe = tiny_recipe(architecture=without_norms(), optimizer=SGD, batch_size=17)
    spec = tiny_spec(data, 680, evaluate_every=136).updated(recipe=recipe, **changes)
    news = []
    alone, two = in_pool(pool, spec, shared_home), in_pool(pool, together(spec), shared_home, news.append)
    assert alone.key != two.key
    assert (alone.samples, alone.updates, len(alone.curve)) == (two.samples, two.updates, len(two.curve))
    for one, other in zip(alone.curve, two.curve, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-4)
        assert one.steer_loss == pytest.approx(other.steer_loss, rel=1e-4)
        assert one.steer_error == other.steer_error
    assert [each["samples"] for each in news if "steer_loss" in each] == [136, 272, 408, 544, 680]  # each look once
    store = Store(shared_home / "store")
    assert store.find("trials", two.key).record == {"key": two.key}
    assert checkpoints.written(store, two.key) == []
    assert (shared_home / "logs" / "rank-1.log").read_text() == ""


def test_with_normalisation_and_dropout_they_learn_as_well(pool, shared_home):
    """Each process normalises by its own images and draws its own dropout: another training, as good as the other."""
    recipe = tiny_recipe(architecture=tiny_architecture(dropout=0.1), augmentation=(), learning_rate=0.03)
    spec = tiny_spec(make_data(shared_home), 3200, evaluate_every=800).updated(recipe=recipe)
    alone, two = in_pool(pool, spec, shared_home), in_pool(pool, together(spec), shared_home)
    assert alone.state_sha256 != two.state_sha256
    assert two.steer_error == pytest.approx(alone.steer_error, abs=0.1)
    assert two.steer_loss == pytest.approx(alone.steer_loss, abs=0.15)


def test_what_was_set_for_them_is_gone_afterwards(home, data):
    """The environment, the threads, the group: a job that follows is what it would be without."""
    before, threads = dict(os.environ), torch.get_num_threads()
    alone = run(tiny_spec(data), home)
    Store(home / "store").remove("trials", alone.key)
    run(together(tiny_spec(data)), home)
    assert (dict(os.environ), torch.get_num_threads(), num_processes()) == (before, threads, 1)
    assert run(tiny_spec(data), home).state_sha256 == alone.state_sha256


def test_patience_and_batches_that_follow_the_noise_go_by_the_looks_of_the_first(home, data):
    growth = Part(
        target="modules.training.batching.noise_scale.NoiseScale", arguments={"ratio": 100.0, "max_batch_size": 32}
    )
    recipe = tiny_recipe(learning_rate=3.0, averaging=NO_AVERAGE, batching=growth)
    result = run(together(tiny_spec(data, 3200, evaluate_every=32, patience=3).updated(recipe=recipe)), home)
    losses = [point.steer_loss for point in result.curve]
    assert result.stopped_by == "patience"
    assert result.steer_loss == min(losses) < losses[-1]
    assert any(point.noise_scale for point in result.curve)


def test_they_go_back_together_when_the_loss_explodes(home, data):
    recipe = tiny_recipe(learning_rate=1e4, optimizer=SGD, averaging=NO_AVERAGE)
    spec = together(tiny_spec(data, 640, evaluate_every=160, max_retreats=40).updated(recipe=recipe))
    result = run(spec, home)
    assert result.retreats > 0
    assert result.samples == 640
    assert result.curve[-1].learning_rate == pytest.approx(1e4 * 0.5**result.retreats)


@pytest.mark.full
def test_a_training_that_diverges_is_said_once_and_in_one_sentence(home, data):
    recipe = tiny_recipe(learning_rate=1e30, optimizer=Part(target="torch.optim.SGD"), averaging=NO_AVERAGE)
    with pytest.raises(TrainingError, match="the training diverged"):
        run(together(tiny_spec(data, max_retreats=1).updated(recipe=recipe)), home)
    assert run(together(tiny_spec(data)), home).samples == 160


def test_a_batch_has_an_image_for_each(home, data):
    with pytest.raises(ConfigError, match=r"training\.batch_size=2 .* trainer\.devices=3"):
        run(together(tiny_spec(data).updated(recipe=tiny_recipe(batch_size=2)), devices=3), home)


def test_it_goes_on_from_a_checkpoint_to_the_same_bits(home, data, monkeypatch):
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN_WRITES", -1.0)
    recipe = tiny_recipe(architecture=without_norms())
    spec = together(tiny_spec(data, 480, evaluate_every=80).updated(recipe=recipe))
    undisturbed = run(spec, home)
    Store(home / "store").remove("trials", spec.key)

    def break_off(news):
        if news["samples"] >= 240:
            raise TrainingError("broken off")

    with pytest.raises(TrainingError, match="broken off"):
        run(spec, home, break_off)
    assert checkpoints.find_checkpoint(Store(home / "store"), spec.key).history["samples"] == 160
    assert run(spec, home).state_sha256 == undisturbed.state_sha256


def test_the_speed_is_measured_with_as_many_and_the_rate_is_looked_for_with_one(pool, shared_home):
    spec = together(tiny_spec(make_data(shared_home)))
    arguments = arguments_of(spec, shared_home)
    assert pool.call("modules.training.calibration.calibrate", arguments)["samples_per_second"] > 0
    found = pool.call("modules.training.range_test.find_rate", {**arguments, "key": "0" * 64})
    assert found["picked"] > 0


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            found.append(int(path.parent.name))
    return found


def long_spec(data):
    return together(tiny_spec(data, 160_000, evaluate_every=16_000))


def test_a_killed_sibling_ends_the_training_within_seconds(home, data):
    killed = []

    def kill(news):
        processes._siblings[1].process.kill()
        killed.append(time.monotonic())

    with pytest.raises(WorkerKilledError) as raised:
        run(long_spec(data), home, kill)
    assert time.monotonic() - killed[0] < 10
    assert "killed (signal 9)" in str(raised.value)
    assert "rank-1.log" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert Store(home / "store").find("trials", long_spec(data).key) is None


@pytest.mark.full
def test_a_sibling_that_fails_before_it_trains_is_not_waited_for(home):
    numerics = NUMERICS.updated(devices=2, strategy="ddp")
    with (
        pytest.raises(WorkerError, match=r"train_along failed: TypeError"),
        training_together(numerics, home, "modules.training.trial.train_along", {"nonsense": 1}),
    ):
        pytest.fail("it went on without its sibling")
    assert "Traceback" in (home / "logs" / "rank-1.log").read_text()


@pytest.mark.full
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_killed_sibling_is_to_the_pool_a_killed_worker_and_one_ends_when_its_worker_does(home, data, caplog):
    family = []

    def kill_sibling_once(news):
        first = not family
        family.extend(family_of(pool))
        if first:
            os.kill(family[1], signal.SIGKILL)

    with WorkerPool(1, threads=1, log_folder=home / "logs") as pool:
        assert in_pool(pool, together(tiny_spec(data, 3200)), home, kill_sibling_once).samples == 3200
        assert "was killed (signal 9)" in caplog.text
        assert "tried again" in caplog.text
        worker, sibling = family_of(pool)
        assert worker == family[0]
        assert sibling != family[1]
        closing = threading.Timer(0.5, pool.close)  # in the middle of their work
        closing.start()
        with pytest.raises(WorkerKilledError):
            in_pool(pool, long_spec(data), home)
        closing.join()
    assert_gone([*family, worker, sibling])


def family_of(pool):
    """A worker and its siblings, by process number."""
    (worker,) = pool._all
    return [worker.process.pid, *children(worker.process.pid)]


def assert_gone(family):
    for _ in range(100):
        if not any(map(is_alive, family)):
            return
        time.sleep(0.1)
    pytest.fail(f"still there: {[pid for pid in family if is_alive(pid)]}")
