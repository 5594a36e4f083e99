"""A plan in a sentence, as the study, the report and the errors say it."""

from modules.search.plan import Plan


def in_words(plan: Plan, num_train: int) -> str:
    """All that is going to be trained on so many images."""
    if plan.try_samples:
        most = f"{plan.tries} tries" if plan.tries else "tries"
        return f"{most} of up to {plan.try_samples:,} samples each, {plan.sweep_samples:,} at most in all"
    if not plan.continued_samples:
        epochs = plan.baseline_samples / num_train
        return f"one training of up to {plan.baseline_samples:,} samples ({epochs:.1f} epochs)"
    generations = "1 generation" if plan.generations == 1 else f"{plan.generations} generations"
    race = f", a race of optimisers of {plan.race_samples + plan.range_test_samples:,}" if plan.race_samples else ""
    race += f", more of the network for {plan.thaw_samples:,}" if plan.thaw_samples else ""
    tuning = [f"{each:,}" for each in (plan.tuning_before_samples, plan.tuning_after_samples) if each]
    race += f", hyper-parameters for {' and '.join(tuning)}" if tuning else ""
    halves = f" and {plan.edits_per_generation} half ones" if plan.halving else ""
    return (
        f"a baseline of {plan.baseline_samples:,} samples, {generations} of {plan.trials_per_generation} slices of "
        f"{plan.slice_samples:,}{halves}{race}, {_finals(plan)}"
    )


def cost_in_words(plan: Plan, num_train: int) -> list[str]:
    """What it comes to on so many images: trials and samples and, where it was calibrated, minutes."""
    said = [f"{_most_trials(plan)}, {plan.total_samples:,} samples ({plan.total_samples / num_train:.0f} epochs)"]
    if plan.calibration is not None:
        rate = plan.calibration.samples_per_second
        said.append(f"about {plan.total_samples / rate / 60:.1f} minutes of training at {rate:,.0f} samples a second")
    return said


def _most_trials(plan: Plan) -> str:
    """As far as a plan says so: how many a race and a search in a space train is left to their samples."""
    if plan.try_samples:
        return f"at most {plan.tries} tries" if plan.tries else "as many tries as there is room for"
    apart = {
        "the race": plan.race_samples,
        "thawing": plan.thaw_samples,
        "hyper-parameters": plan.tuning_before_samples + plan.tuning_after_samples,
    }
    besides = " and ".join(name for name, samples in apart.items() if samples)
    return f"at most {plan.num_trials} trials" + (f" besides those of {besides}" if besides else "")


def _finals(plan: Plan) -> str:
    if plan.front_size and plan.num_finals > 1:
        return f"final trainings of up to {plan.num_finals} networks of the front, {plan.continued_samples:,} in all"
    finals = "two final trainings" if plan.scratch_samples else "a final training"
    return f"{finals} of {plan.continued_samples:,}"


def shortfall(plan: Plan, generations: int | None) -> str:
    """That there are fewer generations than were asked for, if so."""
    if generations is None or plan.generations >= generations:
        return ""
    return f"; the budget leaves no room for search.generations={generations}"


def too_few(num_train: int, least_images: int) -> str:
    """That nothing is searched on so few images."""
    return (
        f"; nothing is searched, as {num_train:,} training images are fewer than search.least_images={least_images}: "
        "what an edit does could not be told from chance; search.generations=N searches all the same"
    )


def after(spent: int) -> str:
    """What went before the plan, samples or trials, for a sentence about a budget."""
    return f", and {spent:,} for finding a selection or an augmentation" if spent else ""
