"""A study that nobody ran, with all that a report can show."""

import math
import random

from modules.records import (
    Certificate,
    CurvePoint,
    DataRecord,
    GenerationRecord,
    Interval,
    Ledger,
    LedgerRow,
    TrialResult,
)
from modules.report.view import LayerView, StudyView

_EDITS = (
    ("widen_layer", "Widen conv2 from 48 to 60 channels.", "Conv2 has no dead channel: it may be too narrow.", 1.21),
    ("add_layer", "Add a residual 3x3 convolution after act2.", "Training and steer loss are close.", 1.34),
    ("narrow_layer", "Narrow conv1 from 24 to 18 channels.", "6 channels of conv1 are nearly silent.", 0.84),
    ("replace_layer", "Replace the flatten by a global pool.", "The dense layer holds most parameters.", 0.62),
    ("remove_layer", "Remove conv3 and what belongs to it.", "Its input and output are alike (0.97).", 0.71),
)


def trial(number: int, params: int, seed: int, samples: int, start: float, end: float, recipe: str) -> TrialResult:
    """A trial whose steer loss falls from `start` to `end`."""
    noise = random.Random(number)
    num_points = 10
    curve = []
    for point in range(1, num_points + 1):
        share = point / num_points
        loss = end + (start - end) * math.exp(-4 * share) + noise.gauss(0, 0.003 * (1.2 - share))
        curve.append(
            CurvePoint(
                samples=samples * point // num_points,
                epoch=point,
                learning_rate=0.01,
                batch_size=128,
                train_loss=loss * 0.8,
                steer_loss=loss,
                steer_error=loss * 0.3,
                seconds=30 * share,
            )
        )
    return TrialResult(
        key=f"{number:032x}",
        recipe=recipe,
        seed=seed,
        state_sha256="a" * 64,
        weights_sha256="b" * 64,
        samples=samples,
        epochs=samples / 48_000,
        updates=samples // 128,
        params=params,
        flops=210 * params,
        seconds=30.0,
        started_at=1_700_000_000.0 + 40 * number,
        finished_at=1_700_000_030.0 + 40 * number,
        peak_memory_bytes=700_000_000,
        stopped_by="samples",
        steer_loss=curve[-1].steer_loss,
        steer_error=curve[-1].steer_error,
        curve=tuple(curve),
    )


def interval(estimate: float, error: float) -> Interval:
    return Interval(estimate=estimate, low=estimate - 1.96 * error, high=estimate + 1.96 * error, standard_error=error)


class _Maker:
    def __init__(self) -> None:
        self.trials: dict[str, TrialResult] = {}
        self.noise = random.Random(5)

    def train(self, params: int, seed: int, samples: int, start: float, end: float, recipe: str) -> str:
        made = trial(len(self.trials), params, seed, samples, start, end, recipe)
        self.trials[made.key] = made
        return made.key

    def row(self, generation: int, edit: int, parent: TrialResult, end: float, kept: bool) -> LedgerRow:
        name, description, reason, factor = _EDITS[edit]
        params = round(parent.params * factor)
        recipe = f"{100 * generation + edit:032x}"
        effect = -0.011 if kept else self.noise.uniform(-0.002, 0.008)
        seeds = (0, 1) if kept else (0,)
        keys = tuple(self.train(params, seed, 24_000, parent.steer_loss, end + effect, recipe) for seed in seeds)
        return LedgerRow(
            generation=generation,
            edit=name,
            description=description,
            reason=reason,
            parent=parent.recipe,
            recipe=recipe,
            trials=keys,
            certificate=Certificate(
                kind="exact" if edit < 2 else "lossy",
                max_logit_change=1e-6,
                tolerance=1e-4 if edit < 2 else None,
                params_before=parent.params,
                params_after=params,
                flops_before=parent.flops,
                flops_after=210 * params,
            ),
            steer_effect=interval(effect, 0.0021),
            confirm_effect=interval(effect + 0.0012, 0.0024) if kept else None,
            steer_error=0.02,
            p_value=0.0004 if kept else 0.61,
            kept=kept,
            confirmed=True if kept and generation != 2 else (False if kept else None),
            verdict="kept: better than the control by more than chance, and again with a second seed"
            if kept
            else "not kept: no better than the control beyond chance (p = 0.61)",
            params=params,
            flops=210 * params,
            seconds=31.0 * len(keys),
            energy_wh=0.034 * len(keys),
        )

    def control(self, generation: int, parent: TrialResult, end: float, kept: bool) -> LedgerRow:
        keys = tuple(self.train(parent.params, s, 24_000, parent.steer_loss, end, parent.recipe) for s in (0, 1))
        return LedgerRow(
            generation=generation,
            edit="control",
            description="The parent, trained on.",
            reason="",
            parent=parent.recipe,
            recipe=parent.recipe,
            trials=keys,
            certificate=None,
            steer_effect=None,
            confirm_effect=None,
            steer_error=0.02,
            p_value=None,
            kept=kept,
            confirmed=None,
            verdict="kept: no edit earned its place" if kept else "",
            params=parent.params,
            flops=parent.flops,
            seconds=62.0,
        )


def made_up_view(num_generations: int = 4) -> StudyView:
    """Kept edits, a generation that the control won, both final trainings, a test set of ten classes."""
    maker = _Maker()
    baseline = maker.train(41_226, 0, 96_000, 2.3, 0.19, f"{99:032x}")
    parent, end = maker.trials[baseline], 0.16
    generations = []
    for number in range(1, num_generations + 1):
        kept = None if number % 3 == 0 else (number - 1) % 5
        tried = [(number + shift - 1) % 5 for shift in range(3)]
        rows = [maker.control(number, parent, end, kept is None)]
        rows += [maker.row(number, edit, parent, end, edit == kept) for edit in tried]
        winner = next(row for row in rows if row.kept)
        generations.append(
            GenerationRecord(
                number=number,
                parent=parent.recipe,
                winner=winner.recipe,
                winner_trial=winner.trials[0],
                rows=tuple(rows),
                smallest_effect=0.0058,
                noise=0.0021,
            )
        )
        parent, end = maker.trials[winner.trials[0]], end * 0.86
    final = []
    for name, start, kept_final in (("final: continued", parent.steer_loss, True), ("final: from scratch", 2.3, False)):
        row = maker.control(num_generations + 1, parent, end, kept_final)
        key = maker.train(parent.params, 0, 240_000, start, 0.042 if kept_final else 0.047, parent.recipe)
        verdict = (
            "kept: lower cross-entropy on confirm"
            if kept_final
            else "not kept: cross-entropy on confirm higher by 0.005"
        )
        description = "The winner's recipe from its inherited weights." if kept_final else "The same from new weights."
        final.append(row.updated(edit=name, trials=(key,), description=description, verdict=verdict, seconds=301.0))
    confusion = tuple(
        tuple(
            980 if true == predicted else {(4, 9): 11, (9, 4): 7, (7, 2): 6, (3, 5): 4}.get((true, predicted), 0)
            for predicted in range(10)
        )
        for true in range(10)
    )
    wrong = sum(sum(row) - row[index] for index, row in enumerate(confusion))
    total = sum(map(sum, confusion))
    return StudyView(
        summary={
            "schema": 1,
            "study": "mnist-3fa9c1d2",
            "state": "completed",
            "seed": 0,
            "data": {"name": "mnist", "digest": "d" * 32},
            "seconds": 1543.2,
            "energy": {
                "wh": 4.2,
                "method": "estimate: processor time at 4 W a busy core (a typical figure)",
                "measured": False,
                "co2_g": 1.6,
                "grid": "DEU",
                "grams_per_kwh": 381,
                "inference_mj": 1.2,
            },
            "test_openings": 1,
            "trials": {"count": len(maker.trials), "reused": 3, "failed": 0},
            "champion": {
                "recipe": parent.recipe,
                "weights_sha256": "b" * 64,
                "params": parent.params,
                "flops": parent.flops,
                "val_error": 0.0049,
                "test_error": wrong / total,
                "latency_ms": 0.31,
            },
            "ledger": "studies/mnist-3fa9c1d2/ledger.json",
            "report": "studies/mnist-3fa9c1d2/report.html",
            "bundle": None,
            "command": "espalier run data=mnist budget.minutes=30",
            "versions": {"torch": "2.13.0"},
        },
        ledger=Ledger(study="mnist-3fa9c1d2", baseline=baseline, generations=tuple(generations), final=tuple(final)),
        trials=maker.trials,
        data=DataRecord(
            name="mnist",
            digest="d" * 32,
            test_digest="e" * 32,
            folder="store/data/dd/" + "d" * 32,
            classes=tuple("0123456789"),
            image_shape=(1, 28, 28),
            num_images={"train": 48_012, "steer": 5_988, "confirm": 6_000, "test": total},
            num_groups={"train": 47_000, "steer": 5_900, "confirm": 5_900, "test": 9_800},
            mean=(0.13,),
            std=(0.31,),
            notes=("3 training images that also occur in the test set were left out.",),
        ),
        confusion=confusion,
        plan={"samples": {"baseline": 96_000, "slice": 24_000, "final": 240_000}, "generations": num_generations},
        command="espalier run data=mnist budget.minutes=30",
        versions={"torch": "2.13.0", "python": "3.11.9", "espalier": "0.1.0"},
        stop_reason="The search ended because two generations in a row kept nothing.",
        layers=(
            LayerView(name="conv1", kind="convolution 4 × 4, stride 2", output="24 × 14 × 14", params=384),
            LayerView(name="norm1", kind="batch normalisation", output="24 × 14 × 14", params=48),
            LayerView(name="act1", kind="relu", output="24 × 14 × 14", params=0),
            LayerView(name="dense", kind="dense", output="10", params=970),
        ),
        machine_test_openings=7,
        report="mlruns/studies/mnist-3fa9c1d2/report.html",
        tracking="sqlite:///mlruns/mlflow.db",
    )
