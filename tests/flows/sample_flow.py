"""A flow for the tests, as a program: sample_flow.py HOME RUN_NAME NUM_TASKS SECONDS_A_TASK [prefect|inline]."""

import sys
import time
from functools import partial
from pathlib import Path

from flows.orchestration import prepare, publish_table, run_flow, task
from modules.errors import DataError

_failures = [OSError("the disk is away for a moment")]


@task("read {name}", retries=2)
def read(name: str) -> str:
    if _failures:
        raise _failures.pop()
    return name


@task("train trial {number}")
def train(number: int, seconds: float) -> int:
    time.sleep(seconds)
    return number


@task("refuse")
def refuse() -> None:
    raise DataError("the folder is empty")


def study(run_name: str, num_tasks: int, seconds: float) -> int:
    if "retry" in run_name:
        read("images")
    print("started", flush=True)
    total = sum(train(number, seconds) for number in range(num_tasks))
    publish_table(f"{run_name} Table", "| edit |\n| --- |\n| none |")
    if "refuse" in run_name:
        refuse()
    return total


if __name__ == "__main__":
    home, run_name, num_tasks, seconds, orchestrator = Path(sys.argv[1]), *sys.argv[2:6]
    prepare(orchestrator, home)
    body = partial(study, run_name, int(num_tasks), float(seconds))
    shown = {"overrides": ["data=digits"]}
    try:
        print(run_flow(body, orchestrator=orchestrator, home=home, name="study", run_name=run_name, parameters=shown))
    except DataError as error:
        print(f"refused: {error}")
    except KeyboardInterrupt:
        print("interrupted")
        sys.exit(130)
    if orchestrator == "inline":
        print("prefect" in sys.modules)
