"""Rows of a ledger as earlier generations might have left them."""

from modules.records import Certificate, Interval, LedgerRow, Part


def row(
    edit="widen_layer",
    effect=0.0,
    error=0.01,
    kept=False,
    flops=(1000, 1000),
    proposed: Part | None = None,
    parent: str | None = None,
    trained=True,
) -> LedgerRow:
    return LedgerRow(
        generation=1,
        edit=edit,
        description=f"{edit} somewhere",
        reason="for a test",
        parent="p",
        recipe="r",
        trials=("t",) if trained else (),
        certificate=Certificate(
            kind="exact",
            max_logit_change=0.0,
            tolerance=1e-4,
            params_before=100,
            params_after=100,
            flops_before=flops[0],
            flops_after=flops[1],
        ),
        steer_effect=Interval(estimate=effect, low=effect - 2 * error, high=effect + 2 * error, standard_error=error)
        if trained
        else None,
        confirm_effect=None,
        steer_error=0.1,
        p_value=0.5,
        kept=kept,
        confirmed=None,
        verdict="a verdict",
        params=100,
        flops=flops[1],
        seconds=1.0,
        proposed=proposed,
        parent_architecture=parent,
    )
