"""Free text in comparisons and sweeps: compared as judged, by one judge."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.__main__ import main
from evalkit.commands import judge
from evalkit.compare.comparison import compare
from evalkit.compare.pairs import pair
from evalkit.report.compare import not_compared
from evalkit.run.runner import read_run
from evalkit.schema import UserError
from evalkit.sweep.record import read_sweep
from tests.backends.scripted_server import Reply, Request, ScriptedServer
from tests.compare.helpers import examples

from .judges import FEW, QUICK, always, perfect, says
from .runs import free_text_run

TEXT = "finance_instruct"
BAD = "Money is what banks have."


def by(server: ScriptedServer, *more: str) -> list[str]:
    return ["judge=endpoint", f"judge.base_url={server.url}", QUICK, FEW, *more]


def judged_run(folder: Path, wrong_every: int, server: ScriptedServer, *more: str) -> Path:
    found = examples(f"benchmark={TEXT}")
    run = free_text_run(folder, {e.id: BAD for e in found[::wrong_every]})
    assert judge.main(["run", str(run), *by(server, *more)]) == 0
    return run


def test_free_text_is_compared_as_judged(tmp_path: Path) -> None:
    found = examples(f"benchmark={TEXT}")
    with ScriptedServer(perfect(found)) as server:
        better, worse = (judged_run(tmp_path / name, n, server) for name, n in (("a", len(found)), ("b", 2)))
    compared = compare(read_run(better), read_run(worse), None, 0.02)
    [comparison] = compared.comparisons
    wrong = [1, len(found[::2])]
    assert comparison.reference.value == 1 - wrong[0] / len(found)
    assert comparison.candidate.value == 1 - wrong[1] / len(found)
    assert comparison.flips is not None
    assert comparison.flips.right_to_wrong == wrong[1] - wrong[0]
    [line] = not_compared(compared)
    assert "as judged by `scripted`" in line
    with pytest.raises(UserError, match="nothing is scored on both sides"):
        pair(read_run(better), read_run(worse), same_examples=True, judged=False)
    with pytest.raises(UserError, match="nothing is scored on both sides"):
        compare(read_run(better), read_run(worse), "pot", 0.02)


def test_two_judges_are_not_compared(tmp_path: Path) -> None:
    with ScriptedServer(perfect(examples(f"benchmark={TEXT}"))) as server:
        one = judged_run(tmp_path / "a", 3, server)
        other = judged_run(tmp_path / "b", 3, server, "judge.language=zh")
    with pytest.raises(UserError, match=r"judged in two ways .*the same judge with the same settings"):
        compare(read_run(one), read_run(other), None, 0.02)


def swept(tmp_path: Path, server: ScriptedServer, *more: str) -> int:
    """Two members, of which the second has every second text wrong."""
    found = examples(f"benchmark={TEXT}")
    for name, texts in (("a", {}), ("b", {e.id: BAD for e in found[::2]})):
        if not (tmp_path / name).exists():
            free_text_run(tmp_path / name, texts)
    paths = ",".join(str(tmp_path / name / "outputs.jsonl") for name in "ab")
    words = ["sweep", "+model=replay", f"model.path={paths}", "data=sample", f"benchmark=[{TEXT}]"]
    where = [f"results_dir={tmp_path / 'results'}", f"sweep.dir={tmp_path / 'sweep'}", "sweep.noise=[]"]
    return main([*words, *where, *by(server), *more])


def test_a_sweep_with_a_judge_has_a_column_for_free_text(tmp_path: Path) -> None:
    found = examples(f"benchmark={TEXT}")
    with ScriptedServer(perfect(found)) as server:
        assert swept(tmp_path, server) == 0
        asked = len(server.requests)
        assert swept(tmp_path, server) == 0
        assert len(server.requests) == asked, "nothing is judged twice"
    sweep = read_sweep(tmp_path / "sweep")
    first, second = sweep.members
    assert first.accuracy[TEXT].value == 1
    assert second.accuracy[TEXT].value == 1 - len(found[::2]) / len(found)
    assert second.compared(TEXT) is not None
    assert any("as judged by scripted, which accepts 0 %" in note for note in sweep.notes)


def test_a_judge_that_is_not_fit_scores_no_member(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedServer(always(True)) as server:
        assert swept(tmp_path, server) == 1
    sweep = read_sweep(tmp_path / "sweep")
    assert all(TEXT not in member.accuracy for member in sweep.members)


def test_answers_without_a_verdict_make_a_member_partial(tmp_path: Path) -> None:
    def broken(request: Request) -> Reply:
        return Reply("no") if BAD in request.text and "Reference answer" in request.text else good(request)

    good = perfect(examples(f"benchmark={TEXT}"))
    with ScriptedServer(broken) as server:
        assert swept(tmp_path, server) == 1
    assert [member.status for member in read_sweep(tmp_path / "sweep").members] == ["done", "partial"]


def test_a_sweep_has_one_judge_and_a_wrong_one_shows_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScriptedServer(lambda request: says(request, True)) as server:
        assert swept(tmp_path, server, "judge.threshold=0.5,0.75") == 2
        assert "a sweep has one judge" in capsys.readouterr().err
        assert swept(tmp_path, server, "judge.threshold=7") == 2
    assert not (tmp_path / "results").exists()
