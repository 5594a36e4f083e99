import json
import os
import resource
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest

from flows.cli import main
from flows.commands import COMMANDS
from modules.config import resolve
from modules.errors import DataError, InternalError
from modules.parts import CONF

ROOT = CONF.parent
HEAVY = ("torch", "prefect", "mlflow", "pytorch_lightning", "sklearn", "matplotlib")
STAND_IN = """
import sys, time, types
stand_in = types.ModuleType("flows.experiment")
def run_study(settings, command, beside=()):
    print("running", flush=True)
    {body}
stand_in.run_study = run_study
sys.modules["flows.experiment"] = stand_in
from flows.cli import console
sys.argv = ["espalier", "run", *sys.argv[1:]]
sys.exit(console())
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def studies(monkeypatch) -> list[tuple[str, str]]:
    """Studies that were started: name and command. A seed of 13 is a wrong input, 14 a fault."""
    started: list[tuple[str, str]] = []

    def run_study(settings, command, beside=()):
        assert not beside or settings.study_name in beside
        started.append((settings.study_name, command))
        if settings.seed == 13:
            raise DataError("no images; allowed are some")
        if settings.seed == 14:
            raise InternalError("something broke")

    stand_in = types.ModuleType("flows.experiment")
    stand_in.run_study = run_study
    stand_in.plan_study = lambda settings, home: print(f"plan of {settings.study_name} in {home.name}")
    monkeypatch.setitem(sys.modules, "flows.experiment", stand_in)
    return started


def write_summary(home: Path, name: str, text: str | None) -> None:
    (home / "studies" / name).mkdir(parents=True)
    if text is not None:
        (home / "studies" / name / "summary.json").write_text(text)


def espalier(*arguments: str, **options) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-W", "error", "-m", "flows.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=options.pop("cwd", ROOT), **options)


def processor_seconds_of(*arguments: str) -> float:
    """The least of three; of the processor, not of the clock, as others may use the machine."""
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        espalier(*arguments)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def test_help_is_fast():
    assert processor_seconds_of("--help") < 0.5


def test_a_refusal_is_fast():
    assert processor_seconds_of("run", "training.learning_rat=3") < 1.5


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["run", "--help"], ["run", "seed=-1"], ["studies"], ["compare", "a"]]
)
def test_nothing_heavy_is_imported(arguments):
    code = (
        "import sys; from flows.cli import main; main(sys.argv[1:]);"
        f"loaded = {set(HEAVY)} & set(sys.modules); assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_names_every_command_with_examples():
    done = espalier("--help")
    assert done.returncode == 0
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert "espalier run -m seed=1,2,3" in done.stdout
    assert "ESPALIER_HOME" in done.stdout


def test_help_of_run_lists_the_choices(capsys):
    assert main(["run", "--help"]) == 0
    assert "optimizer=      adagrad|adam|adamw|gradient_descent|momentum" in capsys.readouterr().out


def test_help_of_sweep_says_what_a_space_is(capsys):
    assert main(["sweep", "--help"]) == 0
    assert "a name in conf/space, or the path of a yaml" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["runn"], "allowed: run, sweep, plan"),
        (["seed=3"], "did you mean `espalier run seed=3`"),
        (["--nonsense"], "--nonsense"),
        (["run", "--nonsense"], "--nonsense"),
        (["run", "seed=-1"], "seed must be a whole number"),
        (["run", "seed=1,2"], "-m"),
        (["run", "-m", "seed=1,-2"], "seed must be a whole number"),
        (["sweep"], "SPACE"),
        (["sweep", "seed=3"], "the space comes first"),
        (["sweep", "recip"], "did you mean recipe"),
        (["sweep", "training", "training.dropout=0.1"], "training.dropout=0.1 contradicts search.space=training"),
        (["sweep", "training", "search.tries_at_once=0"], "search.tries_at_once must be"),
        (["plan", "data=cifar"], "fashion_mnist, folder, idx, kmnist, mnist"),
        (["config", "foo=1"], "unknown key foo"),
        (["predict"], "BUNDLE, FILE"),
        (["predict", "mine", str(ROOT / "README.md")], "no bundle 'mine'"),
        (["serve", "mine"], "no bundle 'mine'"),
        (["serve", "mine", "--port", "70000"], "--port: 70000 is no port; allowed are whole numbers from 0 to 65535"),
        (["serve", "mine", "--port", "-1"], "--port: -1 is no port"),
        (["server", "--port", "many"], "--port: many is no port"),
        (["promote", "mine"], "no bundle 'mine'"),
        (["rollback", "mine"], "nothing to go back to for 'mine'"),
        (["report", "mine"], "unknown study 'mine'"),
        (["compare", "mine"], "STUDY"),
        (["compare", "mine", "yours"], "unknown study 'mine'"),
        (["explain", "mine"], "IMAGE"),
        (["explain", "mine", "a.png"], "unknown study 'mine'"),
        (["run", "energy.country=DUE"], "unknown energy.country 'DUE': did you mean DEU?"),
        (["run", "energy.watts_per_core=0"], "energy.watts_per_core must be a number above 0"),
        (["run", "budget.wh=-1"], "budget.wh must be a number above 0"),
        (["run", "explanation=some"], "default, none"),
        (["run", "explanation.methods.occlusion.patch=2"], "a number from 0.01 to 0.9; got 2"),
    ],
)
def test_wrong_input_is_one_sentence_and_code_2(arguments, said, capsys, studies):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("espalier: ")
    assert said in captured.err
    assert studies == []


def test_no_command_shows_the_help(capsys):
    assert main([]) == 2
    assert "espalier COMMAND" in capsys.readouterr().err


def test_run_starts_the_study(studies):
    assert main(["run", "seed=7"]) == 0
    assert studies == [(resolve(["seed=7"]).study_name, "espalier run seed=7")]


def test_a_multirun_runs_every_study_and_ends_with_a_table(studies, capsys, home):
    summary = {"state": "completed", "data": {"name": "digits"}, "champion": {"val_error": 0.0123, "params": 4321}}
    write_summary(home, resolve(["seed=1"]).study_name, json.dumps(summary))
    assert main(["run", "seed=1,13,2", "-m", "orchestrator=inline"]) == 2
    assert [command.split()[2] for _, command in studies] == ["seed=1", "seed=13", "seed=2"]
    captured = capsys.readouterr()
    assert "no images; allowed are some" in captured.err
    header, *rows = captured.out.strip().splitlines()[-4:]
    assert header.split()[:3] == ["study", "state", "data"]
    assert [row.split()[1] for row in rows] == ["completed", "failed", "unfinished"]
    assert "1.23 %" in rows[0]
    assert "4,321" in rows[0]


def test_a_multirun_is_checked_before_it_starts(studies):
    assert main(["run", "-m", "seed=1,2,x"]) == 2
    assert studies == []


def test_a_fault_of_ours_is_code_1_and_leaves_a_log(studies, capsys, home):
    assert main(["run", "seed=14"]) == 1
    text = capsys.readouterr().err
    assert "Traceback" not in text
    assert "something broke" in text
    (log,) = (home / "logs").iterdir()
    assert str(log) in text
    assert "Traceback" in log.read_text()


def test_a_fault_is_logged_elsewhere_where_home_cannot_be_written(studies, capsys, home, tmp_path, monkeypatch):
    home.write_text("a file in the way")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(["run", "seed=14"]) == 1
    (log,) = tmp_path.glob("espalier-fault-*.log")
    assert str(log) in capsys.readouterr().err


def test_plan_is_told_the_settings_and_the_home(studies, capsys):
    assert main(["plan", "study=mine"]) == 0
    assert capsys.readouterr().out == "plan of mine in home\n"


def test_config_prints_yaml(capsys):
    assert main(["config", "study=mine", "seed=5"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("# study mine\n")
    assert "\nseed: 5\n" in text


def test_studies_are_listed_whatever_state_they_are_in(capsys, home):
    assert main(["studies"]) == 0
    assert "no studies" in capsys.readouterr().out
    write_summary(home, "good", json.dumps({"state": "completed", "champion": {"test_error": 0.02}, "seconds": 61.2}))
    write_summary(home, "broken", "{")
    write_summary(home, "begun", None)
    assert main(["studies"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:]}
    assert "2.00 %" in rows["good"]
    assert " 61 " in rows["good"]
    assert "unreadable" in rows["broken"]
    assert "unfinished" in rows["begun"]


def test_studies_are_compared_as_far_as_they_came(capsys, home):
    for name in ("mine", "yours"):
        write_summary(home, name, json.dumps({"state": "completed", "champion": None, "seconds": 61.2}))
        (home / "studies" / name / "settings.json").write_text(json.dumps({"seed": len(name)}))
    assert main(["compare", "mine", "yours"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["mine", "yours"] in rows
    assert ["seed", "4", "5"] in rows
    assert ["state", "completed", "completed"] in rows


def test_comparing_refuses_what_it_cannot_read(capsys, home):
    write_summary(home, "mine", "{}")
    write_summary(home, "yours", "{")
    for arguments, said in (
        (["mine", "your"], "unknown study 'your' under"),
        (["mine", "your"], "did you mean yours? allowed: mine, yours"),
        (["mine", "mine"], "named 2 times"),
        (["mine", "yours"], "summary.json"),
    ):
        assert main(["compare", *arguments]) == 2
        captured = capsys.readouterr()
        assert said in captured.err
        assert (captured.out, captured.err.count("\n")) == ("", 1)


@pytest.mark.parametrize("there_is_one", [True, False])
def test_a_report_is_opened_if_there_is_a_browser(there_is_one, capsys, home, monkeypatch):
    write_summary(home, "mine", "{}")
    page, opened = home / "studies" / "mine" / "report.html", []
    stand_in = types.ModuleType("flows.reporting")
    stand_in.rewrite_report = lambda study, home: page
    monkeypatch.setitem(sys.modules, "flows.reporting", stand_in)
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or there_is_one)
    assert main(["report", "mine"]) == 0
    assert opened == []
    assert main(["report", "mine", "--open"]) == 0
    assert opened == [page.as_uri()]
    captured = capsys.readouterr()
    assert captured.out == f"{page}\n" * 2
    assert ("no browser" in captured.err) is not there_is_one


def test_predictions_are_csv(capsys, home, tmp_path, monkeypatch):
    write_summary(home, "mine", "{}")
    image = tmp_path / "a, b.png"
    image.write_bytes(b"")
    stand_in = types.ModuleType("flows.predict")
    stand_in.predict_files = lambda study, files, home: [(path, "seven", 0.987654321) for path in files]
    monkeypatch.setitem(sys.modules, "flows.predict", stand_in)
    assert main(["predict", "mine", str(image)]) == 0
    assert capsys.readouterr().out == f'file,class,probability\n"{image}",seven,0.987654\n'
    assert main(["predict", "mine", "missing.png"]) == 2
    assert "missing.png" in capsys.readouterr().err


def test_an_image_is_explained_on_a_page(capsys, home, tmp_path, monkeypatch):
    write_summary(home, "mine", "{}")
    image, asked = tmp_path / "a.png", []
    image.write_bytes(b"")
    said = types.SimpleNamespace(probabilities={"seven": 0.9, "one": 0.1}, notes=("grad_cam: passed",))
    stand_in = types.ModuleType("flows.explaining")
    stand_in.explain_file = lambda *arguments: asked.append(arguments) or said
    monkeypatch.setitem(sys.modules, "flows.explaining", stand_in)
    assert main(["explain", "mine", str(image)]) == 0
    assert capsys.readouterr().out == "seven 90.00%, one 10.00%\ngrad cam: passed\na-explained.html\n"
    assert main(["explain", str(tmp_path), str(image), "--output", "page.html"]) == 0
    champion = home / "studies" / "mine" / "champion"
    assert [(folder, str(page)) for folder, _, page, _ in asked] == [
        (champion, "a-explained.html"),
        (tmp_path, "page.html"),
    ]
    assert main(["explain", "mine", "missing.png"]) == 2
    assert "missing.png: there is no such file" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [((), "the same command goes on"), (("fresh=true",), "the same command without fresh=true goes on")],
)
def test_signals_end_a_run_with_their_code_and_one_sentence(number, code, arguments, said):
    script = STAND_IN.format(body="time.sleep(60)")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", script, *arguments], cwd=ROOT, **pipes) as process:
        assert process.stdout.readline() == "running\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == code
    assert errors.count("\n") == 1
    assert said in errors


def test_under_nohup_a_run_outlives_its_terminal():
    script = STAND_IN.format(body="import os, signal; os.kill(os.getpid(), signal.SIGHUP)")
    ignored = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{script}"  # as nohup leaves it
    done = subprocess.run([sys.executable, "-c", ignored], cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (0, "running\n", "")


def test_a_terminal_that_closes_ends_a_run_as_an_interrupt_does(tmp_path):
    """What it still says goes nowhere, and is no fault."""
    body = f"""
    try:
        print("asleep", flush=True)
        time.sleep(60)
    except BaseException as error:
        print("to nobody", flush=True)
        open({str(tmp_path / "raised")!r}, "w").write(repr(error))
        raise"""
    its_own = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)"
    ours, theirs = os.openpty()
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    command = [sys.executable, "-c", f"{its_own}\n{STAND_IN.format(body=body)}"]
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True, **streams) as process:
        os.close(theirs)
        said = b""
        while b"asleep" not in said:
            said += os.read(ours, 100)
        os.close(ours)
        assert process.wait(timeout=20) == 129
    assert (tmp_path / "raised").read_text() == "SystemExit(129)"


def test_a_broken_pipe_is_quiet():
    script = STAND_IN.format(body="time.sleep(0.5); print('x' * 100_000, flush=True)")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, **pipes) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_it_works_beside_a_foreign_package_called_modules(tmp_path):
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "__init__.py").write_text("raise RuntimeError('not this one')")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = espalier("config", "study=mine", cwd=tmp_path, env={**os.environ, "PYTHONPATH": path})
    assert done.stdout.startswith("# study mine\n"), done.stderr


def test_a_foreign_package_that_is_imported_already_is_named(tmp_path):
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "__init__.py").write_text("")
    code = "import modules, flows"
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.stderr.strip().splitlines()[-1].startswith(f"ImportError: a package 'modules' from {tmp_path}")
