"""A training that is killed, at any update, goes on from its last checkpoint to the bits of one that was not."""

import multiprocessing
import os
import signal

import pytest
import torch
from tiny_study import ADAMW, ema, schedule, tiny_recipe, tiny_spec

from modules.records import Part
from modules.store import Store
from modules.training import training
from modules.training.callbacks import checkpoints
from modules.training.callbacks.checkpoints import Checkpoints, find_checkpoint, written
from modules.training.history import History
from modules.training.spec import Start, TrialSpec
from modules.training.states import read_state
from modules.training.trial import run_trial

UPDATES = 40
KILLED_AFTER = range(1, UPDATES, 4)  # ten moments

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["modules.training.trial"])


def part(group: str, name: str, **arguments) -> Part:
    return Part(target=f"modules.{group}.{name}", arguments=arguments)


RECIPES = {
    "everything at once": {
        "optimizer": ADAMW,
        "schedule": schedule("Plateau", patience=1, factor=0.5),
        "batching": part("training.batching", "plateau.Plateau", patience=0, factor=1.5),
        "averaging": ema(64.0),
        "mixing": part("augmentation.mixing", "mixup.Mixup", alpha=0.4),
    },
    "schedule-free": {
        "optimizer": part("training.optimizers", "schedule_free_adamw.ScheduleFreeAdamW"),
        "averaging": part("training.averages", "none.NoAverage"),
    },
    "muon, stochastic weight averaging": {
        "optimizer": part("training.optimizers", "muon.Muon"),
        "averaging": part("training.averages", "swa.Swa", start_fraction=0.5),
        "schedule": schedule("OneCycle"),
    },
}


def spec_of(data, name: str) -> TrialSpec:
    spec = tiny_spec(data, UPDATES * 16, evaluate_every=UPDATES * 16 // 7, patience=6)
    return spec.updated(recipe=tiny_recipe(**RECIPES[name]))


def train_until_killed(spec, home, updates: int) -> None:
    """In a process of its own."""
    checkpoints.SECONDS_BETWEEN_WRITES = -1.0
    training.checkpoint_samples = lambda architecture: 48
    count = History.count

    def count_and_die(history: History, num_samples: int, loss: float) -> None:
        count(history, num_samples, loss)
        if history.updates == updates:
            os.kill(os.getpid(), signal.SIGKILL)

    History.count = count_and_die
    run_trial(spec, home, lambda progress: None)


@pytest.fixture
def dense_checkpoints(monkeypatch):
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN_WRITES", -1.0)
    monkeypatch.setattr(training, "checkpoint_samples", lambda architecture: 48)


@pytest.mark.parametrize("name", RECIPES)
def test_killed_at_ten_moments_it_ends_with_the_same_bits(home, data, name, dense_checkpoints):
    spec, store = spec_of(data, name), Store(home / "store")
    undisturbed = run_trial(spec, home, lambda progress: None)
    store.remove("trials", spec.key)
    went_on_from = []
    for updates in (each for each in KILLED_AFTER if each < undisturbed.updates):
        child = processes.Process(target=train_until_killed, args=(spec, home, updates))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        checkpoint = find_checkpoint(store, spec.key)
        went_on_from.append(checkpoint.history["updates"] if checkpoint else 0)
        assert len(written(store, spec.key)) <= 2  # one, and the one before where the kill fell between the two
    resumed = run_trial(spec, home, lambda progress: None)
    assert (resumed.state_sha256, resumed.weights_sha256) == (undisturbed.state_sha256, undisturbed.weights_sha256)
    assert bare(resumed) == bare(undisturbed)
    assert went_on_from == sorted(went_on_from)
    assert went_on_from[-1] > went_on_from[1] > 0
    assert written(store, spec.key) == []


def test_a_killed_slice_goes_on_with_the_batch_of_the_slice_before(home, data, dense_checkpoints):
    store = Store(home / "store")
    growth = part("training.batching", "plateau.Plateau", patience=1, threshold=0.9, factor=1.5)
    recipe = tiny_recipe(batch_size=8, batching=growth)
    first = tiny_spec(data, 320, evaluate_every=80).updated(recipe=recipe)
    parent = run_trial(first, home, lambda progress: None)
    start = Start(kind="trials", key=parent.key, state_sha256=parent.state_sha256)
    piece = first.slice.updated(samples=480, first_sample=parent.samples)
    spec = first.updated(slice=piece, start=start)
    undisturbed = run_trial(spec, home, lambda progress: None)
    assert 8 < undisturbed.curve[0].batch_size < undisturbed.curve[-1].batch_size
    store.remove("trials", spec.key)
    child = processes.Process(target=train_until_killed, args=(spec, home, undisturbed.updates // 2))
    child.start()
    child.join()
    assert find_checkpoint(store, spec.key).history["updates"] > 0
    resumed = run_trial(spec, home, lambda progress: None)
    assert (resumed.state_sha256, resumed.weights_sha256) == (undisturbed.state_sha256, undisturbed.weights_sha256)
    assert bare(resumed) == bare(undisturbed)


def bare(result):
    """A result without what the clock says."""
    curve = [point.model_dump(exclude={"seconds"}) for point in result.curve]
    return {**result.model_dump(include={"samples", "updates", "stopped_by", "steer_loss", "steer_error"}), "c": curve}


def test_the_time_before_the_kill_counts(home, data, dense_checkpoints):
    spec, store = spec_of(data, "everything at once"), Store(home / "store")
    child = processes.Process(target=train_until_killed, args=(spec, home, 20))
    child.start()
    child.join()
    kept = find_checkpoint(store, spec.key).history
    before, wh_before = kept["seconds"], kept["energy_wh"]
    result = run_trial(spec, home, lambda progress: None)
    assert result.seconds > before > 0
    assert result.energy_wh > wh_before > 0
    seconds = [point.seconds for point in result.curve]
    assert seconds == sorted(seconds)


def test_two_studies_that_train_the_same_leave_each_other_the_latest_state(home, data):
    store, key = Store(home / "store"), "a" * 32

    def states(*moments):
        history = History(total_samples=1000, epoch_samples=1)
        writer = Checkpoints(store, key, history, 1000, 9.0, lambda: {"model.weight": torch.zeros(2)})
        for samples in moments:
            history.count(samples - history.samples, 1.0)
            writer.pause()
            yield

    one, other = states(100, 200, 400), states(100, 300)
    left = []
    for writer in (one, other, other, one, one):
        next(writer)
        left.append([int(name.rpartition("-")[2]) for name in written(store, key)])
    assert left == [[100], [100], [300], [200, 300], [400]]


def test_a_checkpoint_that_goes_while_it_is_read_is_none(home, data, monkeypatch):
    store, key = Store(home / "store"), "a" * 32
    history = History(total_samples=1000, epoch_samples=1)
    history.count(100, 1.0)
    Checkpoints(store, key, history, 1000, 9.0, lambda: {"model.weight": torch.zeros(2)}).pause()

    def other_removes_it(path):
        store.remove(checkpoints.KIND, f"{key}-{100:012d}")
        return read_state(path)

    assert find_checkpoint(store, key) is not None
    monkeypatch.setattr(checkpoints, "read_state", other_removes_it)
    assert find_checkpoint(store, key) is None


def test_a_damaged_checkpoint_is_not_trusted(home, data, dense_checkpoints, caplog):
    spec, store = spec_of(data, "everything at once"), Store(home / "store")
    undisturbed = run_trial(spec, home, lambda progress: None)
    store.remove("trials", spec.key)
    child = processes.Process(target=train_until_killed, args=(spec, home, 20))
    child.start()
    child.join()
    path = store.folder(checkpoints.KIND, written(store, spec.key)[-1]) / "state.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    resumed = run_trial(spec, home, lambda progress: None)
    assert "is damaged" in caplog.text
    assert resumed.state_sha256 == undisturbed.state_sha256
