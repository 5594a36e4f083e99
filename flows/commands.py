"""What each command of the command line does, and its arguments. Nothing slow is imported before it is needed."""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.faults import report_fault, say
from modules.errors import ConfigError, DataError, StudyError, UserError, did_you_mean

_REFUSED = 3
_MOST_PORT = 65535


@dataclass(frozen=True)
class Command:
    """A word after `espalier`."""

    summary: str
    act: Callable[[argparse.Namespace], int]
    declare: Callable[[argparse.ArgumentParser], Any]


def _declare_overrides(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="a change to the configuration")


def _declare_run(parser: argparse.ArgumentParser) -> None:
    _declare_overrides(parser)
    parser.add_argument(
        "-m", "--multirun", action="store_true", help="a study for each combination: seed=1,2,3 or seed=range(1,4)"
    )


def _declare_sweep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("space", metavar="SPACE", help="a name in conf/space, or the path of a yaml like those")
    _declare_overrides(parser)


def _declare_study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", metavar="STUDY", help="its name; `espalier studies` lists them")


def _declare_bundle(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", help="its folder, MODEL/VERSION, a model or a study")


def _declare_predict(parser: argparse.ArgumentParser) -> None:
    _declare_bundle(parser)
    parser.add_argument("files", nargs="+", metavar="FILE", type=Path, help="an image")


def _declare_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "bundle", metavar="BUNDLE", help="its folder, MODEL/VERSION, a study, or a model: whatever is live of it"
    )
    parser.add_argument("--host", help="the address to listen on; config.yaml says which otherwise")
    parser.add_argument("--port", type=_port, help="the port to listen on; 0: any that is free")


def _port(text: str) -> int:
    """A port, of --port."""
    if not (text.isascii() and text.isdigit() and int(text) <= _MOST_PORT):
        raise argparse.ArgumentTypeError(f"{text} is no port; allowed are whole numbers from 0 to {_MOST_PORT}")
    return int(text)


def _declare_promote(parser: argparse.ArgumentParser) -> None:
    _declare_bundle(parser)
    _declare_tracking(parser)


def _declare_rollback(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="its name, which is that of its data")
    _declare_tracking(parser)


def _declare_tracking(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tracking-uri", help="MLflow's address (default: MLFLOW_TRACKING_URI, or mlflow.db under ESPALIER_HOME)"
    )


def _declare_explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="STUDY|FOLDER", help="a finished study, or a folder with its winner's files")
    parser.add_argument("file", metavar="IMAGE", type=Path, help="an image")
    parser.add_argument("--output", metavar="PAGE", type=Path, help="where to write the page; IMAGE-explained.html")


def listed_choices() -> str:
    """The groups of the configuration and what each can be."""
    from modules.config import group_choices

    listed = "\n".join(f"  {group + '=':16}{'|'.join(names)}" for group, names in group_choices().items())
    return f"groups and their choices:\n{listed}\n\nEvery other key and its value: espalier config"


def _run(arguments: argparse.Namespace) -> int:
    """One study, or with -m one of each combination; all are checked before the first starts."""
    from modules.config import expand_multirun, resolve

    if not arguments.multirun:
        settings = resolve(arguments.overrides)
        from flows.experiment import run_study

        run_study(settings, command=as_typed(arguments.overrides))
        return 0
    combinations = expand_multirun(arguments.overrides)
    return _run_each([(resolve(combination), as_typed(combination)) for combination in combinations])


def _run_each(studies: Sequence[tuple[Any, str]]) -> int:
    """The studies in turn; one that fails does not stop the others, and the first failure is the exit code."""
    from flows.experiment import run_study
    from flows.listing import study_rows, table

    failed: dict[str, int] = {}
    together = {settings.study_name for settings, _ in studies}
    for number, (settings, command) in enumerate(studies, start=1):
        print(f"\n[{number} of {len(studies)}] {command}", flush=True)
        try:
            run_study(settings, command=command, beside=together)
        except UserError as error:
            say(str(error))
            failed[settings.study_name] = error.exit_code
        except BrokenPipeError:
            raise
        except Exception as error:
            failed[settings.study_name] = report_fault(error)
    names = list(dict.fromkeys(settings.study_name for settings, _ in studies))
    print("\n" + table(study_rows(_home(), names, failed)))
    return next(iter(failed.values()), 0)


def _sweep(arguments: argparse.Namespace) -> int:
    """A study of search=sweep; the same command again goes on with it."""
    from modules.config import resolve

    if "=" in arguments.space:
        raise ConfigError(f"espalier sweep {arguments.space}: the space comes first; allowed is espalier sweep SPACE …")
    settings = resolve(["search=sweep", f"search.space={arguments.space}", *arguments.overrides])
    from flows.experiment import run_study

    run_study(settings, command=as_typed([arguments.space, *arguments.overrides], "sweep"))
    return 0


def as_typed(arguments: Sequence[str], name: str = "run") -> str:
    """The command line of a command with these arguments, such as overrides."""
    return shlex.join(["espalier", name, *arguments])


def _plan(arguments: argparse.Namespace) -> int:
    from modules.config import resolve

    settings = resolve(arguments.overrides)
    from flows.experiment import plan_study

    plan_study(settings, _home())
    return 0


def _data(arguments: argparse.Namespace) -> int:
    """Read the images as a study would, and show them; nothing is trained."""
    from modules.config import resolve

    settings = resolve(arguments.overrides)
    from flows.looking import look_at_data

    look_at_data(settings, _home())
    return 0


def _config(arguments: argparse.Namespace) -> int:
    from modules.config import config_text

    print(config_text(arguments.overrides), end="")
    return 0


def _studies(arguments: argparse.Namespace) -> int:
    from flows.listing import study_names, study_rows, table

    names = study_names(_home())
    print(table(study_rows(_home(), names)) if names else f"no studies under {_home()}; `espalier run` makes one")
    return 0


def _declare_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", metavar="STUDY", help="what the others are compared with")
    parser.add_argument("others", nargs="+", metavar="STUDY", help="another one; `espalier studies` lists them")


def _compare(arguments: argparse.Namespace) -> int:
    names = [arguments.study, *arguments.others]
    for name in names:
        _check_study(name)
        if names.count(name) > 1:
            raise StudyError(f"study {name!r} is named {names.count(name)} times; allowed are studies that differ")
    from rich.console import Console

    from flows.comparing import read_studies
    from modules.report.comparison import comparison

    Console(highlight=False).print(comparison(read_studies(names, _home())))
    return 0


def _ui(arguments: argparse.Namespace) -> int:
    from flows.server import serve_ui

    serve_ui(_home())
    return 0


def _declare_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=_port, default=4200, help="where it listens (0: anywhere; default 4200)")


def _server(arguments: argparse.Namespace) -> int:
    from flows.server import serve_prefect

    serve_prefect(_home(), arguments.port)
    return 0


def _declare_schedule(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cron", required=True, metavar="'M H D M W'", help="when: minute hour day month weekday")
    parser.add_argument("--timezone", default="UTC", help="whose clock (default UTC)")
    parser.add_argument("--name", required=True, help="of the schedule; its studies are called NAME-DATE")
    parser.add_argument(
        "--retrain", action="store_true", help="only if the data has changed, and from the live model on"
    )
    _declare_overrides(parser)


def _schedule(arguments: argparse.Namespace) -> int:
    """Serve a schedule until a Ctrl-C; what it would run is checked first."""
    from modules.config import check_from_afar, resolve

    check_from_afar(arguments.overrides)
    settings = resolve(arguments.overrides)
    from flows.schedule import Schedule, check_can_recur, serve_schedule

    check_can_recur(settings, arguments.retrain)
    schedule = Schedule(
        arguments.name, arguments.cron, arguments.timezone, tuple(arguments.overrides), arguments.retrain
    )
    serve_schedule(schedule, _home())
    return 0


def _declare_sync(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("studies", nargs="*", metavar="STUDY", help="which (default: all)")
    _declare_tracking(parser)
    parser.add_argument("--uri", dest="tracking_uri", help=argparse.SUPPRESS)  # as it was called before


def _sync(arguments: argparse.Namespace) -> int:
    from flows.listing import study_names

    for name in arguments.studies:
        _check_study(name)
    from flows.syncing import sync_studies

    sync_studies(arguments.studies or study_names(_home()), _home(), arguments.tracking_uri)
    return 0


def _declare_gc(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="remove without asking")


def _gc(arguments: argparse.Namespace) -> int:
    from flows.collecting import collect

    collect(_home(), arguments.yes)
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from flows.doctor import examine, printed

    findings = examine(_home())
    print(printed(findings))
    return int(any(finding.is_wrong for finding in findings))


def _declare_report(parser: argparse.ArgumentParser) -> None:
    _declare_study(parser)
    parser.add_argument("--open", action="store_true", help="and show it in a browser")


def _report(arguments: argparse.Namespace) -> int:
    _check_study(arguments.study)
    from flows.reporting import rewrite_report

    page = rewrite_report(arguments.study, _home())
    print(page)
    if arguments.open:
        import webbrowser

        if not webbrowser.open(page.absolute().as_uri()):
            say("no browser is to be had here; the report is one file, which any browser opens")
    return 0


def _replay(arguments: argparse.Namespace) -> int:
    _check_study(arguments.study)
    from flows.progress import Progress
    from flows.replay import replay_study

    result = replay_study(arguments.study, _home(), Progress())
    print(f"the winner of {arguments.study} was rebuilt from its ledger to the same bits: {result.weights_sha256}")
    return 0


def _declare_credit(parser: argparse.ArgumentParser) -> None:
    _declare_study(parser)
    parser.add_argument("--seeds", type=int, default=2, help="with how many seeds each variant is run (2)")
    parser.add_argument("--without", metavar="NAME,…", default="", help="only these, such as schedule,structure")


def _credit(arguments: argparse.Namespace) -> int:
    """A table of what each automation bought; the variants that were run before are not run again."""
    _check_study(arguments.study)
    if not 1 <= arguments.seeds <= 100:
        raise ConfigError(f"--seeds {arguments.seeds} is out of range; allowed is 1 to 100")
    from flows.credit import AUTOMATIONS, credit_study
    from flows.reporting import rewrite_report
    from modules.report.credit import credit_headline, credit_table

    only = [name.strip() for name in arguments.without.split(",") if name.strip()]
    known = [one.name for one in AUTOMATIONS]
    for name in only:
        if name not in known:
            raise ConfigError(f"--without {name}: there is no such automation; allowed: {', '.join(known)}")
    from rich.console import Console

    credits = credit_study(arguments.study, _home(), arguments.seeds, only)
    console = Console(highlight=False)
    console.print(credit_table(credits))
    console.print(credit_headline(credits))
    console.print(f"also in {rewrite_report(arguments.study, _home())}", soft_wrap=True)
    return 0


def _predict(arguments: argparse.Namespace) -> int:
    """A line of CSV for each file: the file, its most probable class and how probable it is."""
    _check_files(arguments.files)
    import csv

    from flows.predict import predict_files

    predictions = list(predict_files(arguments.bundle, arguments.files, _home()))  # or a bad file leaves half a table
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["file", "class", "probability"])
    writer.writerows([path, name, f"{probability:.6f}"] for path, name, probability in predictions)
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    from flows.live import serve

    serve(arguments.bundle, _home(), arguments.host, arguments.port)
    return 0


def _promote(arguments: argparse.Namespace) -> int:
    """0 where the bundle goes live, 3 where the gate refuses it: a schedule may want to know."""
    from flows.live import gate, said
    from modules.deployment.bundles import find_bundle

    promotion = gate(find_bundle(arguments.bundle, _home()), _home(), arguments.tracking_uri)
    print(said(promotion))
    return _REFUSED if promotion.action == "refused" else 0


def _rollback(arguments: argparse.Namespace) -> int:
    from flows.live import said, take_back

    print(said(take_back(arguments.model, _home(), arguments.tracking_uri)))
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    """The most probable classes of an image, and a page with what speaks for the first."""
    from flows.listing import study_names

    folder = Path(arguments.model)
    if arguments.model in study_names(_home()):
        folder = _home() / "studies" / arguments.model / "champion"
    elif not folder.is_dir():
        _check_study(arguments.model)
    image = arguments.file
    _check_files([image])
    from flows.explaining import explain_file

    page = arguments.output or Path(f"{image.stem}-explained.html")
    said = explain_file(folder, image, page, _home())
    print(", ".join(f"{name} {probability:.2%}" for name, probability in list(said.probabilities.items())[:3]))
    for note in said.notes:
        print(note.replace("_", " "))
    print(page)
    return 0


def _check_files(paths: Sequence[Path]) -> None:
    for path in paths:
        if not path.is_file():
            found = "it is not a file" if path.exists() else "there is no such file"
            raise DataError(f"cannot read {path}: {found}; allowed are image files")


def _check_study(name: str) -> None:
    from flows.listing import study_names

    known = study_names(_home())
    if name not in known:
        hint = did_you_mean(name, known)
        listed = ", ".join(known[-10:]) or "none yet"
        raise StudyError(f"unknown study {name!r} under {_home()}: {hint}allowed: {listed}")


def _home() -> Path:
    from modules.config.home import home_folder

    return home_folder()


COMMANDS = {
    "run": Command("run a study; the same command again goes on with it", _run, _declare_run),
    "sweep": Command("search hyper-parameters; the same command again goes on with it", _sweep, _declare_sweep),
    "plan": Command("what a study would cost", _plan, _declare_overrides),
    "data": Command("look at the images before anything is trained", _data, _declare_overrides),
    "config": Command("what a configuration resolves to", _config, _declare_overrides),
    "studies": Command("the studies there are", _studies, lambda parser: None),
    "compare": Command("studies side by side, and whether chance explains the difference", _compare, _declare_compare),
    "server": Command("Prefect's server, with schedules, until a Ctrl-C", _server, _declare_server),
    "schedule": Command("run a study whenever it is due", _schedule, _declare_schedule),
    "ui": Command("show Prefect's and MLflow's pages", _ui, lambda parser: None),
    "doctor": Command(
        "what is installed and whether it works, and what to do where it does not", _doctor, lambda p: None
    ),
    "gc": Command("remove what no ledger and no study under way needs; asks first", _gc, _declare_gc),
    "sync": Command("write studies into MLflow again, from the store", _sync, _declare_sync),
    "report": Command("write a study's report again", _report, _declare_report),
    "credit": Command("what each automation of a study bought, by leaving it out", _credit, _declare_credit),
    "replay": Command("rebuild a study's winner from its ledger, to the same bits", _replay, _declare_study),
    "predict": Command("the classes of images, as CSV", _predict, _declare_predict),
    "serve": Command("answer over HTTP with a bundle, or with what is live of a model", _serve, _declare_serve),
    "promote": Command("let a bundle go live, if it passes the gate", _promote, _declare_promote),
    "rollback": Command("make live again what was live before", _rollback, _declare_rollback),
    "explain": Command("which pixels of an image speak for its class, as a page", _explain, _declare_explain),
}
