"""Whether a judge's agreement with labels is worth anything, in plain words."""

from __future__ import annotations

from evalkit.stats.judged.agreement import Agreement, Kappa

# Landis & Koch (1977), Biometrics 33: 159-174: from which κ on agreement has which name.
_STRENGTHS = ((0.8, "almost perfectly"), (0.6, "substantially"), (0.4, "moderately"), (0.2, "fairly"))
_WEAKEST = "slightly"
_SOLID = 0.4  # an interval that reaches here does not show a judge to be useless


def fit(found: Agreement) -> bool:
    """Whether the judge agrees with the labels better than chance, beyond doubt."""
    return found.kappa is not None and found.kappa.low > 0


def finding(found: Agreement) -> str:
    """What the labels say of the judge, as the end of a sentence that begins with "the judge"."""
    kappa, n = found.kappa, found.accuracy.n
    if kappa is None:
        return _without_kappa(found)
    shown = f"κ {kappa_text(kappa)}"
    if kappa.low > 0:
        strength = next((word for least, word in _STRENGTHS if kappa.value >= least), _WEAKEST)
        return f"agrees {strength} with the labels: {shown}; {_mistakes(found)}"
    if kappa.high < _SOLID:
        return f"agrees with the labels no better than chance: {shown}: it is not fit to judge"
    return f"cannot be told from chance with {n} labels: {shown}: not shown to be fit, label more"


def _without_kappa(found: Agreement) -> str:
    right, wrong, n = found.sensitivity, found.specificity, found.accuracy.n
    if not n:
        return "gave no verdict on any labelled answer: nothing is known of it"
    if not right.n or not wrong.n:
        label = "right" if right.n else "wrong"
        return f"agrees with {found.accuracy.count} of {n} labels, all of them '{label}': κ needs both kinds"
    said = "right" if right.count == right.n else "wrong"
    return f"calls every one of {n} answers {said}, so it tells nothing apart: it is not fit to judge"


def _mistakes(found: Agreement) -> str:
    """Both classes have items where there is a κ."""
    accepted = 100 * (1 - (found.specificity.value or 0.0))
    refused = 100 * (1 - (found.sensitivity.value or 0.0))
    return f"it accepts {accepted:.0f} % of the wrong answers and refuses {refused:.0f} % of the right"


def kappa_text(kappa: Kappa) -> str:
    """`0.02 [-0.05, 0.09]`"""
    return f"{kappa.value:.2f} [{kappa.low:.2f}, {kappa.high:.2f}]"
