"""What a disk, an environment and a person can do to a run: one line, nothing lost, the right answers."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evalkit.__main__ import main
from evalkit.files import is_temporary, write_atomically
from evalkit.run.generations import read_generations
from evalkit.spawn import child_command, child_environment
from tests.backends.scripted_server import Reply, ScriptedServer

OUTPUTS = 18  # of the bundled TFNS


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Recorded outputs for the bundled TFNS examples: every one `neutral`."""
    from evalkit.config.settings import run_settings
    from evalkit.run.runner import load_data

    settings = run_settings(["+model=replay", "model.path=none", "data=sample", "benchmark=[tfns]"])
    path = tmp_path / "outputs.jsonl"
    examples = load_data(settings)["tfns"].examples
    path.write_text("".join(json.dumps({"id": e.id, "text": "\\boxed{neutral}"}) + "\n" for e in examples))
    return path


@pytest.fixture
def run_dir(outputs: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    assert main(command(outputs, folder)) == 0
    return folder


def command(outputs: Path, folder: Path) -> list[str]:
    return [
        "run",
        "+model=replay",
        f"model.path={outputs}",
        "benchmark=[tfns]",
        "data=sample",
        f"run_dir={folder}",
    ]


def line_of(capsys: pytest.CaptureFixture[str], arguments: list[str], code: int = 2) -> str:
    """The one line that a command ends with."""
    capsys.readouterr()
    assert main(arguments) == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("evalkit: ")
    return lines[0]


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """No file can become larger, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 100, 2_000, 5_000])
def test_a_full_disk_is_one_line_and_the_same_command_goes_on(
    size: int, outputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    with small_files(size):
        assert "the same command goes on" in line_of(capsys, command(outputs, folder), code=1)
    assert main(command(outputs, folder)) == 0
    assert len(read_generations(folder / "generations.jsonl")) == OUTPUTS
    assert not [path for path in folder.iterdir() if is_temporary(path.name)]


def test_a_config_that_was_never_finished_is_no_other_run(outputs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for name in (".lock", ".config.yaml.tmp", ".config.yaml.999999999.1.tmp"):
        (folder / name).touch()
    assert main(command(outputs, folder)) == 0
    assert not [path for path in folder.iterdir() if is_temporary(path.name)]


def test_a_linked_file_of_answers_stays_linked(outputs: Path, run_dir: Path, tmp_path: Path) -> None:
    answers = run_dir / "generations.jsonl"
    elsewhere = answers.rename(tmp_path / "elsewhere.jsonl")
    answers.symlink_to(elsewhere)
    with elsewhere.open("ab") as file:
        file.write(b'{"cut')
    assert main(command(outputs, run_dir)) == 0
    assert answers.is_symlink()
    assert elsewhere.read_bytes().endswith(b"}\n")


def change(answers: Path, edit: Callable[[dict[str, object]], object]) -> None:
    """Edit the first record."""
    first, *others = answers.read_text(encoding="utf-8").splitlines(keepends=True)
    fields = json.loads(first)
    edit(fields)
    answers.write_text(json.dumps(fields) + "\n" + "".join(others), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("messages", None),
        ("messages", []),
        ("messages", ["x"]),
        ("messages", [{"role": "user"}]),
        ("turn", [1]),
        ("prompt_tokens", "50"),
        ("cached_tokens", 0.5),
        ("completion_tokens", True),
        ("error", 5),
        ("prefill_s", "a"),
        ("latency_s", None),
        ("latency_s", float("nan")),
        ("finish_reason", {}),
        ("sample", True),
        ("text", 5),
        ("id", None),
    ],
)
def test_every_field_of_a_record_is_checked(
    name: str, value: object, run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(run_dir / "generations.jsonl", lambda fields: fields.update({name: value}))
    assert "line 1 is not a generation record" in line_of(capsys, ["score", str(run_dir)])


@pytest.mark.parametrize("block", [b"\0" * 3000, b"[" * 100_000, b"\xff\xfe{}"])
def test_a_damaged_line_is_a_short_message(
    block: bytes, run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (run_dir / "generations.jsonl").open("ab") as file:
        file.write(block + b"\n")
    line = line_of(capsys, ["score", str(run_dir)])
    assert f"line {OUTPUTS + 1} is not" in line
    assert len(line) < 400 + len(str(run_dir))
    assert line.isprintable()


def test_a_line_twice_counts_once_and_a_second_answer_is_refused(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = run_dir / "generations.jsonl"
    lines = answers.read_text(encoding="utf-8").splitlines(keepends=True)
    answers.write_text("".join([*lines, lines[0]]), encoding="utf-8")
    assert len(read_generations(answers)) == OUTPUTS
    answers.write_text("".join([*lines, lines[0].replace("neutral", "bullish")]), encoding="utf-8")
    assert "another answer" in line_of(capsys, ["score", str(run_dir)])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"schema": 1, "measured": {}}, "sampling is missing"),
        ({"schema": 2}, "schema 2"),
        ({}, "nothing was generated there yet"),
    ],
)
def test_a_run_json_of_something_else(
    content: dict[str, object], said: str, run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run_dir / "run.json").write_text(json.dumps(content))
    assert said in line_of(capsys, ["score", str(run_dir)])


@pytest.mark.parametrize("block", ["measured", "engine", "data", "sessions", "hardware"])
def test_a_run_json_without_a_block(block: str, run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run_dir / "run.json"
    content = json.loads(path.read_text())
    for value in (None, "x", [1]):
        path.write_text(json.dumps({**content, block: value}))
        assert f"its {block} is missing" in line_of(capsys, ["score", str(run_dir)])


def test_changed_gold_is_refused_by_run_and_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data" / "tfns"
    data.mkdir(parents=True)
    rows = ["text,label", *(f"A tweet number {n} about a stock,{n % 3}" for n in range(4))]
    (data / "sent_valid.csv").write_text("\n".join(rows) + "\n")
    outputs = tmp_path / "outputs.jsonl"
    outputs.write_text("")
    run = ["run", "+model=replay", f"model.path={outputs}", "benchmark=[tfns]"]
    run += ["data=local", f"data.dir={data.parent}", f"run_dir={tmp_path / 'run'}"]
    from evalkit.config.settings import run_settings
    from evalkit.run.runner import load_data

    examples = load_data(run_settings(run[1:]))["tfns"].examples
    outputs.write_text("".join(json.dumps({"id": e.id, "text": "\\boxed{neutral}"}) + "\n" for e in examples))
    assert main(run) == 0
    rows[1] = rows[1][:-1] + "2"
    (data / "sent_valid.csv").write_text("\n".join(rows) + "\n")
    for again in (run, ["score", str(tmp_path / "run")]):
        assert "the data of tfns changed since the run" in line_of(capsys, again)


def test_many_scores_at_once(run_dir: Path) -> None:
    score = [sys.executable, "-m", "evalkit", "score", str(run_dir)]
    running = [
        subprocess.Popen(score, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [(child.communicate()[1], child.returncode) for child in running] == [("", 0)] * 3


def test_writers_at_once_leave_one_of_their_contents(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    path = tmp_path / "file"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: write_atomically(path, str(n) * 1000), range(8)))
    assert len(set(path.read_text())) == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("shell", "code"),
    [
        ("PYTHONIOENCODING=ascii {} > OUT", 0),
        ("PYTHONIOENCODING=gbk {} > OUT", 0),
        ("{} >&-", 0),
        ("{} > /dev/full", 1),
    ],
)
def test_an_output_that_cannot_show_it(shell: str, code: int, run_dir: Path, tmp_path: Path) -> None:
    score = f"{sys.executable} -m evalkit score {run_dir}"
    line = shell.format(score).replace("OUT", str(tmp_path / "out"))
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == code


def test_a_child_searches_no_current_folder(tmp_path: Path) -> None:
    for name in ("json", "psutil", "evalkit"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('of the current folder')")
    words = child_command("evalkit.children.watchdog", sys.executable, "-c", "print('as it should')")
    reading, writing = os.pipe()  # open, as the parent's end is
    done = subprocess.run(
        words,
        cwd=tmp_path,
        stdin=reading,
        capture_output=True,
        text=True,
        env=child_environment(),
        check=False,
    )
    os.close(reading)
    os.close(writing)
    assert (done.stdout.strip(), done.returncode) == ("as it should", 0), done.stderr


def test_a_child_inherits_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = (
        "OPENAI_API_KEY",
        "HF_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "DB_PASSWORD",
        "deepseek_apikey",
        "TOKEN",
    )
    others = ("PATH_OF_KEYS_FILE", "TOKENIZERS_PARALLELISM", "MONKEY", "LD_LIBRARY_PATH")
    for name in (*secrets, *others):
        monkeypatch.setenv(name, "x")
    found = child_environment({"LLAMA_API_KEY": "one-time"})
    assert not found.keys() & set(secrets)
    assert found.keys() >= set(others)
    assert found["LLAMA_API_KEY"] == "one-time"
    assert os.environ["HF_TOKEN"] == "x"


def test_secrets_of_an_address_are_in_no_file(outputs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    address = "model.source.url=http://user:SECRET@127.0.0.1:9/x.gguf?token=SECRET"
    for _ in range(2):
        assert main([*command(outputs, folder), f"+{address}"]) == 0
    assert "http://127.0.0.1:9/x.gguf" in (folder / "config.yaml").read_text()
    assert not [path for path in folder.iterdir() if b"SECRET" in path.read_bytes()]
    assert main([*command(outputs, folder), f"+{address.replace('SECRET', 'OTHER')}"]) == 0
    assert main([*command(outputs, folder), f"+{address.replace('x.gguf', 'y.gguf')}"]) == 2


def test_a_config_of_aliases_is_refused_at_once(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = run_dir / "config.yaml"
    bomb = "zz0: &a0 [x,x]\n" + "".join(f"zz{n + 1}: &a{n + 1} [*a{n},*a{n}]\n" for n in range(60))
    config.write_text(bomb + config.read_text())
    assert "config.yaml cannot be read" in line_of(capsys, ["score", str(run_dir)])
    config.write_text("#" * (2 << 20))
    assert "config.yaml cannot be read" in line_of(capsys, ["score", str(run_dir)])


@pytest.mark.parametrize("title", ["=HYPERLINK(0)", "<img src=x onerror=alert(1)>", "[bold]x[/bold]", "a|b"])
def test_a_title_is_only_text_in_every_table(title: str, outputs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert main([*command(outputs, folder), f"model.title={title}"]) == 0
    for name in ("table.md", "report.md"):
        markdown = (folder / name).read_text()
        assert title not in markdown.replace(f"`{title}`", "")
    cell = (folder / "table.csv").read_text().splitlines()[1]
    assert not cell.startswith("=")


@pytest.mark.parametrize("ignored", [False, True])
def test_ended_from_outside_is_one_line_and_the_same_command_goes_on(ignored: bool, tmp_path: Path) -> None:
    """Also as a shell's background job, which ignores Ctrl-C."""
    folder = tmp_path / "run"
    answers = folder / "generations.jsonl"
    with ScriptedServer(lambda _: Reply("\\boxed{neutral}", delay=0.05)) as server:
        words = [sys.executable, "-m", "evalkit", "run", "+model=endpoint", "benchmark=[tfns]", "data=sample"]
        words += [f"backend.base_url={server.url}", "backend.slots=2", f"run_dir={folder}"]
        for wanted in (1, 5):
            child = subprocess.Popen(
                words,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                preexec_fn=(lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) if ignored else None,
            )
            while child.poll() is None and (
                not answers.exists() or answers.read_bytes().count(b"\n") < wanted
            ):
                time.sleep(0.01)
            child.send_signal(signal.SIGTERM)
            said = child.communicate(timeout=300)[1]
            assert child.returncode == 130, said
            assert "Traceback" not in said
            assert "never retrieved" not in said
            assert said.strip().splitlines()[-1].startswith("evalkit: interrupted")
        assert subprocess.run(words, capture_output=True, check=False).returncode == 0
    assert len(read_generations(answers)) == OUTPUTS
