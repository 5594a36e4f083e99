"""`espalier schedule`: a deployment that runs a study whenever it is due, served by this process until a Ctrl-C."""

import asyncio
import os
import re
import signal
import time
import zoneinfo
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from flows import prefect_client
from flows.server import join
from modules.config.settings import NAME_PATTERN, Settings
from modules.errors import ConfigError

_LONGEST_NAME = 80  # the date has to fit, too
_CRON_FIELDS = 5
_SECONDS_TO_END = 30.0


@dataclass(frozen=True)
class Schedule:
    """When to run what."""

    name: str
    cron: str
    timezone: str
    overrides: tuple[str, ...]
    retraining: bool = False


def serve_schedule(schedule: Schedule, home: Path) -> None:
    """Have Prefect know the schedule and run here what is due, one run at a time; what is cancelled ends."""
    _check(schedule)
    membership = join(home, schedules=True)
    os.environ["ESPALIER_HOME"] = str(home)  # of the runs
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    with prefect_client.configured(membership):
        prefect_client.mark_crashed_runs(membership)
        prefect_client.forget_waiting_runs(membership)
        deployment = _deployment(schedule, prefect_client.tags_of(membership))
        print(f"schedule {schedule.name}: {schedule.cron} ({schedule.timezone}), studies in {home / 'studies'}")
        print(f"Prefect  {membership.url.removesuffix('/api')}  pause it, or run it now with other overrides")
        print("Ctrl-C ends it.", flush=True)
        try:
            _serve(deployment)
        except KeyboardInterrupt:
            print()


def _serve(deployment: Any) -> None:
    """Until a Ctrl-C or a SIGTERM. The schedule stays known: whoever serves it again goes on."""
    from prefect.runner import Runner

    runner = Runner(limit=1, pause_on_shutdown=False)

    def end(number: int, frame: object) -> NoReturn:
        # Prefect has no other way to name them; where this one is gone, they are killed, which does no harm either.
        handles = getattr(getattr(runner, "_process_manager", None), "_process_map", {})
        _end_runs([handle.pid for handle in handles.values() if handle.pid is not None])
        raise KeyboardInterrupt

    runner.handle_sigterm = end  # type: ignore[method-assign]  # which theirs would warn about
    signal.signal(signal.SIGINT, end)
    runner.add_deployment(deployment)
    asyncio.run(_start(runner))


async def _start(runner: Any) -> None:
    """Serve, without a word about connections of Prefect's that an end cuts off."""
    asyncio.get_running_loop().set_exception_handler(_report)
    await runner.start()


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not isinstance(context.get("exception"), asyncio.CancelledError):
        loop.default_exception_handler(context)


def _end_runs(pids: list[int]) -> None:
    """Have studies that run write down that they were interrupted; Prefect would give them no time."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _SECONDS_TO_END
    for pid in pids:
        with suppress(ChildProcessError):  # has been waited for
            while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                if time.monotonic() > deadline:
                    return
                time.sleep(0.1)


def _deployment(schedule: Schedule, tags: list[str]) -> Any:
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.schedules import Cron
    from prefect.types.entrypoint import EntrypointType

    from flows.scheduled import scheduled_study

    try:
        due = Cron(schedule.cron, timezone=schedule.timezone)
    except ValueError as error:
        raise _no_time(schedule) from error
    return scheduled_study.to_deployment(
        name=schedule.name,
        schedule=due,
        parameters={
            "overrides": list(schedule.overrides),
            "retraining": schedule.retraining,
            "timezone": schedule.timezone,
        },
        tags=tags,
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE),
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


def _check(schedule: Schedule) -> None:
    """What can be said before anything is started."""
    if not re.fullmatch(NAME_PATTERN, schedule.name) or len(schedule.name) > _LONGEST_NAME:
        raise ConfigError(
            f"--name {schedule.name!r} cannot be a schedule's name; allowed are up to {_LONGEST_NAME} letters, digits, "
            "'.', '_' and '-' that begin with a letter or digit"
        )
    if len(schedule.cron.split()) != _CRON_FIELDS and not schedule.cron.startswith("@"):
        raise _no_time(schedule)
    zone_of(schedule.timezone)


def zone_of(timezone: str) -> zoneinfo.ZoneInfo:
    """Of the tz database; ConfigError where it has none of this name."""
    if timezone not in zoneinfo.available_timezones():
        raise ConfigError(
            f"--timezone {timezone!r} is unknown; allowed is a zone of the tz database, such as UTC or Europe/Vienna"
        )
    return zoneinfo.ZoneInfo(timezone)


def check_can_recur(settings: Settings, retraining: bool) -> None:
    """ConfigError for what makes sense once, but not whenever a schedule is due."""
    if settings.fresh:
        raise ConfigError(
            "fresh=true would start a study over whenever the schedule is due; allowed is a schedule without it: each "
            "of its studies is a new one"
        )
    if retraining and settings.study is not None:
        raise ConfigError(
            f"study={settings.study} is one study, and --retrain needs another each time that the data has changed; "
            "allowed is --retrain without study="
        )


def _no_time(schedule: Schedule) -> ConfigError:
    return ConfigError(
        f"--cron {schedule.cron!r} says no time; allowed are five fields, minute hour day month weekday, "
        "as in '0 2 * * *'"
    )
