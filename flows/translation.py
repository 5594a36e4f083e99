"""From the configuration to the plain arguments that the modules take: flows read settings, no module does."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from modules.augmentation.strength import strengthened
from modules.config import Settings
from modules.config.variations import STRENGTH
from modules.data.load import load_data
from modules.energy.meter import MeterChoice
from modules.pretrained.backbone import Backbone
from modules.recipe import Distillation, Recipe
from modules.records import DataRecord, Numerics, Part
from modules.search.first_recipe import averaging_of, batch_size_of, first_recipe, leaves_width_open, model_of
from modules.search.laboratory import Laboratory
from modules.search.limits import Limits
from modules.search.plan import Wishes
from modules.search.selecting.workplace import KEEP_ALL
from modules.store import Store
from modules.workers.pool import Workers


def configured_data(settings: Settings, store: Store) -> DataRecord:
    """The data that the settings name, read, split and stored under the home that `store` lies in."""
    data = settings.data
    fractions = (data.steer_fraction, data.confirm_fraction, data.test_fraction)
    corrections = Path(data.corrections) if data.corrections else None
    return load_data(data.reader, data.name, fractions, data.split_seed, store.root.parent, store, corrections)


def configured_laboratory(settings: Settings, home: Path, pool: Workers, data: DataRecord) -> Laboratory:
    """Where trials on `data` are done, with what the workers say that they compute with."""
    wished = settings.trainer.model_dump(include={"precision", "accelerator", "devices", "strategy"})
    numerics = Numerics.model_validate(pool.call("modules.training.numerics.describe_numerics", wished))
    balanced = settings.objective.kind == "balanced_accuracy"
    return Laboratory(home, pool, numerics, data, balanced=balanced, meter=configured_meter(settings))


def configured_meter(settings: Settings) -> MeterChoice:
    """What counts the energy of a study and of its trials."""
    return MeterChoice(kind=settings.energy.meter, watts=settings.energy.watts_per_core)


def configured_backbones(settings: Settings) -> tuple[Backbone, ...]:
    """The networks whose pretrained weights a study may start from."""
    return tuple(Backbone(**choice.model_dump()) for choice in settings.backbones)


def configured_recipe(settings: Settings, data: DataRecord) -> Recipe:
    """The first recipe, yet without augmentation, and with all images where a selection has to be found."""
    training = settings.training
    return first_recipe(
        data,
        model=settings.model,
        initialisation=settings.initialisation,
        optimizer=settings.optimizer,
        schedule=settings.schedule,
        selection=KEEP_ALL if settings.finds_selection else settings.selection,
        balance=settings.balance,
        batching=settings.batching,
        averaging=settings.averaging,
        mixing=settings.mixing,
        learning_rate=training.learning_rate or training.default_learning_rate,
        batch_size=training.batch_size,
        label_smoothing=training.label_smoothing or 0.0,
        dropout=training.dropout,
        gradient_clip=training.gradient_clip,
    )


def configured_teacher(settings: Settings, trial: str, weights_sha256: str) -> Distillation | None:
    """What a trained network teaches one that shrinks; None where it is to learn from labels alone."""
    if (distillation := settings.transfer.distillation) is None:
        return None
    return Distillation(teacher=trial, weights_sha256=weights_sha256, **dict(distillation))


def varied_recipe(
    recipe: Recipe,
    settings: Settings,
    keys: Collection[str],
    data: DataRecord,
    transforms: Sequence[Part],
    width: float | None = None,
) -> Recipe:
    """The recipe with what `settings` say about these keys; all else stays, also what a search has changed before.

    A strength is times that of `transforms`, which the study began with; `width` is that of a model without its own.
    """
    num_train, training = data.num_images["train"], settings.training
    changes: dict[str, Any] = {}
    for key in (key for key in keys if key != STRENGTH):
        group, _, name = key.partition(".")
        if group == "model":
            open_width = width if leaves_width_open(settings.model) else None
            changes["architecture"] = model_of(settings.model, data, open_width)
        elif group == "augmentation":
            settled = settings.augmentation
            changes |= {
                "augmentation": settled.transforms,
                "augmentation_mode": settled.mode,
                "augmentation_copies": settled.copies,
            }
        elif group == "averaging":
            changes["averaging"] = averaging_of(settings.averaging, num_train)
        elif key == "training.batch_size":
            changes["batch_size"] = batch_size_of(training.batch_size, num_train)
        elif group == "training":
            changes[name] = getattr(training, name)
        else:
            changes[group] = getattr(settings, group)
    if changes.get("dropout") == changes.get("architecture", recipe.architecture).dropout:
        changes["dropout"] = None  # as the network has it
    if STRENGTH in keys:
        transforms = changes.get("augmentation", transforms)
        changes["augmentation"] = strengthened(transforms, settings.augmentation.strength)
    return recipe.updated(**changes)


def configured_limits(settings: Settings) -> Limits:
    """What a model may cost."""
    return Limits(**settings.objective.model_dump(include=set(Limits.model_fields)))


def configured_wishes(settings: Settings) -> Wishes:
    """What the plan is asked for."""
    search, budget = settings.search, settings.budget
    return Wishes(
        search=search.kind,
        generations=search.generations,
        edits_per_generation=search.edits_per_generation,
        slice_samples=search.slice_samples,
        baseline_samples=search.baseline_samples,
        final_samples=search.final_samples,
        from_scratch=search.from_scratch,
        halving=search.halving,
        least_images=search.least_images,
        max_epochs=settings.training.max_epochs,
        minutes=budget.minutes,
        wh=budget.wh,
        trials=budget.trials,
        samples=budget.samples,
        tries=search.tries,
        races=len(search.optimizers),
        space_share=search.space_share if search.space is not None else 0.0,
        front_size=settings.objective.front_size if settings.objective.is_pareto else 0,
    )
