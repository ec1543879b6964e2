"""The tiny merchant's papers: orders with positions, stock-taking, vouchers, credits, invoices, payments."""

from datetime import date, timedelta

import polars as pl

Record = dict[str, object]


def papers(
    articles: list[float], branches: tuple[int, ...], categories: list[int], last: date
) -> dict[str, pl.DataFrame]:
    """A few of each, all of the days up to `last`; the internet code of a voucher can be spent and is a canary."""
    rows = {
        "order": [_order(number, articles, branches, last) for number in range(9001, 9009)],
        "inventory": [_stocktaking(branch, category, last) for branch in branches for category in categories],
        "voucher": [_voucher(number, branches, last) for number in range(1, 13)],
        "credit": [_credit(number, branches, last) for number in range(1, 7)],
        "invoice": [_booked(number, branches, last) | _invoiced(number, last) for number in range(1, 11)],
        "promotion": [_promotion(weeks, category, last) for weeks in range(-3, 9) for category in categories],
        "payment": [_booked(number, branches, last) | {"status": 100 * (number % 2)} for number in range(1, 9)],
    }
    return {entity: pl.DataFrame(records, infer_schema_length=None) for entity, records in rows.items()}


def _on(last: date, days_before: int) -> str:
    return f"{last - timedelta(days=days_before)}T00:00:00"


def _order(number: int, articles: list[float], branches: tuple[int, ...], last: date) -> Record:
    positions = [
        {
            "orderNumber": number,
            "articleNumber": articles[(number + step) % len(articles)],
            "branchNumber": branches[number % len(branches)],
            "quantity": float(6 * (step + 1)),
            "price": 4.25 + step,
            "discount": 0.0,
            "expectedArrival": _on(last, -14),
        }
        for step in range(1 + number % 3)
    ]
    head = {"number": number, "source": 1, "created": _on(last, number % 40), "supplierNumber": 501 + number % 3}
    return {**head, "status": 1, "type": 0, "overallDiscount": 0.0, "positions": positions}


def _stocktaking(branch: int, category: int, last: date) -> Record:
    taken = {"type": 1, "active": False, "date": _on(last, 300), "stocktakingDate": _on(last, 299)}
    return {"branchNumber": branch, "categoryNumber": category, "supplierNumber": 0, "shopNumber": 0, **taken}


def _voucher(number: int, branches: tuple[int, ...], last: date) -> Record:
    is_redeemed = number % 4 == 0
    return {
        "number": number,
        "branchNumber": branches[number % len(branches)],
        "customerNumber": number % 3,
        "type": 1,
        "status": int(is_redeemed),
        "value": 25.0 * (1 + number % 4),
        "amountRedeemed": 25.0 * (1 + number % 4) if is_redeemed else 0.0,
        "internetCode": f"Kanarienvogel internetCode {number}",
        "note": f"Kanarienvogel note {number}",
        "date": _on(last, 10 * number),
        "voucherRedemptionDate": _on(last, number) if is_redeemed else None,
    }


def _credit(number: int, branches: tuple[int, ...], last: date) -> Record:
    value = -19.5 if number % 5 == 0 else 19.5 * number
    place = {"branchNumber": branches[number % len(branches)], "customerNumber": number}
    return {"number": number, **place, "status": 0, "value": value, "amountRedeemed": 0.0, "date": _on(last, number)}


def _booked(number: int, branches: tuple[int, ...], last: date) -> Record:
    return {
        "number": number,
        "branchNumber": branches[number % len(branches)],
        "customerNumber": number,
        "staffNumber": 1 + number % 8,
        "cashRegisterNumber": 1,
        "amount": round(-12.4 if number % 6 == 0 else 12.4 * number, 2),
        "date": _on(last, 3 * number),
    }


def _promotion(weeks: int, category: int, last: date) -> Record:
    """A mailer of some weeks ago, or to come."""
    monday = last - timedelta(days=last.weekday() + 7 * weeks)
    days = {"firstDay": f"{monday}T00:00:00", "lastDay": f"{monday + timedelta(days=6)}T00:00:00"}
    return {"kind": "mailer", "categoryNumber": category, "share": (weeks % 4) / 4, "discount": 0.1, **days}


def _invoiced(number: int, last: date) -> Record:
    return {"status": (1, 100, 101)[number % 3], "amountCleared": 0.0, "paymentDueDate": _on(last, 3 * number - 30)}
