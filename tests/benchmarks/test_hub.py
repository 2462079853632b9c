"""Downloads from a local server that answers as the hubs do: all five benchmarks, and what can go wrong."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from evalkit.benchmarks import load
from evalkit.benchmarks.sources import pin_table
from evalkit.config.settings import BenchmarkSettings
from evalkit.files import BENCHMARKS, sha256
from evalkit.schema import Loaded, UserError
from tests.settings import HUB, benchmark_settings, changed

from .helpers import dialogue, finqa_record, load_local
from .hub_server import COMMIT, serve


def git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def hub_changed(chosen: BenchmarkSettings, **changes: object) -> BenchmarkSettings:
    """With some fields of its `hub` changed."""
    assert chosen.hub
    return changed(chosen, hub=changed(chosen.hub, **changes))


def pinned(chosen: BenchmarkSettings, split: str, content: bytes) -> BenchmarkSettings:
    """With the hash of what the hub is said to hold for a split."""
    assert chosen.hub
    file = changed(chosen.hub.files[split], git_blob=git_blob(content))
    return hub_changed(chosen, files={**chosen.hub.files, split: file})


def load_hub(chosen: BenchmarkSettings) -> Loaded:
    return load(chosen, HUB, limit=None, seed=0, sampling="item")


def refused(chosen: BenchmarkSettings) -> str:
    with pytest.raises(UserError) as caught:
        load_hub(chosen)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


FINQA = json.dumps([finqa_record(n) for n in range(3)]).encode()
FINQA_PATH = "/czyssrs/FinQA/0f16e2867befa6840783e58be38c9efb9229d742/dataset/test.json"


def finqa_settings(url: str) -> BenchmarkSettings:
    return hub_changed(pinned(benchmark_settings("finqa"), "test", FINQA), base_url=url)


def test_finqa_is_downloaded_once(cache: Path) -> None:
    with serve(raw={FINQA_PATH: FINQA}) as hub:
        first = load_hub(finqa_settings(hub.url))
        url = hub.url
    assert len(hub.requests) == 1
    again = load_hub(finqa_settings(url))  # the server is gone
    assert again == first
    assert first.provenance["files"] == [
        {"name": "finqa/test.json", "bytes": len(FINQA), "sha256": hashlib.sha256(FINQA).hexdigest()}
    ]
    assert first.provenance["revision"] == "0f16e2867befa6840783e58be38c9efb9229d742"


def test_wrong_content_is_refused_and_removed(cache: Path) -> None:
    with serve(raw={FINQA_PATH: FINQA[:-9]}) as hub:
        message = refused(finqa_settings(hub.url))
        assert message.startswith(f"{hub.url}{FINQA_PATH}: the content is not the recorded one (git blob ")
        assert not list(cache.rglob("*.json"))
        hub.raw[FINQA_PATH] = FINQA
        assert len(load_hub(finqa_settings(hub.url)).examples) == 3


def test_damaged_cache_is_refused_and_removed(cache: Path) -> None:
    with serve(raw={FINQA_PATH: FINQA}) as hub:
        load_hub(finqa_settings(hub.url))
        [path] = cache.rglob("test.json")
        path.write_bytes(FINQA.replace(b"2.625", b"9.625"))
        assert "the content is not the recorded one" in refused(finqa_settings(hub.url))
        assert len(load_hub(finqa_settings(hub.url)).examples) == 3


def test_server_down_and_file_gone(cache: Path) -> None:
    with serve() as hub:
        assert "cannot download (HTTPError: 404" in refused(finqa_settings(hub.url))
    message = refused(finqa_settings(hub.url))
    assert message.startswith(f"{hub.url}{FINQA_PATH}: cannot download (ConnectionError: ")
    assert message.endswith("check the network, or use data=local data.dir=PATH")


def test_split_without_a_pin(cache: Path) -> None:
    message = refused(changed(finqa_settings("http://127.0.0.1:9"), split="tset"))
    assert message == "benchmark.finqa.split=tset: choose one of dev, test, train"


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"data/{name}.json", content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (zipped(dev=json.dumps([dialogue(n) for n in range(4)]).encode()), None),
        (zipped(train=b"[]"), "convfinqa/dev.json: cannot read member data/dev.json of "),
        (b"no archive", "convfinqa/dev.json: cannot read member data/dev.json of "),
        (zipped(dev=b"[{"), "convfinqa/dev.json: not valid JSON at line 1 column 3"),
    ],
)
def test_convfinqa_zip(cache: Path, archive: bytes, message: str | None) -> None:
    chosen = pinned(benchmark_settings("convfinqa"), "dev", archive)
    with serve(raw={"/czyssrs/ConvFinQA/cf3eed2d5984960bf06bb8145bcea5e80b0222a6/data.zip": archive}) as hub:
        chosen = hub_changed(chosen, base_url=hub.url)
        if message is None:
            assert len(load_hub(chosen).examples) == 12
        else:
            assert refused(chosen).startswith(message)


def test_ant_finance_pins_name_every_file() -> None:
    lines = (BENCHMARKS / "ant_finance/files.tsv").read_text(encoding="utf-8").splitlines()
    rows = [dict(zip(lines[0].split("\t"), line.split("\t"), strict=True)) for line in lines[1:]]
    chosen = benchmark_settings("ant_finance")
    assert chosen.hub
    assert len(rows) == 33
    assert sum(int(row["rows"]) for row in rows) == chosen.records == chosen.hub.rows
    assert sum(int(row["answered"]) for row in rows) == chosen.items
    assert {len(row["git_blob"]) for row in rows} == {40}


@pytest.mark.skipif(not os.environ.get("EVALKIT_DATA_DIR"), reason="EVALKIT_DATA_DIR is not set")
def test_ant_finance_pins_fit_the_real_files() -> None:
    pins = {pin.path: pin for pin in pin_table(BENCHMARKS / "ant_finance/files.tsv")}
    root = Path(os.environ["EVALKIT_DATA_DIR"]) / "ant_finance"
    paths = list(root.glob("*/*.csv"))
    assert paths
    for path in paths:
        pin = pins[f"data/Ant/{path.relative_to(root).as_posix()}"]
        assert (pin.git_blob, pin.sha256) == (git_blob(path.read_bytes()), sha256(path))


def ant_hub(tmp_path: Path) -> tuple[dict[str, bytes], BenchmarkSettings]:
    """Two files as upstream serves them, and a config whose table of pins names them."""
    paths = {"data/Ant/安全合规/金融事实性.csv": "id,question,answer\n0,问,是\n1,问,\n"}
    paths["data/Ant/金融逻辑/金融数值计算.csv"] = "id,question,A,B,answer\n0,问,甲,乙,B\n"
    contents = {path: b"\xef\xbb\xbf" + text.encode() for path, text in paths.items()}
    lines = ["path\tgit_blob\tsha256\trows\tanswered"]
    for path, content in contents.items():
        lines.append(f"{path}\t{git_blob(content)}\t{hashlib.sha256(content).hexdigest()}\t0\t0")
    table = tmp_path / "files.tsv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    chosen = hub_changed(benchmark_settings("ant_finance"), table=str(table), rows=3)
    prefix = "/alipay/financial_evaluation_dataset/b1756922fe321a65dbc888d12a29149dc24ee7d9"
    return {f"{prefix}/{path}": content for path, content in contents.items()}, chosen


def test_ant_finance(cache: Path, tmp_path: Path) -> None:
    raw, chosen = ant_hub(tmp_path)
    with serve(raw=raw) as hub:
        chosen = hub_changed(chosen, base_url=hub.url)
        loaded = load_hub(chosen)
    assert {example.id for example in loaded.examples} == {"安全合规/金融事实性/0", "金融逻辑/金融数值计算/0"}
    message = refused(hub_changed(chosen, rows=4))
    assert message.startswith("ant_finance: the hub has 3 rows, 4 are documented")


REMOTE = """
import json, sys
from evalkit.benchmarks import load
from evalkit.config.settings import BenchmarkSettings, DataSettings
from evalkit.schema import UserError

settings = BenchmarkSettings.model_validate_json(sys.stdin.read())
try:
    loaded = load(settings, DataSettings(source="hub"), limit=None, seed=0, sampling="item")
except UserError as error:
    print(json.dumps({"error": str(error)}))
else:
    ids = sorted(example.id for example in loaded.examples)
    print(json.dumps({"ids": ids, "provenance": loaded.provenance}))
"""


def load_remote(chosen: BenchmarkSettings, endpoint: str, home: Path, **environment: str) -> dict[str, Any]:
    """Load through `datasets` in a process of its own: it reads its environment once, when imported."""
    env = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "NO_PROXY": "*", **environment}
    done = subprocess.run(
        [sys.executable, "-c", REMOTE],
        input=chosen.model_dump_json(),
        capture_output=True,
        text=True,
        env=env,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


TFNS = b'text,label\r\n"$ACME down\nhard",0\r\nNone,1\r\n"caf\xc3\xa9, {{ open }}",2\r\nflat,2\r\n'
TFNS_REPO = "zeroshot/twitter-financial-news-sentiment"


def tfns_settings(**hub: object) -> BenchmarkSettings:
    counts = {"label": {"0": 1, "1": 1, "2": 2}}
    return hub_changed(benchmark_settings("tfns"), **{"revision": COMMIT, "rows": 4, "counts": counts, **hub})


def tfns_hub() -> dict[str, dict[str, bytes]]:
    return {
        TFNS_REPO: {"sent_valid.csv": TFNS, "sent_train.csv": TFNS, "README.md": b"---\nlicense: mit\n---\n"}
    }


def test_tfns_equals_the_local_file_and_is_there_offline(tmp_path: Path) -> None:
    with serve(datasets=tfns_hub()) as hub:
        loaded = load_remote(tfns_settings(), hub.url, tmp_path / "hf")
        endpoint = hub.url
    assert loaded["provenance"]["revision"] == COMMIT
    assert len(loaded["provenance"]["rows_sha256"]) == 64
    (tmp_path / "tfns").mkdir()
    (tmp_path / "tfns/sent_valid.csv").write_bytes(TFNS)
    assert loaded["ids"] == sorted(example.id for example in load_local("tfns", tmp_path).examples)
    assert load_remote(tfns_settings(), endpoint, tmp_path / "hf", HF_HUB_OFFLINE="1") == loaded
    other = load_remote(tfns_settings(revision="0" * 40), endpoint, tmp_path / "hf", HF_HUB_OFFLINE="1")
    assert other["error"] == (
        f"{TFNS_REPO}: offline, and the cache holds revision {COMMIT}, not {'0' * 40}; go online once"
    )


@pytest.mark.parametrize(
    ("hub_config", "message"),
    [
        ({"rows": 2388}, "tfns: the hub has 4 rows, 2388 are documented (benchmark.tfns.hub.rows)"),
        (
            {"counts": {"label": {"0": 1, "1": 2, "2": 1}}},
            "tfns: column label of the hub's copy counts {'0': 1, ",
        ),
    ],
)
def test_tfns_with_other_rows_than_documented(
    tmp_path: Path, hub_config: dict[str, Any], message: str
) -> None:
    with serve(datasets=tfns_hub()) as hub:
        answer = load_remote(tfns_settings(**hub_config), hub.url, tmp_path / "hf")
    assert answer["error"].startswith(message)


def test_finance_instruct(tmp_path: Path) -> None:
    rows = [{"system": "\n", "user": f"q{n % 30}", "assistant": "a"} for n in range(40)]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    chosen = hub_changed(benchmark_settings("finance_instruct", subset=20), rows=40)
    assert chosen.hub
    with serve(datasets={chosen.hub.repo: {"train.json": content}}) as hub:
        loaded = load_remote(chosen, hub.url, tmp_path / "hf")
    (tmp_path / "finance_instruct").mkdir()
    (tmp_path / "finance_instruct/train.jsonl").write_bytes(content)
    local = load_local("finance_instruct", tmp_path, subset=20)
    assert loaded["ids"] == sorted(example.id for example in local.examples)
    facts = loaded["provenance"]
    assert (facts["records"], facts["duplicates"], facts["items"], facts["selected"]) == (40, 10, 30, 20)
    assert facts["revision"] == COMMIT


def test_offline_without_a_cache(tmp_path: Path) -> None:
    answer = load_remote(tfns_settings(), "http://127.0.0.1:9", tmp_path / "hf", HF_HUB_OFFLINE="1")
    assert answer["error"].startswith(f"{TFNS_REPO}: cannot load from the hub (")
    assert "\n" not in answer["error"]


def test_wrong_format_on_the_hub(tmp_path: Path) -> None:
    with serve(datasets={TFNS_REPO: {"sent_valid.csv": b"\xff\xfe\x00"}}) as hub:
        answer = load_remote(tfns_settings(), hub.url, tmp_path / "hf")
    assert answer["error"].startswith(f"{TFNS_REPO}: cannot load from the hub (")
    assert "\n" not in answer["error"]
