"""What a study's limits say of its networks while it runs."""

from collections.abc import Sequence
from functools import partial

from flows.study import Study
from flows.translation import configured_limits
from flows.trials import attempted
from modules.architecture.channels import resizable_groups, resized
from modules.architecture.description import Architecture
from modules.errors import ConfigError
from modules.recipe import Recipe
from modules.search.failed import Failed
from modules.search.front import Member
from modules.search.generation import Trunk
from modules.search.limits import Cost
from modules.search.plan import Plan


def measured_cost(study: Study, architecture: Architecture) -> Cost:
    """What a network costs, with its latency where that is limited."""
    return configured_limits(study.settings).cost_of(architecture, study.laboratory.latency_ms)


def cost_of(study: Study, architecture: Architecture) -> Cost | Failed:
    """What a network costs that the study can do without; why nobody can say, where measuring its latency fails."""
    measure = partial(measured_cost, study, architecture)
    came = attempted(study, f"to measure the latency of {architecture.content_digest}", measure)
    return Failed(f"its latency could not be measured: {came.reason}") if isinstance(came, Failed) else came


def excess_of(study: Study, architecture: Architecture) -> str | None:
    """Half a sentence about a limit that a network exceeds; None where it exceeds none."""
    return configured_limits(study.settings).objection(measured_cost(study, architecture))


def check_limits(study: Study, architecture: Architecture) -> None:
    """A first network beyond the limits can only be shrunk, so where no edit does that it is refused."""
    objection = excess_of(study, architecture)
    if objection is None:
        return
    if study.settings.search.kind in ("none", "sweep"):
        raise ConfigError(f"{objection}: allowed is search=edits, which can shrink it, model=auto or another width")
    limits, smallest = configured_limits(study.settings), narrowest(architecture)
    if limits.objection(Cost.of(smallest)) is not None:
        raise ConfigError(
            f"{objection}, and narrowed as far as it goes it still has {smallest.params:,} parameters and does "
            f"{smallest.flops:,} operations an image: allowed are limits from there on, or a smaller network"
        )
    study.progress.say(f"{objection}: it has to shrink first", "yellow")


def check_shrinks(study: Study, plan: Plan, architecture: Architecture) -> None:
    """A first network beyond the limits is refused where the plan has no generation that could shrink it."""
    objection = excess_of(study, architecture)
    if objection is not None and not plan.generations and not plan.try_samples:
        raise ConfigError(
            f"{objection}, and the plan has no generation of edits that could shrink it: allowed is a larger budget, "
            "search.generations=1 or more, or a network within the limit"
        )


def narrowest(architecture: Architecture) -> Architecture:
    """A network with the fewest channels that each of its groups can have."""
    for group in resizable_groups(architecture):
        architecture = resized(architecture, group, group.block)
    return architecture


def halvings_of(study: Study, architecture: Architecture) -> int:
    """How often a network has to be halved to come within the limits."""
    return configured_limits(study.settings).halvings(measured_cost(study, architecture))


def demanded_by_limits(study: Study, plan: Plan, trunk: Trunk, edited: Sequence[Recipe | None]) -> list[int]:
    """The edited of which one has to be kept, so that a network that exceeds a limit comes below it in time."""
    if study.settings.objective.is_pareto:
        return []
    before = measured_cost(study, trunk.trained.recipe.architecture)
    after = [None if each is None else measured_cost(study, each.architecture) for each in edited]
    left = plan.generations - sum(record.contest is None for record in trunk.generations)
    return configured_limits(study.settings).demanded(before, after, left)


def within_limits(study: Study, front: Sequence[Member]) -> Sequence[Member]:
    """The members of a front that exceed no limit; all, with a warning, where the generations led to none."""
    objections = [excess_of(study, member.trained.recipe.architecture) for member in front]
    within = [member for member, objection in zip(front, objections, strict=True) if objection is None]
    if not within:
        study.progress.say(f"{objections[0]}: the generations were too few to shrink it so far", "yellow")
    elif len(within) < len(front):
        beyond = len(front) - len(within)
        study.progress.say(f"{beyond} of {len(front)} networks of the front exceed a limit and are left out", "yellow")
    return within or front


def say_limits(study: Study, trunk: Trunk) -> None:
    """Warn where the generations did not bring the network below its limits."""
    objection = excess_of(study, trunk.trained.recipe.architecture)
    if objection is not None and not study.settings.objective.is_pareto:
        study.progress.say(f"{objection}: the generations were too few to shrink it so far", "yellow")
