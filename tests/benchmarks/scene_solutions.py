"""A right solution of every code task of `scenes`, by task. They are in the tests only: no model sees one."""

from __future__ import annotations

SOLUTIONS = {
    "code-flows-npv": """
def npv(rate, flows):
    return sum(flow / (1 + rate) ** t for t, flow in enumerate(flows))
""",
    "code-flows-irr": """
def irr(flows):
    def value(rate):
        return sum(flow / (1 + rate) ** t for t, flow in enumerate(flows))
    low, high = -0.9, 10.0
    for _ in range(200):
        middle = (low + high) / 2
        if value(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
""",
    "code-flows-payback": """
def discounted_payback(rate, flows):
    total = 0.0
    for t, flow in enumerate(flows):
        present = flow / (1 + rate) ** t
        if t and total + present >= 0:
            return t - 1 + -total / present
        total += present
    return -1.0
""",
    "code-loan-payment": """
def equal_payment(principal, annual_rate, months):
    rate = annual_rate / 12
    if rate == 0:
        return principal / months
    return principal * rate / (1 - (1 + rate) ** -months)
""",
    "code-loan-balance": """
def remaining_balance(principal, annual_rate, months, paid):
    rate = annual_rate / 12
    payment = principal / months if rate == 0 else principal * rate / (1 - (1 + rate) ** -months)
    balance = principal
    for _ in range(paid):
        balance = balance * (1 + rate) - payment
    return max(balance, 0.0) if paid < months else 0.0
""",
    "code-loan-months": """
def months_left(balance, annual_rate, payment):
    rate, months = annual_rate / 12, 0
    if payment <= balance * rate:
        return -1
    while balance > 0.005:
        balance = balance * (1 + rate) - payment
        months += 1
    return months
""",
    "code-risk-var": """
import math
def historical_var(returns, level):
    losses = sorted((-r for r in returns), reverse=True)
    k = math.ceil(len(losses) * (1 - level) - 1e-9)
    return losses[k - 1]
""",
    "code-risk-es": """
import math
def expected_shortfall(returns, level):
    losses = sorted((-r for r in returns), reverse=True)
    k = math.ceil(len(losses) * (1 - level) - 1e-9)
    return sum(losses[:k]) / k
""",
    "code-risk-drawdown": """
def max_drawdown(values):
    peak, worst, start, found = values[0], 0.0, 0, [0.0, 0, 0]
    for day, value in enumerate(values):
        if value > peak:
            peak, start = value, day
        drop = 1 - value / peak
        if drop > worst:
            worst, found = drop, [drop, start, day]
    return found
""",
    "code-option-call": """
import math
def bs_call(spot, strike, rate, vol, years):
    normal = lambda x: 0.5 * (1 + math.erf(x / math.sqrt(2)))
    d1 = (math.log(spot / strike) + (rate + vol * vol / 2) * years) / (vol * math.sqrt(years))
    return spot * normal(d1) - strike * math.exp(-rate * years) * normal(d1 - vol * math.sqrt(years))
""",
    "code-option-vol": """
import math
def implied_vol(price, spot, strike, rate, years):
    normal = lambda x: 0.5 * (1 + math.erf(x / math.sqrt(2)))
    def call(vol):
        d1 = (math.log(spot / strike) + (rate + vol * vol / 2) * years) / (vol * math.sqrt(years))
        return spot * normal(d1) - strike * math.exp(-rate * years) * normal(d1 - vol * math.sqrt(years))
    low, high = 1e-6, 5.0
    for _ in range(200):
        middle = (low + high) / 2
        if call(middle) < price:
            low = middle
        else:
            high = middle
    return (low + high) / 2
""",
    "code-option-american": """
import math
def american_put(spot, strike, rate, vol, years, steps):
    dt = years / steps
    up = math.exp(vol * math.sqrt(dt))
    p = (math.exp(rate * dt) - 1 / up) / (up - 1 / up)
    discount = math.exp(-rate * dt)
    values = [max(strike - spot * up ** (2 * i - steps), 0) for i in range(steps + 1)]
    for step in range(steps - 1, -1, -1):
        values = [
            max(strike - spot * up ** (2 * i - step), discount * (p * values[i + 1] + (1 - p) * values[i]))
            for i in range(step + 1)
        ]
    return values[0]
""",
    "code-trade-fifo": """
def fifo_profit(trades):
    lots, profit = [], 0.0
    for side, shares, price in trades:
        if side == "buy":
            lots.append([shares, price])
            continue
        while shares > 0:
            taken = min(shares, lots[0][0])
            profit += taken * (price - lots[0][1])
            lots[0][0] -= taken
            shares -= taken
            if lots[0][0] == 0:
                lots.pop(0)
    return profit
""",
    "code-trade-rebalance": """
def rebalance(shares, prices, weights, lot):
    total = sum(n * p for n, p in zip(shares, prices))
    targets = [int(total * w / p // lot) * lot for w, p in zip(weights, prices)]
    return [target - n for target, n in zip(targets, shares)]
""",
    "code-trade-twr": """
def time_weighted_return(values, flows):
    growth = 1.0
    for t in range(1, len(values)):
        growth *= values[t] / (values[t - 1] + flows[t - 1])
    return growth - 1
""",
}
