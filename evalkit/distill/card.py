"""README.md of a data set: what it holds and what it does not, as the Hub shows it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from evalkit.distill.errors import WrongShare
from evalkit.distill.manifest import Manifest, SourceFacts
from evalkit.distill.sets import SPLITS, Counts
from evalkit.distill.sources import CardData
from evalkit.text import code, plain, share, table, tenths

_HUB_LICENCES = {"MIT": "mit", "Apache-2.0": "apache-2.0", "CC BY 4.0": "cc-by-4.0"}


def dataset_card(manifest: Manifest, card: CardData) -> str:
    """The whole page."""
    parts = [
        _front(manifest),
        "# Filtered answers of a teacher",
        *(f"> **{notice}**" for notice in manifest.notices),
        _made(manifest),
        "## Counts by source and stage",
        counts_markdown(manifest),
        "## Wrong answers in the set for SFT, as estimated",
        _wrong(manifest),
        "## Beside Fin-R1-Data",
        beside_the_card(manifest, card),
        "## Evaluation items",
        _against(manifest),
        "## Balance",
        _balance(manifest),
        "## Licences",
        _licences(manifest),
        "## Files",
        _files(manifest),
    ]
    return "\n\n".join(parts) + "\n"


def _front(manifest: Manifest) -> str:
    """The front matter: the licence if all sources share one, and which file belongs to which split."""
    licences = {each.licence for each in manifest.sources.values()}
    licence = _HUB_LICENCES.get(next(iter(licences)) or "", "other") if len(licences) == 1 else "other"
    languages = list(manifest.balance.languages) or ["en"]
    lines = ["---", f"license: {licence}", f"language: {json.dumps(languages)}", "configs:"]
    formats = dict.fromkeys(name.partition("/")[0] for name in manifest.files)
    for name in sorted(formats, key=lambda name: (name != "sft", name)):
        lines += [f"- config_name: {name}", "  data_files:"]
        for split in SPLITS:
            if f"{name}/{split}.parquet" in manifest.files:
                lines += [f"  - split: {split}", f"    path: {name}/{split}.parquet"]
    return "\n".join([*lines, "---"])


def _made(manifest: Manifest) -> str:
    teachers = "; ".join(
        f"{plain(each.title)}"
        + (
            " (recorded outputs)"
            if each.recorded
            else f" (temperature {each.temperature:g}, top_p {each.top_p:g})"
        )
        for each in manifest.teachers
    )
    judges = "; ".join(
        f"{plain(each.name)}, {each.mode or 'answers only'}{', forced' if each.forced else ''}"
        for each in manifest.judges
    )
    return (
        f"Teacher: {teachers}. Judge: {judges or 'none'}. An answer that is right, and whose reasoning is "
        "good, is in the set for supervised fine-tuning; a question without one is in the set for "
        f"reinforcement learning, with its gold answer. {100 * manifest.validation:g} % of the pages are "
        f"held out as `validation`, by hash (seed {manifest.seed}). Every verdict with its reason is in "
        f"`records`. Made by evalkit {manifest.evalkit} (`evalkit distill`)."
    )


def counts_markdown(manifest: Manifest) -> str:
    """Answers and questions by source and stage."""
    return f"{_answers(manifest)}\n\n{_questions(manifest)}"


def _answers(manifest: Manifest) -> str:
    header = [
        "Source",
        "Answers",
        "No answer",
        "Right",
        "of these by the judge",
        "Wrong",
        "Undecided",
        "Reasoning good",
        "bad",
        "nobody decided",
    ]

    def numbers(found: Counts) -> Sequence[int]:
        return (
            found.answers,
            found.no_answer,
            found.answer_right,
            found.answer_right_by_judge,
            found.answer_wrong,
            found.answer_undecided,
            found.reasoning_good,
            found.reasoning_bad,
            found.reasoning_undecided,
        )

    return _counted(manifest, header, numbers)


def _questions(manifest: Manifest) -> str:
    header = ["Source", "Questions", "Exact duplicates", "Near duplicates", "Evaluation items"]
    header += ["Free text, not good", "No answer", "SFT", "RL", "SFT answers", "Preference pairs"]

    def numbers(found: Counts) -> Sequence[int]:
        return (
            found.questions,
            found.exact_duplicates,
            found.near_duplicates,
            sum(found.evaluation_items.values()),
            found.free_text,
            found.failed,
            sum(found.sft.values()),
            sum(found.rl.values()),
            sum(found.sft_answers.values()),
            sum(found.pairs.values()),
        )

    return _counted(manifest, header, numbers)


def _counted(manifest: Manifest, header: Sequence[str], numbers: Callable[[Counts], Sequence[int]]) -> str:
    """A row of counts for each source."""
    rows = [
        [code(name), *(f"{number:,}" for number in numbers(each.counts))]
        for name, each in manifest.sources.items()
    ]
    return table(header, rows)


def _wrong(manifest: Manifest) -> str:
    rows = [
        [code(name), found.by, f"{found.answers:,}", _interval(found), found.why or "-"]
        for name, each in manifest.sources.items()
        for found in each.wrong_in_sft
    ]
    header = ["Source", "Accepted by", "Answers", "Wrong, % [95 %]", "Not known because"]
    return (
        table(header, rows, text_columns=2)
        + "\n\nFrom the judge's error on its canaries, and on a sample of what the rule accepted where that "
        "was audited. Canaries are made: if the judge errs more on the teacher's own answers, more are wrong."
    )


def _interval(found: WrongShare) -> str:
    if found.value is None:
        return "-"
    return f"{tenths(found.value)} [{tenths(found.low)}, {tenths(found.high)}]"


def beside_the_card(manifest: Manifest, card: CardData) -> str:
    """What was kept here beside what Fin-R1's card counts of the same source."""
    rows = []
    for source in card.sources:
        own = manifest.sources.get(source.benchmark or "")
        rows.append([source.name, f"{source.records:,}", *_kept(own)])
    for name, each in manifest.sources.items():
        if each.card_records is None:
            rows.append([code(name), "-", *_kept(each)])
    header = ["Source", "Records of Fin-R1-Data", "Questions here", "Kept for SFT", "Kept for RL"]
    return table(header, rows)


def _kept(source: SourceFacts | None) -> Sequence[str]:
    if source is None:
        return "-", "-", "-"
    found = source.counts
    of = found.questions
    return f"{of:,}", share(sum(found.sft.values()), of), share(sum(found.rl.values()), of)


def _against(manifest: Manifest) -> str:
    if not manifest.against:
        return "Nothing was looked for."
    rows = [
        [code(each.benchmark), code(each.split), each.source, f"{each.examples:,}", code(each.sha256[:16])]
        for each in manifest.against
    ]
    kinds = {
        kind: sum(each.counts.evaluation_items[kind] for each in manifest.sources.values())
        for kind in ("exact", "near", "renumbered", "reordered")
    }
    removed = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
    pages = sum(each.counts.same_page for each in manifest.sources.values())
    return (
        table(["Benchmark", "Split", "Data", "Items", "sha256"], rows, text_columns=3)
        + f"\n\nLooked for by 13-grams of words, and by numbers in their context. Taken out: {removed}. "
        f"{pages:,} other questions about a page of an evaluation item are kept. Reworded ones are not found."
    )


def _balance(manifest: Manifest) -> str:
    found = manifest.balance
    languages = ", ".join(f"{name} {count:,}" for name, count in found.languages.items()) or "none"
    return (
        f"Answers for SFT by language: {languages}. Characters of reasoning: median "
        f"{found.thinking_median:,}, 95th percentile {found.thinking_p95:,}, longest "
        f"{found.thinking_longest:,}."
    )


def _licences(manifest: Manifest) -> str:
    rows = [
        [
            code(name),
            plain(each.licence or "none stated"),
            code(each.place or "-", cap=120),
            code(each.data_sha256[:16]),
        ]
        for name, each in manifest.sources.items()
    ]
    teachers = "; ".join(
        f"{plain(each.title)}: {plain(each.licence or 'not known here')}" for each in manifest.teachers
    )
    return (
        table(["Source", "Licence", "Place", "sha256 of the data"], rows, text_columns=4)
        + f"\n\nThe teachers' own terms count too: {teachers}."
    )


def _files(manifest: Manifest) -> str:
    rows = [
        [code(name), f"{each.rows:,}", code(each.sha256, cap=64)] for name, each in manifest.files.items()
    ]
    return table(["File", "Rows", "sha256"], rows)
