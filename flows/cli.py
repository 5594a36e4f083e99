"""The command line. It says its help and refuses nonsense without importing anything that is slow."""

import argparse
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, TextIO

from flows.commands import COMMANDS, as_typed, listed_choices
from flows.faults import report_fault, say
from modules.errors import ConfigError, UserError

_INTERRUPTED, _BROKEN_PIPE = 130, 141
_ENDING = (signal.SIGTERM, signal.SIGHUP)  # the second where a terminal or a connection closes

_EXAMPLES = """\
examples:
  espalier run                                         the default study, on bundled digits
  espalier run data=mnist data.root=DIR                another data set, from a folder of yours
  espalier run data=mnist data.root=DIR budget.minutes=15 objective.max_params=50000
  espalier run -m seed=1,2,3                           a study for each
  espalier run experiment=classic_cnn                  a preset
  espalier sweep training data=mnist data.root=DIR     hyper-parameters of whole trainings, worse ones stopped early
  espalier config training.batch_size=64               what that resolves to, and every key there is
  espalier data data=folder data.root=DIR              a look at the images
  espalier plan data=mnist data.root=DIR               what it would cost
  espalier compare STUDY STUDY                         two of them side by side
  espalier predict STUDY a.png b.png > predictions.csv
  espalier promote STUDY                               its bundle goes live, if it passes the gate
  espalier serve digits                                what is live of a model, over HTTP

What runs produce is written to ESPALIER_HOME, or to mlruns in the current folder.
Exit codes: 0 done, 1 a fault of ours (says where its log is), 2 a wrong input, 3 refused by the gate, 129, 130 and
143 interrupted."""


class _Parser(argparse.ArgumentParser):
    """argparse that refuses in one sentence."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; `{self.prog} --help` says what is allowed")


def console() -> int:
    """The entry point of the installed command."""
    return main(sys.argv[1:])


def main(argv: Sequence[str]) -> int:
    """Do what a command line says; the exit code. Every error ends here."""
    goes_on = _how_it_goes_on(argv)
    with _terminable(goes_on):
        try:
            code = _dispatch(list(argv))
            sys.stdout.flush()
            return code
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else 0
        except KeyboardInterrupt:
            say(f"interrupted; {goes_on}")
            return _INTERRUPTED
        except UserError as error:
            say(str(error))
            return error.exit_code
        except Exception as error:
            if isinstance(error, BrokenPipeError) and _nobody_reads(sys.stdout):
                _silence(sys.stdout)
                return _BROKEN_PIPE
            return report_fault(error)


def _how_it_goes_on(argv: Sequence[str]) -> str:
    is_fresh = any(argument.lower() == "fresh=true" for argument in argv)
    command = "the same command without fresh=true" if is_fresh else "the same command"
    return f"{command} goes on where this one stopped"


def _dispatch(argv: list[str]) -> int:
    parser = _parser()
    if not argv:
        parser.print_help(sys.stderr)
        return ConfigError.exit_code
    name, rest = argv[0], argv[1:]
    if name.startswith("-"):
        parser.parse_args(argv[:1])
    if name not in COMMANDS:
        hint = f" did you mean `{as_typed(argv)}`?" if "=" in name else ""
        raise ConfigError(f"unknown command {name!r}:{hint} allowed: {', '.join(COMMANDS)}")
    command = COMMANDS[name]
    own = _Parser(prog=f"espalier {name}", description=command.summary, allow_abbrev=False, formatter_class=_Raw)
    command.declare(own)
    if "--help" in rest or "-h" in rest:
        own.epilog = listed_choices() if name in ("run", "plan", "data", "config") else None
    return command.act(own.parse_intermixed_args(rest))


_Raw = argparse.RawDescriptionHelpFormatter


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:{width}}  {command.summary}" for name, command in COMMANDS.items())
    parser = _Parser(
        prog="espalier",
        usage="espalier COMMAND [ARGUMENTS]",
        description="Trains a network on labelled images, edits it one change at a time and keeps what earns it.",
        epilog=f"commands (espalier COMMAND --help says more):\n{listed}\n\n{_EXAMPLES}",
        formatter_class=_Raw,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *arguments: Any) -> None:
        from importlib.metadata import version

        print(f"espalier {version('espalier')}")
        parser.exit()


@contextmanager
def _terminable(goes_on: str) -> Iterator[None]:
    """Let the signals that end a program unwind it; one that is ignored, as under nohup, stays so."""
    import threading

    is_main = threading.current_thread() is threading.main_thread()
    ours = [number for number in _ENDING if is_main and signal.getsignal(number) is not signal.SIG_IGN]
    previous = [signal.signal(number, _terminate(goes_on)) for number in ours]
    try:
        yield
    finally:
        for number, handler in zip(ours, previous, strict=True):
            signal.signal(number, handler or signal.SIG_DFL)


def _terminate(goes_on: str) -> Callable[[int, object], NoReturn]:
    def terminate(number: int, frame: object) -> NoReturn:
        signal.signal(number, signal.SIG_IGN)  # a shell that ends sends it again, into what is being written down
        for stream in (sys.stdout, sys.stderr):
            if _nobody_reads(stream):  # as when the terminal closed: a line to it would be a fault of its own
                _silence(stream)
        say(f"stopped by {signal.Signals(number).name}; {goes_on}")
        raise SystemExit(128 + number)

    return terminate


def _nobody_reads(stream: TextIO) -> bool:
    """Whether it is a pipe whose reader has gone, or a terminal that has."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (OSError, ValueError):
        return False


def _silence(stream: TextIO) -> None:
    """Let what is still written to it go nowhere, or the interpreter complains at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    sys.exit(console())
