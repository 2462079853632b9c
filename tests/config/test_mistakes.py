"""Wrong commands get one line that names the culprit and says what to do, in no words of Hydra's."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalkit.__main__ import main

HYDRAS = (
    "override",
    "Ambiguous",
    "Hydra",
    "hydra",
    "not in struct",
    "full_key",
    "defaults list",
    "Could not",
    "OmegaConf",
)
LOCAL = "data=local data.dir=D"

# What is typed, split at blanks as a shell would; words that the line must contain, separated by a bar.
MISTAKES = {
    # Files, names and addresses.
    "run": "no model given|FILE.gguf",
    "run modell.gguf data=sample": "modell.gguf|does not exist|Did you mean model.gguf?",
    "run modell.gguf data=local data.dir=nowhere": "modell.gguf|does not exist",  # before the data are read
    "run modell.gguf plan=true data=sample": "modell.gguf|does not exist",
    "load modell.gguf data=local data.dir=nowhere": "modell.gguf|does not exist",
    "run smollm2-135 data=sample": "'smollm2-135'|Did you mean smollm2-135m?",
    "run model.safetensors data=sample": "model.safetensors|convert_hf_to_gguf.py",
    "run model=gguf model.path=model.safetensors data=sample": "model.safetensors|convert_hf_to_gguf.py",
    "run pytorch_model.bin": "pytorch_model.bin|convert_hf_to_gguf.py",
    "run . data=sample": "'.' is a folder|one of model.gguf, other.gguf",
    "run D data=sample": "'D' is a folder|name the GGUF file in it",
    "run model.gguf other.gguf": "model.gguf and other.gguf|evalkit sweep model.gguf other.gguf",
    "run model=smollm2-135m,fin-r1-q4_k": "smollm2-135m and fin-r1-q4_k|evalkit sweep",
    "run model=smollm2-135m model=fin-r1-q4_k": "smollm2-135m and fin-r1-q4_k|evalkit sweep",
    "run smollm2-135m finqa": "'finqa' is a benchmark|benchmark=finqa",
    "run finqa": "'finqa' is a benchmark|benchmark=finqa",
    "run greedy": "'greedy' is no model|protocol=greedy",
    "run fin-r1-quants": "'fin-r1-quants' is a sweep|evalkit sweep fin-r1-quants",
    "run sweep=fin-r1-quants": "'fin-r1-quants' is a sweep|evalkit sweep fin-r1-quants",
    "run bartowski/Fin-R1-GGUF": "'bartowski/Fin-R1-GGUF'|hf:bartowski/Fin-R1-GGUF/FILE.gguf",
    "run model=bartowski/Fin-R1-GGUF": "'bartowski/Fin-R1-GGUF'|hf:bartowski/Fin-R1-GGUF/FILE.gguf",
    "run bartowski/Fin-R1-GGUF:Q4_K_M": "'bartowski/Fin-R1-GGUF:Q4_K_M'|hf:bartowski/Fin-R1-GGUF/FILE.gguf",
    "run hf:bartowski/Fin-R1-GGUF": "whole repository|hf:bartowski/Fin-R1-GGUF/FILE.gguf",
    "run hf:bartowski": "'hf:bartowski'|hf:OWNER/REPO/FILE.gguf",
    "run hf:a/b/c.safetensors": "'hf:a/b/c.safetensors' is no GGUF file|hf:OWNER/REPO/FILE.gguf",
    "run https://huggingface.co/a/b": "whole repository|hf:a/b/FILE.gguf",
    "run localhost:11434/v1": "without its scheme|http://localhost:11434/v1",
    "run http:///v1": "no address|http://HOST:PORT/v1",
    "run model=endpoint data=sample": "OPENAI_API_KEY is not set|evalkit run http://localhost:11434/v1",
    "run models/mine": "no file 'models/mine'|hf:models/mine/FILE.gguf",
    "run (scratch)": "no model named '(scratch)'|`evalkit models`",
    "run model.path=model.gguf": "model.path needs a model|evalkit run FILE.gguf",
    "run model=gguf data=sample": "model.path is missing|model.path=VALUE",
    "run name=x": "name=NAME|FILE or URL",
    "run fin-r1-sft data=sample": "not released|published row",
    # Options of other tools.
    "run --model smollm2-135m": "no options like --model|write model=smollm2-135m",
    "run --model=smollm2-135m": "no options like --model|write model=smollm2-135m",
    "run smollm2-135m --limit 5": "no options like --limit|write limit=5",
    "run smollm2-135m -n 5": "no options like -n|write limit=5",
    "run smollm2-135m --tasks finqa,tfns": "no options like --tasks|write benchmark=finqa,tfns",
    "run smollm2-135m --dry-run": "no --dry-run|plan=true",
    "run smollm2-135m --cfg job": "no --cfg|config.yaml",
    "run smollm2-135m --resume": "no --resume|the same command goes on",
    "run smollm2-135m --temperature 0.6": "no options like --temperature|write protocol.temperature=0.6",
    "run smollm2-135m --output_path x": "no options like --output_path|write run_dir=x",
    "sweep model.gguf other.gguf --reference other.gguf": "no options like --reference|reference=other.gguf",
    # Keys, with local data, whose folder used to be blamed.
    f"run model.gguf {LOCAL} limitt=2": "'limitt'|Did you mean limit?",
    f"run model.gguf {LOCAL} protocol.temp=2": "'protocol.temp'|Did you mean protocol.temperature?",
    f"run model.gguf {LOCAL} backend.slotz=2": "'backend.slotz'|Did you mean backend.slots?",
    f"run model=gguf model.pth=x {LOCAL}": "'model.pth'|Did you mean model.path?",
    f"run model.gguf {LOCAL} sweep.foo=1": "'sweep.foo'|evalkit run --help",
    f"run model.gguf {LOCAL} sweep.margin=1": "sweep.margin|evalkit sweep",
    f"run model.gguf {LOCAL} benchmark.finqa.limt=1": "'benchmark.finqa.limt'|mean benchmark.finqa.limit?",
    f"run model.gguf {LOCAL} limitt=2 protocol.temp=2": "'limitt'|Did you mean limit?",
    f"run model.gguf {LOCAL} backend.base_url=http://x/v1": "backend.base_url|backend=remote",
    f"run model.gguf {LOCAL} judge.when=always": "judge.when|judge=",
    f"run model.gguf {LOCAL} benchmark=tfns benchmark.finqa.limit=1": "benchmark.finqa.limit|benchmark=...",
    "run model.gguf data=local data.dri=D": "'data.dri'|Did you mean data.dir?",
    "run model.gguf data=local": "data.dir is missing|data.dir=VALUE",
    "run model.gguf data.dir=D": "data.dir=D|data=local",
    "run model.gguf data=locl": "no data named 'locl'|Did you mean local?",
    "run model.gguf data=D": "no data named 'D'|hub, local, sample",
    "run model.gguf data=sample judge=local judge=endpoint": "judge is given twice|leave one",
    "run model.gguf data=sample temperature=0": "'temperature'|Did you mean protocol.temperature?",
    "run model.gguf data=sample max_tokens=64": "'max_tokens'|Did you mean protocol.max_tokens?",
    "run model.gguf data=sample context=4096": "'context'|Did you mean backend.context?",
    "run model.gguf data=sample tasks=finqa": "'tasks'|Did you mean benchmark?",
    "run model.gguf data=sample hydra.verbos=true": "hydra.verbos|leave it out",
    # Values.
    "run model.gguf data=sample benchmark=finqaa,tfns": "no benchmark named 'finqaa'|Did you mean finqa?",
    "run model.gguf data=sample benchmark=finqa, tfnss": "no benchmark named 'tfnss'|Did you mean tfns?",
    "run model.gguf data=sample benchmark=": "benchmark= needs a name|finqa",
    "run model.gguf data=sample limit=1,2": "limit=1,2|it takes one value",
    "run model.gguf data=sample limit=abc": "limit=abc|whole number",
    "run model.gguf data=sample limit": "'limit'|limit=VALUE",
    "run model.gguf data=sample protocol=gredy": "no protocol named 'gredy'|Did you mean greedy?",
    "run model.gguf data=sample model.title=${nope}": "model.title|write the value itself",
    "run model.gguf data=sample limit=(": "'limit=('|quotes of its own",
    "run model.gguf data=sample ~benchmark": "benchmark|benchmark=VALUE",
    "run model.gguf data=sample protocol.max_tokens=64k": "protocol.max_tokens=64k|whole number",
    # Other commands.
    "recommend memory=6": "6 what?|memory=6GiB",
    "recommend 6GiB": "'6GiB'|KEY=VALUE",
    "sweep": "nothing to sweep over|evalkit sweep A.gguf B.gguf",
    "sweep model.gguf": "at least two|evalkit run",
    "sweep fin-r1-quant": "'fin-r1-quant'|Did you mean fin-r1-quants?",
    "sweep model.gguf other.gguf data=sample limitt=1": "'limitt'|Did you mean limit?",
    "sweep model.gguf other.gguf data=sample margin=1": "'margin'|Did you mean sweep.margin?",
    "sweep model.gguf other.gguf data=sample run_dir=x": "run_dir|sweep.dir=PATH",
    "swep": "no command 'swep'|Did you mean sweep?",
    "run -m smollm2-135m data=sample limitt=1,2": "'limitt'|Did you mean limit?",
    "run -m smollm2-135,fin-r1-q4_k data=sample": "'smollm2-135'|Did you mean smollm2-135m?",
}


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Hydra's multirun sets up logging for its process, which here is that of all tests."""
    handlers, level = list(logging.root.handlers), logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two files that look like models, and one for data."""
    for name in ("model.gguf", "other.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    (tmp_path / "D").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize(("typed", "says"), MISTAKES.items(), ids=MISTAKES)
def test_one_line_with_culprit_and_remedy(
    typed: str, says: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(typed.split(" ")) == 2
    out, err = capsys.readouterr()
    line = err.removeprefix("evalkit: ").rstrip("\n")
    assert out == ""
    assert "\n" not in line
    assert line.isprintable()
    assert [part for part in says.split("|") if part not in line] == [], line
    assert not [word for word in HYDRAS if word in line.replace("hydra.verbos=", "")], line
    assert sorted(path.name for path in here.iterdir()) == ["D", "model.gguf", "other.gguf"]
