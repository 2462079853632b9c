"""Judged runs by way of the real commands, against scripted judges that are wrong in known ways."""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.__main__ import main
from evalkit.commands.score import main as score
from evalkit.judge.judge import reference_of
from evalkit.run.record import RECORD_FILE, load_run
from evalkit.schema import UserError
from tests.backends.scripted_server import Reply, Request, ScriptedServer
from tests.unchained import unchain

from .judges import (
    always,
    answer_of,
    coin,
    examples,
    fields,
    fooled,
    judge_it,
    lines,
    perfect,
    rates,
    replayed,
    results,
    says,
    summary,
    undecidable,
)

TEXT = "finance_instruct"


def test_a_perfect_judge_is_fit_and_its_scores_are_the_truth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = replayed(tmp_path)
    capsys.readouterr()
    with ScriptedServer(perfect(examples())) as server:
        assert judge_it(run, server) == 0
    assert rates(run) == dict.fromkeys(("finqa", "tfns", TEXT), (0.0, 0.0))
    references = [line for line in lines(run, "generations.jsonl") if line["benchmark"] == TEXT]
    right = sum(line["text"] != "Money is what banks have." for line in references)
    assert 0 < right < len(references)
    assert results(run)["results"][TEXT]["acc,judged"] == right / len(references)
    assert results(run)["n-samples"][TEXT]["effective"] == len(references)
    out, err = capsys.readouterr()
    assert "‡" in (run / "table.md").read_text(encoding="utf-8")
    # Rates come before any score, where the judge is asked and where its scores are shown.
    assert "accepts 0 % [" in err
    assert out.index("wrong canaries") < out.index("right [95 %]")


def test_the_path_of_every_answer_is_in_its_score(tmp_path: Path) -> None:
    decided = {"finqa": "\\boxed{12}", "tfns": "I cannot say."}
    run = replayed(tmp_path, lambda example, _: decided.get(example.benchmark, "It depends."))
    with ScriptedServer(perfect(examples())) as server:
        judge_it(run, server)
    judged = [line for line in lines(run, "scores.jsonl") if line["rule"] == "judged"]
    paths = Counter((line["benchmark"], line["path"]) for line in judged)
    # 12 is a wrong number, and no answer that a rule could read to a question of yes or no.
    assert paths == {("finqa", "rule"): 14, ("finqa", "judge"): 2, ("tfns", "judge"): 18, (TEXT, "judge"): 9}
    assert summary(run)["benchmarks"]["finqa"]["paths"] == {"rule": 14, "judge": 2}


def test_when_always_every_answer_is_put_before_it_and_never_none(tmp_path: Path) -> None:
    run = replayed(tmp_path, lambda example, _: "\\boxed{neutral}" if example.benchmark == "tfns" else "yes")
    with ScriptedServer(perfect(examples())) as server:
        judge_it(run, server, "judge.when=always", "judge.canaries=4")
        assert {of["paths"]["rule"] for of in summary(run)["benchmarks"].values()} == {0}
        sent = len(server.requests)
        judge_it(run, server, "judge.when=never")
        assert len(server.requests) == sent
    assert {of["shown"] for of in summary(run)["benchmarks"].values()} == {"not needed"}


def test_nothing_answered_is_wrong_without_asking(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = replayed(tmp_path, lambda _, number: "<think>so the answer" if number % 2 else "")
    capsys.readouterr()
    with ScriptedServer(always(True)) as server:
        judge_it(run, server)
        said = capsys.readouterr().err
        judge_it(run, server, "judge.when=never")
        assert server.requests == []
    count = len(lines(run, "generations.jsonl"))
    assert said == f"the rules decided all {count} answers: judge.when=always asks the judge as well\n"
    assert capsys.readouterr().err == "judge.when=never: the judge is asked nothing\n"
    assert summary(run)["benchmarks"][TEXT]["shown"] == "not needed"


@pytest.mark.parametrize("seed", [1, 2])
def test_a_random_judge_has_random_rates_and_is_not_fit(tmp_path: Path, seed: int) -> None:
    run = replayed(tmp_path)
    with ScriptedServer(coin(seed)) as server:
        assert judge_it(run, server) == 0
    for false_positive, false_negative in rates(run).values():
        assert 0.15 < false_positive < 0.85
        assert 0.15 < false_negative < 0.85
    assert {of["shown"] for of in summary(run)["benchmarks"].values()} == {"withheld"}


def test_a_judge_that_always_says_1_is_withheld_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = replayed(tmp_path)
    with ScriptedServer(always(True)) as server:
        assert judge_it(run, server) == 0
        sent = {json.dumps(request.body["messages"]) for request in server.requests}
    assert set(rates(run).values()) == {(1.0, 0.0)}
    assert "acc,judged" not in (run / "results.json").read_text(encoding="utf-8")
    assert '"judged"' not in (run / "scores.jsonl").read_text(encoding="utf-8")
    assert "judged" not in load_run(run / RECORD_FILE).rules
    assert "judge not fit: accepts 100 % of wrong answers" in capsys.readouterr().out
    assert "judge not fit (9)" in (run / "table.md").read_text(encoding="utf-8")
    assert "judge not fit" in (run / "report.md").read_text(encoding="utf-8")
    # Verdicts that nobody will see are not asked for.
    assert not any("Money is what banks have" in text for text in sent)


def test_force_shows_the_scores_marked(tmp_path: Path) -> None:
    run = replayed(tmp_path)
    with ScriptedServer(always(True)) as server:
        assert judge_it(run, server, "judge.force=true") == 0
    assert results(run)["results"][TEXT]["acc,judged"] == 1.0
    table = (run / "table.md").read_text(encoding="utf-8")
    assert "shown by force, judge not fit: accepts 100 % of wrong answers" in table
    assert summary(run)["benchmarks"][TEXT]["shown"] == "forced"


def test_a_judge_that_always_says_0_refuses_what_is_right(tmp_path: Path) -> None:
    run = replayed(tmp_path)
    with ScriptedServer(always(False)) as server:
        judge_it(run, server)
    assert set(rates(run).values()) == {(0.0, 1.0)}
    assert summary(run)["benchmarks"]["tfns"]["canaries"]["reason"] == "refuses 100 % of right answers"


def test_master_keys_fool_a_judge_and_the_kinds_say_so(tmp_path: Path) -> None:
    run = replayed(tmp_path)
    with ScriptedServer(fooled(perfect(examples()))) as server:
        judge_it(run, server)
    for of in summary(run)["benchmarks"].values():
        assert of["shown"] == "withheld"
        kinds = of["canaries"]["kinds"]
        fooling = {kind for kind, rate in kinds.items() if rate["rate"]}
        assert fooling == {"colon", "solution", "thought_process"}
        assert all(kinds[kind]["rate"] == 1 for kind in fooling)
        wrong = of["canaries"]["false_positive"]
        assert wrong["rate"] == sum(kinds[kind]["n"] for kind in fooling) / wrong["n"]


def test_scoring_again_keeps_the_judges_scores_without_asking(tmp_path: Path) -> None:
    run = replayed(tmp_path)
    with ScriptedServer(perfect(examples())) as server:
        judge_it(run, server)
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.name[0] != "."}
    assert main(["score", str(run)]) == 0
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.name[0] != "."} == before


def test_a_run_with_a_judge_is_the_same_run_as_without(tmp_path: Path) -> None:
    with ScriptedServer(perfect(examples())) as server:
        run = replayed(tmp_path)
        generations = (run / "generations.jsonl").read_bytes()
        config = (run / "config.yaml").read_bytes()
        judged = ["+judge=endpoint", f"judge.base_url={server.url}", "judge.canaries=6"]
        judged += ["judge.overrides=['backend.refuse_cut_prompts=false']"]
        assert replayed(tmp_path, undecidable, *judged) == run
    assert (run / "generations.jsonl").read_bytes() == generations
    assert (run / "config.yaml").read_bytes() == config
    assert summary(run)["benchmarks"][TEXT]["shown"] == "fit"


def test_the_record_tells_of_the_judge_and_of_its_calibration(tmp_path: Path) -> None:
    run = replayed(tmp_path)
    assert load_run(run / RECORD_FILE).info.judge is None
    calibration = {"judge": {"name": "scripted"}, "benchmarks": {}}
    (run / "calibration.json").write_text(json.dumps(calibration), encoding="utf-8")
    with ScriptedServer(perfect(examples())) as server:
        judge_it(run, server)
    record = load_run(run / RECORD_FILE)
    assert record.info.judge is not None
    assert record.info.judge.judge.name == "scripted"
    assert record.info.raw["calibration"] == calibration
    text = next(item for item in record.items if item.benchmark == TEXT)
    assert text.samples[0].scores["judged"].note.startswith("judge: grade")


def test_a_record_made_before_there_were_judges_still_reads(tmp_path: Path) -> None:
    run = replayed(tmp_path)
    with gzip.open(run / RECORD_FILE) as file:
        head, *rows = file.read().splitlines()
    old = {key: value for key, value in json.loads(head).items() if key not in ("judge", "calibration")}
    with gzip.open(run / RECORD_FILE, "wb") as file:
        file.write(b"\n".join([json.dumps(old).encode(), *rows]) + b"\n")
    assert load_run(run / RECORD_FILE).info.judge is None


def test_verdicts_are_of_this_very_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = replayed(tmp_path)
    with ScriptedServer(perfect(examples())) as server:
        judge_it(run, server)
    unchain(run)
    path = run / "generations.jsonl"
    changed = [
        {**line, "key": "f" * 32} if line["benchmark"] == TEXT else line
        for line in lines(run, "generations.jsonl")
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in changed), encoding="utf-8")
    capsys.readouterr()
    assert main(["score", str(run)]) == 1
    assert "9 answers are not judged yet" in capsys.readouterr().out
    assert results(run)["results"][TEXT]["acc,judged"] is None


@pytest.mark.parametrize("damage", ["not json", '{"schema": 1, "benchmarks": {}}'])
def test_a_damaged_ledger_is_said_in_one_line(tmp_path: Path, damage: str) -> None:
    run = replayed(tmp_path)
    (run / "judge.json").write_text(damage, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        score([str(run)])
    assert "\n" not in str(caught.value)


def test_a_judge_in_chinese_is_asked_in_chinese(tmp_path: Path) -> None:
    run = replayed(tmp_path)
    with ScriptedServer(lambda _: Reply('{"verdict": 1}')) as server:
        judge_it(run, server, "judge.language=zh", "judge.canaries=2")
        assert all("参考答案" in request.text for request in server.requests)


@pytest.mark.parametrize(
    "fault",
    [
        Reply("It looks right to me."),
        Reply(
            body=b'{"choices": [{"error": {"code": 502, "message": "upstream"}, "message": {"content": ""}}]}'
        ),
        Reply("gone", status=500),
    ],
    ids=["prose", "an error in a 200", "500"],
)
def test_a_judge_without_any_verdict_is_no_success(
    fault: Reply, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = replayed(tmp_path)
    with ScriptedServer(lambda _: fault) as server:
        assert judge_it(run, server, "judge.canaries=2") == 1
    assert "judge the run again to go on" in capsys.readouterr().out


def test_a_judge_that_breaks_the_contract_is_not_fit_and_no_answer_is_a_0(tmp_path: Path) -> None:
    run = replayed(tmp_path)
    with ScriptedServer(lambda _: Reply("It looks right to me.")) as server:
        judge_it(run, server, "judge.canaries=4")
        asked = {request.text for request in server.requests}
        assert len(server.requests) == 3 * len(asked)  # attempts
    of = summary(run)["benchmarks"][TEXT]
    assert of["canaries"]["reason"] == "gives no verdict on 100 % of canaries (broken_reply)"
    assert of["canaries"]["errors"] == {"broken_reply": 8}
    assert "acc,judged" not in results(run)["results"][TEXT]


def test_single_broken_replies_stay_out_of_the_mean_and_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = replayed(tmp_path)
    know = perfect(examples())

    def moody(request: Request) -> Reply:
        return Reply("Hm.") if answer_of(request) == "Money is what banks have." else know(request)

    with ScriptedServer(moody) as server:
        assert judge_it(run, server) == 1
    (counts,) = (
        each
        for each in results(run)["evalkit"]["counts"]
        if (each["benchmark"], each["rule"]) == (TEXT, "judged")
    )
    lost = counts["failures"]["judge_error"]
    assert 0 < lost < 9
    assert (counts["failed"], counts["scored"], counts["unscored"]) == (0, 9 - lost, lost)
    assert results(run)["results"][TEXT]["acc,judged"] == 1.0
    assert f"{lost} answers have no verdict of the judge: broken_reply" in capsys.readouterr().out


def test_a_ceiling_stops_cleanly_and_the_same_command_goes_on_to_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = replayed(tmp_path)
    prices = "'backend.prices.input=1000','backend.prices.output=2000','backend.slots=4'"
    prices += ",'backend.refuse_cut_prompts=false'"  # 0.11 a request
    given = (f"judge.overrides=[{prices}]", "judge.max_cost=4", "judge.canaries=6")
    codes = []
    with ScriptedServer(perfect(examples())) as server:
        for _ in range(20):
            before = len(server.requests)
            codes.append(judge_it(run, server, *given))
            assert 0.11 * (len(server.requests) - before) <= 4
            if codes[-1] == 0:
                break
            assert "the judge was stopped" in capsys.readouterr().out
            assert any("budget" in of["errors"] for of in summary(run)["benchmarks"].values())
        texts = [request.text for request in server.requests]
    assert codes[0] == 1
    assert codes[-1] == 0
    assert len(set(texts)) == len(texts)
    spent = summary(run)["spent"]
    assert spent["cost"] == pytest.approx(0.11 * len(texts))
    assert spent["currency"] == "USD"


def test_the_key_is_in_no_file_and_no_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = os.environ["OPENAI_API_KEY"]
    run = replayed(tmp_path)
    faults = [Reply("no", status=500), Reply("no", status=429), Reply(reset=True)]

    def shaky(request: Request) -> Reply:
        return faults[request.number % 7] if request.number % 7 < len(faults) else says(request, True)

    with ScriptedServer(shaky, key=key) as server:
        judge_it(run, server, "judge.canaries=4", "judge.force=true")
        assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {key}"}
    out, err = capsys.readouterr()
    assert key not in out + err
    for path in tmp_path.rglob("*"):
        if path.is_file():
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            assert key.encode() not in content, path


def test_a_slow_judge_is_waited_for_with_all_slots_busy(tmp_path: Path) -> None:
    run = replayed(tmp_path)

    def slow(request: Request) -> Reply:
        return replace(says(request, True), delay=0.05)

    with ScriptedServer(slow) as server:
        assert judge_it(run, server, "judge.canaries=8") == 0
        assert server.requests_in_flight_peak == 4


@pytest.mark.parametrize(("mode", "criteria"), [("criteria", 7), ("holistic", 0)])
def test_the_reasoning_of_every_output_is_checked_where_asked(
    tmp_path: Path, mode: str, criteria: int
) -> None:
    """This judge finds every third reasoning good, and is perfect on answers."""
    run = replayed(tmp_path)
    know = perfect(examples())
    seen: list[str] = []

    def judge(request: Request) -> Reply:
        if "Output to judge (reasoning and answer)" not in fields(request):
            return know(request)
        seen.append(request.text)
        good = len(seen) % 3 == 0
        schema = request.body["response_format"]["json_schema"]["schema"]
        names = list(schema["properties"])
        return Reply(json.dumps({name: good if len(names) > 1 else int(good) for name in names}))

    with ScriptedServer(judge) as server:
        judge_it(run, server, f"judge.reasoning={mode}")
    checked = [each for each in lines(run, "judgements.jsonl") if each["task"].startswith("reasoning")]
    assert {len(each["criteria"] or {}) for each in checked} == {criteria}
    found = summary(run)["benchmarks"]
    assert (
        sum(of["reasoning"]["passed"] for of in found.values()) == sum(each["score"] for each in checked) > 0
    )
    assert sum(of["reasoning"]["n"] for of in found.values()) == len(checked)
    assert "reasoning check" in (run / "report.md").read_text(encoding="utf-8")
    judged = [each for each in lines(run, "scores.jsonl") if each["rule"] == "judged"]
    assert judged, "a check of the reasoning is no verdict on the answer"


def test_an_audit_estimates_false_accepts_and_changes_no_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every accepted answer is gold; the judge knows of three that they are none."""
    found = [each for each in examples() if each.benchmark == "finqa"]
    run = replayed(tmp_path, lambda each, _: f"\\boxed{{{reference_of(each.gold)}}}")
    before, good = results(run)["results"], perfect(examples())
    wrong = {reference_of(each.gold) for each in found[:3]}

    def sceptic(request: Request) -> Reply:
        said = answer_of(request)
        is_wrong = "boxed" in said and any(f"{{{text}}}" in said for text in wrong)
        return says(request, False) if is_wrong else good(request)

    with ScriptedServer(sceptic) as server:
        assert judge_it(run, server, "judge.when=audit") == 0
    audit = summary(run)["benchmarks"]["finqa"]["audit"]
    expected = sum(reference_of(each.gold) in wrong for each in found)
    assert (audit["accepted"], audit["n"], audit["refused"]) == (16, 16, expected)
    assert audit["interval"][0] < expected / 16 < audit["interval"][1]
    after = results(run)["results"]
    assert {name: after[name]["acc,financial"] for name in ("finqa", "tfns")} == {
        name: before[name]["acc,financial"] for name in ("finqa", "tfns")
    }
    assert "of answers that the rule accepts, the judge refuses" in capsys.readouterr().out
    assert "refused by the judge" in (run / "report.md").read_text(encoding="utf-8")
    with ScriptedServer(good) as server:
        assert judge_it(run, server, "judge.when=audit", "judge.audit=5") == 0
        assert summary(run)["benchmarks"]["tfns"]["audit"]["n"] == 5
