"""The judge itself, against a scripted service that misbehaves in every way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evalkit.config.judge import JudgeSettings, judge_settings
from evalkit.judge.judge import Judge
from evalkit.judge.prompt import Case
from evalkit.judge.stage import check_judge, open_judge
from evalkit.schema import UserError
from tests.backends.scripted_server import Reply, Request, ScriptedServer

from .judges import Handler, fields, says

CASES = [Case("answer", f"What is {n}?", str(n), f"\\boxed{{{n}}}") for n in range(6)]
PRICES = "'backend.prices.input=1000','backend.prices.output=2000'"  # a request costs 0.1 + 0.01


def settings(server: ScriptedServer, *more: str, overrides: str = "") -> JudgeSettings:
    below = ["'backend.backoff=0.01'", "'backend.attempts=3'", "'backend.timeout=1'", "'backend.slots=2'"]
    below += [
        "'backend.refuse_cut_prompts=false'"
    ]  # the scripted judge counts 100 tokens, whatever the prompt
    below += [overrides] if overrides else []
    url = f"judge.base_url={server.url}"
    return judge_settings(["judge=endpoint", url, f"judge.overrides=[{','.join(below)}]", *more])


@contextmanager
def judge(handler: Handler, *more: str, overrides: str = "") -> Iterator[tuple[Judge, ScriptedServer]]:
    with ScriptedServer(handler) as server:
        log = Path("/dev/null")
        with open_judge(settings(server, *more, overrides=overrides), log) as opened:
            yield opened, server


def at_first(fault: Reply) -> Handler:
    """Every question fails when it is asked for the first time."""
    seen: set[str] = set()

    def reply(request: Request) -> Reply:
        if request.text in seen:
            return says(request, True)
        seen.add(request.text)
        return fault

    return reply


def test_it_judges_in_order_and_asks_equal_questions_once() -> None:
    with judge(lambda request: says(request, fields(request)["Reference answer"] == "3")) as (ask, server):
        found = ask([*CASES, *CASES])
        assert len(server.requests) == len(CASES)
    assert [each.ruling.score for each in found if each.ruling] == [0, 0, 0, 1, 0, 0] * 2
    assert {each.attempts for each in found} == {1}
    assert len({each.key for each in found}) == len(CASES)


def test_a_verdict_is_never_asked_for_twice() -> None:
    with ScriptedServer(lambda request: says(request, True)) as server:
        for session in range(2):
            with open_judge(settings(server), Path("/dev/null")) as ask:
                expected = 0 if session else len(CASES)
                assert ask.estimate(CASES).cases == expected
                found = ask(CASES)
                assert ask.spent.attempts == expected
                assert all(each.cached == bool(session) for each in found)
                assert {(each.prompt_tokens, each.completion_tokens) for each in found} == {(100, 5)}
        assert len(server.requests) == len(CASES)


@pytest.mark.parametrize(
    "other", ["judge.max_tokens=500", "judge.contract=boxed", "another model", "another language"]
)
def test_another_judge_or_question_is_another_verdict(other: str) -> None:
    with ScriptedServer(lambda request: says(request, True)) as server:
        with open_judge(settings(server), Path("/dev/null")) as ask:
            ask(CASES)
        changed = settings(server, *([other] if "=" in other else []))
        if other == "another model":
            server.models = ("better",)
        cases = [Case("answer", c.question, c.reference, c.answer, language="zh") for c in CASES]
        with open_judge(changed, Path("/dev/null")) as ask:
            ask(cases if other == "another language" else CASES)
        assert len(server.requests) == 2 * len(CASES)


@pytest.mark.parametrize(
    "fault",
    [
        Reply("slow down", status=429, headers={"Retry-After": "0.02"}),
        Reply("oops", status=500),
        Reply("late", delay=1.5),
        Reply("cut", cut=20),
        Reply(reset=True),
    ],
    ids=["429", "500", "timeout", "half a body", "reset"],
)
def test_faults_of_the_service_are_tried_again_and_change_no_verdict(fault: Reply) -> None:
    with judge(at_first(fault)) as (ask, _):
        found = ask(CASES[:3])
    assert [each.ruling.score for each in found if each.ruling] == [1, 1, 1]


def test_a_service_that_only_fails_is_an_error_and_no_verdict() -> None:
    with judge(lambda _: Reply("oops", status=500)) as (ask, server):
        found = ask(CASES)
        assert {each.error for each in found} == {"engine_error"}
        assert all(each.ruling is None and "500" in each.detail for each in found)
        before = len(server.requests)
        assert ask.stopped is not None
        assert {each.error for each in ask(CASES)} == {"engine_error"}
        assert len(server.requests) == before


def test_errors_are_not_kept() -> None:
    replies = iter([Reply("hm")] * 3)
    with judge(lambda request: next(replies, None) or says(request, True)) as (ask, _):
        (first,) = ask(CASES[:1])
        (second,) = ask(CASES[:1])
    assert (first.error, first.ruling) == ("broken_reply", None)
    assert second.ruling is not None


@pytest.mark.parametrize(
    "reply",
    [
        "I think that it is right",
        '{"verdict": 2}',
        '{"verdict": "1"}',
        '{"verdict": 1} or {"verdict": 0}',
        '{"verdict": 1, "verdict": 0}',
        '{"verdict": 1',
        "",
        "[" * 5000,
        "<think>it is right, so",
    ],
)
def test_a_reply_that_breaks_the_contract_is_asked_for_again_then_an_error(reply: str) -> None:
    with judge(lambda _: Reply(reply)) as (ask, server):
        (found,) = ask(CASES[:1])
        bodies = [request.body for request in server.requests]
    assert (found.error, found.ruling, found.attempts) == ("broken_reply", None, 3)
    assert found.detail
    # The same prompt at temperature 0 would bring the same reply.
    assert [body["temperature"] for body in bodies] == [0.0, 0.7, 0.7]
    assert len({body["seed"] for body in bodies}) == 3
    assert ask.stopped is None


def test_a_broken_reply_then_a_good_one_is_a_verdict_with_both_requests_counted() -> None:
    with judge(at_first(Reply("hm", usage=(100, 5), exact=True))) as (ask, _):
        (found,) = ask(CASES[:1])
    assert found.ruling is not None
    assert (found.attempts, found.prompt_tokens, found.completion_tokens) == (2, 200, 10)


def test_a_cut_off_box_is_no_verdict() -> None:
    handler: Handler = lambda _: Reply("\\boxed{1} because of", finish_reason="length")  # noqa: E731
    with judge(handler, "judge.contract=boxed") as (ask, _):
        (found,) = ask(CASES[:1])
    assert (found.error, found.detail) == ("broken_reply", "cut off")


def refuses_schemas(request: Request) -> Reply:
    if "response_format" in request.body:
        return Reply("response_format json_schema is not supported", status=400)
    return says(request, True)


def test_a_service_without_schemas_is_asked_for_boxes_instead() -> None:
    with judge(refuses_schemas) as (ask, server):
        found = ask(CASES)
        assert all(each.ruling and each.ruling.score == 1 for each in found)
        assert ask.identity["form"] == "boxed"
        refused = sum("response_format" in request.body for request in server.requests)
        assert refused <= 2  # one for each that was in flight
    with judge(refuses_schemas) as (ask, server):
        assert all(each.cached for each in ask(CASES))
        assert server.requests == []


def test_a_given_form_is_not_changed() -> None:
    with judge(refuses_schemas, "judge.contract=json") as (ask, _):
        assert {each.error for each in ask(CASES[:1])} == {"engine_error"}


def test_the_ceiling_on_money_is_kept_and_the_same_command_goes_on() -> None:
    with ScriptedServer(lambda request: says(request, True)) as server:
        # The worst case of a request is some 1,000 prompt tokens and 48 of reply: about 1.1.
        limited = settings(server, "judge.max_cost=2", overrides=PRICES)
        with open_judge(limited, Path("/dev/null")) as ask:
            found = ask([Case("answer", f"Q{n}", str(n), "x") for n in range(30)])
            assert ask.spent.cost <= 2
            assert ask.stopped is not None
        judged = [each for each in found if each.ruling]
        assert 0 < len(judged) < 30
        assert {each.error for each in found if each.ruling is None} == {"budget"}
        assert ask.spent.cost == pytest.approx(0.11 * len(judged))
        sent = len(server.requests)
        with open_judge(limited, Path("/dev/null")) as ask:
            again = ask([Case("answer", f"Q{n}", str(n), "x") for n in range(30)])
        assert sum(each.cached for each in again) == len(judged)
        assert len([each for each in again if each.ruling]) > len(judged)
        assert len(server.requests) > sent


def test_the_ceiling_on_tokens_is_kept() -> None:
    with judge(lambda request: says(request, True), "judge.max_tokens_total=3000") as (ask, server):
        cases = [Case("answer", f"Q{n}", str(n), "x") for n in range(40)]
        found = ask(cases)
        assert ask.spent.prompt_tokens + ask.spent.completion_tokens <= 3000
        assert "judge.max_tokens_total" in (ask.stopped or "")
        assert 0 < len(server.requests) < len(cases)
    assert {each.error for each in found if each.ruling is None} == {"budget"}


def test_a_judge_that_thinks_first_is_understood() -> None:
    handler: Handler = lambda _: Reply('{"verdict": 0}', reasoning='Is {"verdict": 1} right? No.')  # noqa: E731
    with judge(handler) as (ask, _):
        (found,) = ask(CASES[:1])
    assert found.ruling is not None
    assert found.ruling.score == 0


def test_the_key_is_nowhere_to_be_seen(tmp_path: Path) -> None:
    key = "sk-test-key-that-must-not-be-seen"
    with ScriptedServer(lambda request: says(request, True), key="another") as server:
        with pytest.raises(UserError) as caught:
            check_judge(settings(server))
        assert key not in str(caught.value)
        assert "\n" not in str(caught.value)
    with ScriptedServer(lambda request: says(request, True), key=key) as server:
        chosen = settings(server)
        with open_judge(chosen, tmp_path / "log") as ask:
            ask(CASES)
            seen = json.dumps(ask.identity) + repr(chosen) + repr(ask)
    assert key not in seen
    assert not any(key.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_service_that_is_not_there_is_said_before_anything_is_generated() -> None:
    with ScriptedServer(lambda request: says(request, True)) as server:
        gone = settings(server, overrides="'backend.patience=0.05'")
    with pytest.raises(UserError) as caught:
        check_judge(gone)
    assert "\n" not in str(caught.value)
