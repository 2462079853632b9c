"""The gold answers of the benchmark `scenes`, worked out again from the numbers of each task's page.

By task: a number (a percentage as a decimal), the letter of an option, or whether it is so. What follows
from the words of a page alone, and from no number, is not in here: `BY_READING` says which tasks those are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date
from statistics import NormalDist

Gold = float | bool | str


def present(rate: float, flows: Sequence[float]) -> float:
    """The value now of flows after 1, 2, ... years."""
    return sum(flow / (1 + rate) ** year for year, flow in enumerate(flows, start=1))


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function crosses zero."""
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
    return low


def letter(options: Sequence[str], right: str) -> str:
    return "ABCD"[options.index(right)]


def bond() -> dict[str, Gold]:
    flows, rate = [4.5, 4.5, 4.5, 4.5, 104.5], 0.028
    price = present(rate, flows)
    duration = sum(year * flow / (1 + rate) ** year for year, flow in enumerate(flows, start=1)) / price
    return {
        "zh-bond-price": price,
        "zh-bond-duration": duration,
        "zh-bond-shift": -duration / (1 + rate) * 0.005,
    }


def loan() -> dict[str, Gold]:
    amount, rate, months = 1_200_000, 0.036 / 12, 240
    payment = amount * rate / (1 - (1 + rate) ** -months)
    declining = sum((amount - amount / months * paid) * rate for paid in range(months))
    return {
        "zh-loan-payment": payment,
        "zh-loan-first": amount / months + amount * rate,
        "zh-loan-difference": payment * months - amount - declining,
    }


def hedge() -> dict[str, Gold]:
    stocks, beta, contract = 5_400, 1.2, 3_600 * 300 / 1e4
    contracts = stocks * beta / contract
    return {
        "zh-hedge-contracts": contracts,
        "zh-hedge-result": contracts * contract * 0.05 - stocks * 0.065,
        "zh-hedge-margin": contracts * contract * 0.12,
    }


def fund() -> dict[str, Gold]:
    year = math.prod(1 + quarter for quarter in (0.03, -0.02, 0.045, 0.015)) - 1
    return {
        "zh-fund-return": year,
        "zh-fund-sharpe": (year - 0.02) / 0.08,
        "zh-fund-information": (year - 0.052) / 0.025,
    }


def dupont() -> dict[str, Gold]:
    revenue, cost, profit, assets, equity, stock = 48, 33.6, 3.6, 60, 24, 6
    return {
        "zh-dupont-roe": profit / equity,
        "zh-dupont-days": stock / cost * 365,
        "zh-dupont-multiplier": 0.18 / (profit / revenue * (revenue / assets)),
    }


def project() -> dict[str, Gold]:
    outlay, flows = 42, [9, 12, 15, 16, 10]
    value = present(0.09, flows)
    return {
        "en-project-npv": value - outlay,
        "en-project-irr": root(lambda rate: present(rate, flows) - outlay, 0, 1),
        "en-project-index": value / outlay,
    }


def wacc() -> dict[str, Gold]:
    equity = 0.04 + 1.3 * 0.055
    cost = 0.6 * equity + 0.4 * 0.06 * (1 - 0.25)
    return {"en-wacc-equity": equity, "en-wacc-wacc": cost, "en-wacc-value": 50 / (cost - 0.025)}


def option() -> dict[str, Gold]:
    spot, strike, rate, sigma, years = 100, 105, 0.03, 0.25, 0.5
    d1 = (math.log(spot / strike) + (rate + sigma**2 / 2) * years) / (sigma * math.sqrt(years))
    normal = NormalDist().cdf
    discounted = strike * math.exp(-rate * years)
    call = spot * normal(d1) - discounted * normal(d1 - sigma * math.sqrt(years))
    return {
        "en-option-call": call,
        "en-option-put": call - spot + discounted,
        "en-option-delta": normal(d1),
    }


def forward() -> dict[str, Gold]:
    fair = 5.0 * 1.12 / 1.05
    return {
        "en-fx-forward": fair,
        "en-fx-receipts": 2 * fair,
        "en-fx-arbitrage": 1_000_000 * (5.0 * 1.12 / 5.25 - 1.05),
    }


def earnings() -> dict[str, Gold]:
    common, shares = 84 - 4, 32
    options = 3 * (1 - 20 / 30)
    interest = 50 * 0.06 * (1 - 0.25)
    with_options = common / (shares + options)
    assert interest / 2 < with_options, "the bonds dilute"
    return {
        "en-eps-basic": common / shares,
        "en-eps-options": options,
        "en-eps-diluted": (common + interest) / (shares + options + 2),
    }


def credit() -> dict[str, Gold]:
    exposure, chance, severity = (8_000, 5_000, 2_000), (0.008, 0.025, 0.06), (0.4, 0.45, 0.6)
    losses = [ead * pd * lgd for ead, pd, lgd in zip(exposure, chance, severity, strict=True)]
    over = [name for name, loss in zip("甲乙丙", losses, strict=True) if loss > 60]
    assert len(over) == 1
    return {
        "risk-credit-loss": sum(losses),
        "risk-credit-rate": sum(losses) / sum(exposure),
        "risk-credit-limit": letter("甲乙丙", over[0]),
    }


def market() -> dict[str, Gold]:
    day = 20_000 * 0.012 * 2.326
    zones = ["绿区", "黄区", "红区"]
    return {
        "risk-var-day": day,
        "risk-var-ten": day * math.sqrt(10),
        "risk-var-zone": letter(zones, zones[(7 >= 5) + (7 >= 10)]),
    }


def fraud() -> dict[str, Gold]:
    """Transfers as (account, minute of the day, payee, payee is new, amount, device is new), yuan."""
    transfers = [
        ("A", 601, "P1", True, 18_000, False),
        ("A", 604, "P2", True, 16_500, False),
        ("A", 609, "P3", True, 17_000, False),
        ("B", 625, "P4", True, 30_000, False),
        ("B", 631, "P5", True, 28_000, False),
        ("B", 640, "P6", True, 26_000, False),
        ("C", 672, "P7", False, 46_000, True),
        ("D", 685, "P8", True, 52_000, False),
    ]
    balance = {"A": 90_000, "B": 120_000, "C": 55_000, "D": 60_000}

    def first(account: str) -> bool:
        mine = [each for each in transfers if each[0] == account and each[3]]
        return any(
            len({each[2] for each in window}) >= 3 and sum(each[4] for each in window) >= 50_000
            for start in mine
            for window in [[each for each in mine if 0 <= each[1] - start[1] <= 10]]
        )

    def second(account: str) -> bool:
        return any(each[4] >= 0.8 * balance[account] and each[5] for each in transfers if each[0] == account)

    only_second = [account for account in balance if second(account) and not first(account)]
    assert len(only_second) == 1
    return {
        "risk-fraud-b": first("B"),
        "risk-fraud-count": float(sum(first(account) or second(account) for account in balance)),
        "risk-fraud-second": only_second[0],
    }


def liquidity() -> dict[str, Gold]:
    def assets(first: float) -> float:
        second = min(60 * 0.85 + 20 * 0.5, first * 40 / 60)
        assert 0.15 * (first + second) >= 20 * 0.5, "level 2B is below its own cap"
        return first + second

    outflow = 600 - min(500, 0.75 * 600)
    return {
        "risk-lcr-outflow": outflow,
        "risk-lcr-ratio": assets(100) / outflow,
        "risk-lcr-after": assets(80) / outflow < 1,
    }


def scorecard() -> dict[str, Gold]:
    good, bad = (500, 1_500, 3_000, 5_000), (200, 150, 100, 50)
    gaps = [
        abs(sum(bad[: band + 1]) / sum(bad) - sum(good[: band + 1]) / sum(good)) for band in range(len(good))
    ]
    odds = 50 * 2 ** ((560 - 600) / 20)
    return {
        "risk-score-points": 600 + 20 * math.log2(200 / 50),
        "risk-score-pd": 1 / (1 + odds),
        "risk-score-ks": max(gaps),
    }


def owners() -> dict[str, Gold]:
    zhang, li, wang = 0.6 * 0.5, 0.4 * 0.5, 0.25
    found = sum(share >= 0.25 for share in (zhang, li, wang))
    return {"comp-owner-zhang": zhang, "comp-owner-li": li >= 0.25, "comp-owner-count": float(found)}


def blackout() -> dict[str, Gold]:
    report = date(2026, 4, 28)
    before = (report - date(2026, 4, 10)).days
    spouse = (report - date(2026, 4, 20)).days
    bought, sold = date(2025, 11, 3), date(2026, 4, 2)
    six_months = date(2026, 5, 3)
    assert bought < sold < six_months
    return {
        "comp-blackout-director": not before <= 15,
        "comp-blackout-spouse": spouse <= 15,
        "comp-blackout-profit": float(20_000 * (13.2 - 11.7)),
    }


def gifts() -> dict[str, Gold]:
    quarter = {"Ana": 90 + 70, "Ben": 120, "Carla": 60 + 45 + 40}
    over = [name for name, total in quarter.items() if total > 150]
    assert len(over) == 1
    return {
        "comp-gifts-over": letter(list(quarter), over[0]),
        "comp-gifts-left": float(150 - quarter["Carla"]),
    }


def suitability() -> dict[str, Gold]:
    return {"comp-suit-valid": date(2026, 2, 10) < date(2026, 3, 1)}


def carbon() -> dict[str, Gold]:
    first = 2_000_000 * 2.16 / 1_000 + 500 * 3.10
    second = 30_000 * 0.57
    return {
        "esg-carbon-first": first,
        "esg-carbon-intensity": (first + second) / 120_000,
        "esg-carbon-market": second * (1 - 0.3),
    }


def rating() -> dict[str, Gold]:
    score = 0.4 * 72 + 0.3 * 65 + 0.3 * 80
    after = score - 6
    grades = ["AA", "A", "BBB", "BB"]
    grade = grades[(after < 80) + (after < 70) + (after < 60)]
    return {
        "esg-rating-score": score,
        "esg-rating-grade": letter(grades, grade),
        "esg-rating-environment": (70 + 6 - 0.3 * 65 - 0.3 * 80) / 0.4,
    }


def green_bond() -> dict[str, Gold]:
    raised, wind, rails, other = 20, 9, 6.5, 1.5
    return {
        "esg-bond-share": (wind + rails) / raised,
        "esg-bond-idle": raised - wind - rails - other,
        "esg-bond-other": other > 0,
    }


def board() -> dict[str, Gold]:
    directors, independent, women = 9, 3, 2
    needed = next(more for more in range(directors) if (women + more) / directors >= 0.3)
    return {
        "esg-board-third": independent * 3 >= directors,
        "esg-board-women": women / directors,
        "esg-board-needed": float(needed),
    }


def financed() -> dict[str, Gold]:
    steel, retail = 30 / 400 * 800_000, 45 / 900 * 60_000
    intensity = 0.4 * 800_000 / 500 + 0.6 * 60_000 / 1_200
    return {
        "esg-financed-steel": steel,
        "esg-financed-total": steel + retail,
        "esg-financed-waci": intensity,
    }


PARTS = (
    *(bond, loan, hedge, fund, dupont),
    *(project, wacc, option, forward, earnings),
    *(credit, market, fraud, liquidity, scorecard),
    *(owners, blackout, gifts, suitability),
    *(carbon, rating, green_bond, board, financed),
)
GOLDS: dict[str, Gold] = {task: gold for part in PARTS for task, gold in part().items()}

BY_READING: dict[str, Gold] = {
    "comp-suit-lowest": False,
    "comp-suit-record": "D",
    "comp-owner-cash": "A",
    "comp-ads-promise": "D",
    "comp-ads-history": False,
    "comp-ads-count": 3.0,
    "comp-gifts-official": False,
}
