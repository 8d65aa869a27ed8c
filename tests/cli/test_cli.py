"""The command line: exit codes, what goes to stdout and what to stderr, errors with a remedy."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from command import bt_neuro
from paths import ROOT

from bt_neuro.cli import app
from bt_neuro.cli.progress import progress_bar

SAMPLE = str(ROOT / "data" / "SYNTHETIC_EURUSD_H1.csv")
BARRIERS = str(ROOT / "strategies" / "triple_barrier.py")
SMALL = f"{ROOT / 'tests' / 'small.py'}:Small"
JANUARY = ["--to", "2024-01-31"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cli") / "run"


@pytest.fixture(scope="module")
def ran(folder):
    return bt_neuro("backtest", SAMPLE, *JANUARY, "--strategy", SMALL, "--device", "numpy", "--out", folder)


def test_backtest_prints_its_sentence_first(ran, folder):
    assert ran.exit_code == 0, ran.output
    first = ran.stdout.splitlines()[0]
    assert re.match(
        r"SYNTHETIC_EURUSD_H1\.csv, 2024-01-02 to 2024-01-31, [\d,]+ bars: "
        r"[\d,]+ signals on [\d.]+ % of the bars, "
        r"[\d.]+ % of them hit \(95 % interval [\d.]+ to [\d.]+\), a lift of [+-][\d.]+ percentage points over the "
        r"visible half of a fractal\. Signals: .* \([a-z -]+: Brier score [\d.]+ against [\d.]+, "
        r"a difference of [+-][\d.]+ to [+-][\d.]+; .*\)\. "
        r"The account returned [+-][\d.]+ % "
        r"after costs against [+-][\d.]+ % for buy and hold: [\w :]+\.$",
        first,
    ), first
    assert ran.stdout.rstrip().endswith(f"Written to {folder}")
    assert ran.stderr == ""


def test_backtest_prints_a_block_that_agrees_with_its_file(ran, folder):
    metrics = json.loads((folder / "run.json").read_text())["metrics"]
    block = dict(re.findall(r"^(\S.*?) {2,}(\S+(?: \S+)?)$", ran.stdout, re.MULTILINE))
    assert block["# Trades"] == f"{metrics['trades']:,d}"
    assert block["Return [%]"] == f"{metrics['return_pct']:.2f}"
    assert block["Mean Squared Error of Outputs"] == f"{metrics['mean_squared_error']:.4f}"


@pytest.mark.slow
def test_options_reach_the_strategy_and_the_account(tmp_path):
    words = ["--param", "wing=2", "--seed", "7", "--cash", "500", "--size", "0.5", "--spread", "3"]
    out = bt_neuro(
        "backtest", SAMPLE, *JANUARY, "--strategy", SMALL, "--device", "numpy", "--out", tmp_path, *words
    )
    assert out.exit_code == 0, out.output
    manifest = json.loads((tmp_path / "run.json").read_text())
    parameters = {name: manifest["parameters"][name] for name in ("wing", "seed", "size", "device")}
    assert parameters == {"wing": 2, "seed": 7, "size": 0.5, "device": "numpy"}
    assert (manifest["account"]["cash"], manifest["account"]["spread"]) == (500, 3)


EMPTY = "class Nothing: pass\n"
TWO = "from bt_neuro import NeuroStrategy\nclass A(NeuroStrategy): pass\nclass B(NeuroStrategy): pass\n"


@pytest.mark.parametrize(
    ("words", "files", "message"),
    [
        (["backtest", "missing.csv"], {}, r"missing\.csv.*"),
        (["backtest", "empty.csv"], {"empty.csv": ""}, r"empty\.csv.*"),
        (["backtest", "poem.csv"], {"poem.csv": "roses,are\nred,violets\n"}, r"poem\.csv.*"),
        (["backtest", SAMPLE, "--strategy", "gone.py"], {}, r"strategy file gone\.py does not exist.*"),
        (
            ["backtest", SAMPLE, "--strategy", "no.py"],
            {"no.py": EMPTY},
            r"no\.py must hold a strategy, got none.*",
        ),
        (
            ["backtest", SAMPLE, "--strategy", "two.py"],
            {"two.py": TWO},
            r"two\.py must hold one strategy, got \d\. Name one: two\.py:A\.",
        ),
        (["backtest", SAMPLE, "--strategy", "two.py:C"], {"two.py": TWO}, r"two\.py has no strategy 'C'.*"),
        (["backtest", SAMPLE, "--strategy", "bad.py"], {"bad.py": "1 / 0"}, r".*ZeroDivisionError.*"),
        (["backtest", SAMPLE, "--param", "wnig=2"], {}, r".*no parameter 'wnig'\. Did you mean wing\?"),
        *(
            (
                words,
                {"copy.csv": Path(SAMPLE).read_text()},
                r"seeds must be 2 or more with --seed-money, got 1\. Give --seeds 2, or leave it out\.",
            )
            for words in (
                ["backtest", SAMPLE, "--seed-money"],
                ["backtest", SAMPLE, "copy.csv", "--seed-money"],
                ["walk-forward", SAMPLE, "--seed-money"],
                ["walk-forward", SAMPLE, "copy.csv", "--seed-money", "--train", "400b", "--test", "200b"],
            )
        ),
        (["backtest", SAMPLE, "--param", "wing"], {}, r"a parameter must be name=value, got 'wing'.*"),
        (
            ["backtest", SAMPLE, "--strategy", BARRIERS, "--param", "width=abc"],
            {},
            r"width must be a number, as its default 2\.0, got 'abc'",
        ),
        (["backtest", SAMPLE, "--param", "wing=0"], {}, "wing must be an integer, 1 or more, got 0"),
        (["backtest", SAMPLE, "--param", "wing=1.5"], {}, r"wing must be an integer, .*got 1\.5"),
        (["backtest", SAMPLE, "--param", "history_bars=0"], {}, r"history_bars must be an integer.*"),
        (["backtest", SAMPLE, "--param", "seed=abc"], {}, r"seed must be an integer.*"),
        (
            ["backtest", SAMPLE, "--param", "learning_rate=abc"],
            {},
            "learning_rate must be a number, .*got 'abc'",
        ),
        (["backtest", SAMPLE, "--param", "learning=no"], {}, r"learning must be True or False, .*got 'no'"),
        (["backtest", SAMPLE, "--param", "size=-1"], {}, "size must be a number, 0 or more, got -1"),
        (
            ["backtest", SAMPLE, "--device", "abacus"],
            {},
            r"(device must be one of .*, got abacus|no OpenCL runtime is installed).*",
        ),
        (
            ["backtest", SAMPLE, "--to", "2024-01-03"],
            {},
            r".* bars are too few for indicators and a window of 3 bars to warm up, which needs 64\..*",
        ),
        (["backtest", SAMPLE, "--cash", "-5"], {}, r"cash must be .*got -5.*"),
        (["check", "missing.csv"], {}, r"missing\.csv.*"),
        (["lookahead-check", SAMPLE, "--param", "wnig=2"], {}, r".*Did you mean wing\?"),
        (["warmup-check", "missing.csv"], {}, r"missing\.csv.*"),
    ],
)
def test_errors_are_short_and_name_the_remedy(tmp_path, monkeypatch, words, files, message):
    monkeypatch.chdir(tmp_path)
    for name, text in files.items():
        Path(name).write_text(text)
    out = bt_neuro(*words)
    assert out.exit_code == 1, out.output
    assert out.stdout == ""
    assert re.match(f"Error: {message}", out.stderr, re.DOTALL), out.stderr
    assert len(out.stderr.splitlines()) <= 6
    assert "Traceback" not in out.stderr
    assert not list(Path("runs").glob("*"))


def test_debug_shows_the_traceback(monkeypatch):
    monkeypatch.setenv("BT_NEURO_DEBUG", "1")
    out = bt_neuro("check", "missing.csv")
    assert type(out.exception).__name__ == "BarsError"


@pytest.mark.parametrize("words", [[], ["backtest"], ["backtest", SAMPLE, "--sped", "1"], ["fly"]])
def test_wrong_usage_is_exit_code_2(words):
    assert bt_neuro(*words).exit_code == 2


@pytest.mark.parametrize("words", [["tune", "--search", "wing=1,2"], ["warmup-check"], ["check"]])
def test_several_files_where_one_is_taken_are_refused_with_a_remedy(words):
    out = bt_neuro(*words, SAMPLE, SAMPLE)
    assert out.exit_code == 2
    assert f"{words[0]} takes one file, got several. Run it for each of them." in out.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("backtest", SAMPLE, "--seeds", 2, "--param", "seeds=3"),
        ("backtest", SAMPLE, "--no-learning", "--param", "learning=True"),
        ("walk-forward", SAMPLE, "--train", "9b", "--test", "9b", "--size", 1, "--param", "size=0.5"),
        ("lookahead-check", SAMPLE, "--seeds", 2, "--param", "seeds=2"),
    ],
)
def test_a_parameter_by_its_option_and_by_param_is_wrong_usage(words):
    out = bt_neuro(*words)
    assert out.exit_code == 2
    assert re.search(r"--param: \w+ is given by its own option too", out.stderr)


def test_check_says_what_was_understood():
    out = bt_neuro("check", SAMPLE)
    assert out.exit_code == 0
    sentence = "SYNTHETIC_EURUSD_H1.csv, MetaTrader 5 export, H1: 6,000 bars, 2024-01-02 to 2024-12-16."
    assert (out.stdout.splitlines()[0], bt_neuro("check", SAMPLE, "--quiet").stdout) == (
        sentence,
        sentence + "\n",
    )
    assert "Gaps        none besides 50 weekends" in out.stdout
    assert json.loads(bt_neuro("check", SAMPLE, "--json").stdout)["bars"] == 6000


def test_devices_lists_what_works():
    out = bt_neuro("devices")
    assert "numpy" in out.stdout
    rows = json.loads(bt_neuro("devices", "--json").stdout)["devices"]
    assert (out.exit_code == 0) == any(row["works"] for row in rows)


def test_a_strategy_that_leaves_is_no_success(tmp_path):
    file = tmp_path / "leaves.py"
    file.write_text(
        "from bt_neuro import NeuroStrategy\n"
        "class Leaves(NeuroStrategy):\n    def features(self):\n        raise SystemExit(0)\n"
    )
    out = bt_neuro("backtest", str(SAMPLE), "--strategy", str(file), "--out", str(tmp_path / "run"))
    assert out.exit_code == 1
    assert "Error: the strategy called exit(0)" in out.stderr


@pytest.mark.slow
def test_a_stream_needs_both_ends_open(tmp_path):
    for ends in ("<&-", "</dev/null >&-"):
        command = f"{sys.executable} -m bt_neuro stream --device numpy --out {tmp_path / 'run'} {ends}"
        out = subprocess.run(command, shell=True, capture_output=True, text=True)
        assert out.returncode == 1
        assert "Error: stream needs standard input" in out.stderr


PRINTS = """\
from neighbour import LINE
from bt_neuro import Dense, NeuroStrategy

class Prints(NeuroStrategy):
    def layers(self, inputs):
        print(LINE)
        return [Dense(3, "sigmoid")]
"""


@pytest.fixture
def prints(tmp_path):
    (tmp_path / "neighbour.py").write_text("LINE = 'loud'\n")
    (tmp_path / "prints.py").write_text(PRINTS)
    return tmp_path / "prints.py"


def test_a_strategy_that_prints_leaves_stdout_to_the_json(prints, tmp_path):
    words = ["--to", "2024-01-12", "--strategy", prints, "--device", "numpy", "--no-report", "--json"]
    words += ["--out", tmp_path / "run"]
    out = bt_neuro("backtest", SAMPLE, *words)
    manifest = json.loads((tmp_path / "run" / "run.json").read_text())
    del manifest["manifest_sha256"]
    assert json.loads(out.stdout) == manifest
    assert "loud" in out.stderr


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_folds_in_other_processes_leave_stdout_to_the_json(prints, tmp_path, jobs):
    words = ["walk-forward", SAMPLE, *JANUARY, "--train", "200b", "--test", "100b", "--strategy", prints]
    words += ["--device", "numpy", "--jobs", jobs, "--no-report", "--out", tmp_path / "run", "--json"]
    command = [sys.executable, "-m", "bt_neuro", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["status"] == "complete"
    assert "loud" in done.stderr


def test_help_fits_80_columns_and_names_choices_defaults_and_groups(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = bt_neuro("walk-forward", "--help").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 100
    text = " ".join("".join(lines).split())
    for words in ("fold|continue|never", "rolling|expanding", "[default: 24M]", "[default: (as --test)]"):
        assert words in text, words
    for group in ("Arguments", "Folds", "Strategy", "Account", "Bars", "Output", "Options"):
        assert f"{group}:" in lines, group
    commands = bt_neuro("--help").stdout
    assert all(f"\n{group}:\n" in commands for group in ("Run", "Test", "Study", "Look"))


BOOM = """\
from bt_neuro import Dense, NeuroStrategy

class Boom(NeuroStrategy):
    params = (("device", "numpy"),)

    def features(self):
        {features}
        return super().features()

    def layers(self, inputs):
        return [Dense(3, "sigmoid")]

    def decide(self, signal):
        {decide}
"""


@pytest.mark.parametrize(("where", "line"), [("features", 7), ("decide", 14)])
def test_an_exception_names_the_line_of_the_user_s_file(tmp_path, where, line):
    fault = {"features": "pass", "decide": "pass"} | {where: "dict()[1]"}
    file = tmp_path / "boom.py"
    file.write_text(BOOM.format(**fault))
    words = ["--to", "2024-01-20", "--strategy", file, "--out", tmp_path / "run"]
    out = bt_neuro("backtest", SAMPLE, *words)
    assert out.exit_code == 1
    assert out.stderr == (
        f"Error: KeyError: 1\n{file}:{line}, in {where}: dict()[1].\n"
        "BT_NEURO_DEBUG=1 shows the whole traceback.\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("permutation-test", "--n", 1),
        ("lookahead-check",),
        ("walk-forward", "--train", "120b", "--test", "60b"),
        ("tune", "--train", "120b", "--test", "60b", "--holdout", 0, "--search", "wing=1,2"),
    ],
)
def test_an_exception_in_another_process_names_the_line_too(tmp_path, words):
    file = tmp_path / "boom.py"
    file.write_text(BOOM.format(features="pass", decide="dict()[1]"))
    command, *more = words
    out = bt_neuro(
        command, SAMPLE, *more, "--to", "2024-01-20", "--strategy", file, "--out", tmp_path / "run"
    )
    assert out.exit_code == 1
    assert f"{file}:14, in decide: dict()[1]" in out.stderr


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("bt_neuro.bars.describe.describe", lambda bars: 1 / 0)
    assert isinstance(bt_neuro("check", SAMPLE).exception, ZeroDivisionError)


def test_quiet_prints_one_line(ran, tmp_path):
    words = [*JANUARY, "--strategy", SMALL, "--device", "numpy", "--out", tmp_path / "run", "--no-report"]
    out = bt_neuro("backtest", SAMPLE, *words, "--quiet")
    assert (out.stdout.splitlines(), out.stderr) == (ran.stdout.splitlines()[:1], "")


def test_progress_without_a_terminal_is_plain_lines(monkeypatch, capsys):
    monkeypatch.setattr("bt_neuro.cli.progress.SECONDS_A_LINE", 0.0)
    with progress_bar() as report:
        report(500, 2_000)
    assert re.fullmatch(r"500 of 2,000 bars \(25 %\), [\d,]+ s left\n", capsys.readouterr().err)


CONFIGURED = {
    "spread = 3\n[backtest]\nseed = 7\nto = '2024-01-31'": ("spread", 3.0),
    "spread = 3\nto = '2024-01-31'\n[backtest]\nspread = 5": ("spread", 5.0),
}


@pytest.mark.parametrize("text", CONFIGURED)
def test_a_configuration_file_stands_for_options(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    Path("bt-neuro.toml").write_text(text)
    words = ["--strategy", SMALL, "--device", "numpy", "--no-report", "--json"]
    manifest = json.loads(bt_neuro("backtest", SAMPLE, *words, "--out", "one").stdout)
    key, value = CONFIGURED[text]
    assert manifest["account"][key] == value
    assert manifest["data"]["options"] == {"end": "2024-01-31"}
    manifest = json.loads(bt_neuro("backtest", SAMPLE, *words, "--spread", 1, "--out", "two").stdout)
    assert manifest["account"]["spread"] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sprad = 3", r"no command has --sprad\. Did you mean spread\?"),
        ("[bactest]", r"no command 'bactest'\. Did you mean backtest\?"),
        ("[backtest]\nsped = 3", r"backtest has no --sped\. Did you mean"),
        ("a =", "must be a TOML file"),
    ],
)
def test_a_wrong_configuration_file_is_wrong_usage(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    Path("bt-neuro.toml").write_text(text)
    out = bt_neuro("check", SAMPLE)
    assert out.exit_code == 2
    assert re.search(message, " ".join(out.stderr.split()))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux")
def test_a_name_that_is_no_utf8_works(tmp_path):
    file = tmp_path / os.fsdecode(b"EUR\xff.csv")
    file.write_bytes(Path(SAMPLE).read_bytes())
    words = [sys.executable, "-m", "bt_neuro", "backtest", file, *JANUARY, "--strategy", SMALL]
    words += ["--device", "numpy", "--out", tmp_path / "run"]
    done = subprocess.run(words, capture_output=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"EUR\udcff.csv, 2024-01-02" in done.stdout
    assert (tmp_path / "run" / "report.html").exists()


def test_a_wrong_choice_is_wrong_usage():
    out = bt_neuro("walk-forward", SAMPLE, "--retrain", "often")
    assert out.exit_code == 2
    assert "never" in out.stderr


def test_a_port_beyond_the_last_one_is_wrong_usage():
    refused = bt_neuro("watch", "--port", "65536")
    assert refused.exit_code == 2
    assert "less than or equal to 65535" in refused.stderr


def test_ctrl_c_during_the_imports_has_no_traceback():
    code = """if True:
        import sys
        from bt_neuro.__main__ import main
        class Interrupted:
            def find_spec(self, name, *_):
                if name == "typer":
                    raise KeyboardInterrupt
        sys.meta_path.insert(0, Interrupted())
        main()
    """
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, "interrupted\n")


def test_every_command_has_an_example():
    for name in typer.main.get_command(app).commands:
        out = bt_neuro(name, "--help")
        assert f"Example: bt-neuro {name}" in " ".join(out.stdout.split()), name


def test_help_imports_nothing_heavy():
    heavy = ["pandas", "numpy", "backtrader", "pyopencl", "scipy"]
    code = f"import sys, bt_neuro.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_version():
    assert re.match(r"bt-neuro \d+\.\d+\.\d+", bt_neuro("--version").stdout)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_no_room_left_is_one_clear_error():
    command = [sys.executable, "-m", "bt_neuro", "check", SAMPLE]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "Error: No space left on device.\nFree some space there, or write elsewhere.\n"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell that closes and limits files")
@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (f"check {SAMPLE} >&-", 0, ""),
        (f"check {SAMPLE} --json >&-", 0, ""),
        (
            f"backtest {SAMPLE} --to 2024-01-31 --device numpy -q --out run",
            1,
            "Error: File too large.\nFree some space there, or write elsewhere.\n",
        ),
    ],
)
def test_a_stdout_that_is_closed_and_a_file_at_its_limit(tmp_path, command, code, message):
    command = f"ulimit -f 4; {sys.executable} -m bt_neuro {command}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (ended.returncode, ended.stderr) == (code, message)


def test_a_strategy_that_is_no_python_file_is_told_so():
    refused = bt_neuro("backtest", SAMPLE, "--strategy", SAMPLE)
    assert refused.exit_code == 1
    assert f"strategy file {SAMPLE} is no Python file" in refused.stderr


# -- options of bar files --------------------------------------------------------------------------------------
def test_every_option_that_a_message_names_exists():
    group = typer.main.get_command(app)
    commands = [*group.commands.values(), *group.commands["runs"].commands.values()]
    options = {name for one in (group, *commands) for parameter in one.params for name in parameter.opts}
    options |= {
        "--help",
        "--nthreads",
        "--blue",
        "--orange",
        "--soft",
    }  # of Click, Dask, and colours of a page
    for path in (ROOT / "bt_neuro").rglob("*.py"):
        for name in re.findall(r"(?<![\w`-])(?<!var\()--[a-z][a-z-]+", path.read_text(encoding="utf-8")):
            assert name in options, f"{path.relative_to(ROOT)} names {name}"


HOLEY = "date,open,high,low,close\n" + "".join(
    f"2024-01-{day:02d},1.10003,1.10207,1.09801,{'1.10309' if day == 9 else '1.10102'}\n"
    for day in range(1, 32)
)
IN_TURN = "date,symbol,open,high,low,close\n" + "".join(
    f"2024-01-{day:02d},{symbol},1.1000,1.1020,1.0980,1.1010\n"
    for day in range(1, 31)
    for symbol in ("AA", "BB")
)
SCALED = "date,open,high,low,close\n" + "".join(
    f"2024-01-{day:02d},110000,110200,109800,1101{day:02d}\n" for day in range(1, 32)
)


@pytest.mark.parametrize(
    ("content", "options", "exit_code", "expected"),
    [
        (HOLEY, [], 1, "--repair=widen"),
        (HOLEY, ["--repair"], 1, "2 %"),  # one of 31 is more
        (HOLEY, ["--repair", "widen"], 0, '"bars": 31'),
        (HOLEY, ["--repair=all"], 0, '"bars": 30'),
        (HOLEY, ["--repair=some"], 2, "widen"),
        (IN_TURN, [], 1, "--symbol 'AA'"),
        (IN_TURN, ["--symbol", "BB"], 0, '"bars": 30'),
        (SCALED, ["--scale", "0.00001"], 0, '"open": 1.1'),
        (SCALED, ["--scale", "0.00001", "--point", "0.0001"], 0, '"point": 0.0001'),
    ],
)
def test_options_of_bar_files(content, options, exit_code, expected, tmp_path):
    (tmp_path / "bars.csv").write_text(content)
    result = bt_neuro("check", *options, tmp_path / "bars.csv", "--json")
    assert result.exit_code == exit_code, result.output
    assert expected in result.output
