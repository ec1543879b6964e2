"""The published tables: what a release holds, column by column.

    TABLES["fct_sale_lines"].schema.names

The marts in `dbt/` and the retrain job produce exactly these columns; the lake, the serving session and the readers
rely on them. Money is decimal in the tenant's currency, gross of VAT unless the name says net; cost and stock value
are net, at purchase price. Dates are the tenant's local calendar; `_at` is UTC. `as_of_on` is the last day the tenant's
tills have reported, and `_28d`, `_91d` and `_364d` are the whole weeks up to and including it.
"""

from dataclasses import dataclass

import pyarrow as pa

MONEY = pa.decimal128(18, 2)
MONEY_FINE = pa.decimal128(18, 4)
UTC = pa.timestamp("us", tz="UTC")
_KINDS: dict[str, pa.DataType] = {
    "text": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "day": pa.date32(),
    "utc": UTC,
    "money": MONEY,
    "fine": MONEY_FINE,
}


@dataclass(frozen=True)
class Table:
    """One published table; `origin` is the verb that writes it, `key` is unique over all tenants."""

    name: str
    grain: str
    origin: str
    key: tuple[str, ...]
    schema: pa.Schema


def _table(name: str, grain: str, key: str, origin: str = "transform", **columns: str) -> Table:
    """Declare a table; columns by kind are names separated by blanks, in the order of writing."""
    required = {"tenant_id", *key.split()}
    kinds = {"tenant_id": pa.string()} | {
        column: _KINDS[kind.rstrip("_")] for kind, names in columns.items() for column in names.split()
    }
    fields = [pa.field(column, kind, nullable=column not in required) for column, kind in kinds.items()]
    return Table(name, grain, origin, ("tenant_id", *key.split()), pa.schema(fields))


_DIMENSIONS = (
    _table("dim_tenants", "tenant", "", text="name currency time_zone locale calendar"),
    _table(
        "dim_dates",
        "tenant × local day, whole years around the tenant's sales; weeks are ISO weeks, the retail year is 4-4-5",
        "day",
        day="day",
        int="year quarter month iso_year iso_week weekday retail_year retail_period retail_week",
        day_="week_start month_start quarter_start same_day_last_year",
        text="holiday holiday_states",
        bool="is_trading_day",
    ),
    _table(
        "dim_branches",
        "tenant × branch",
        "branch",
        int="branch state_number",
        text="name country",
        bool="is_active is_webshop",
        day="first_sold_on last_sold_on",
    ),
    _table(
        "dim_categories",
        "tenant × category (Warengruppe); `path` leads from the department down",
        "category_number",
        int="category_number parent_number department_number depth tax_number",
        text="name department path",
        bool="is_service",
        float="vat_rate",
    ),
    _table(
        "dim_suppliers",
        "tenant × supplier",
        "supplier_number",
        int="supplier_number",
        text="name country",
        bool="is_active",
    ),
    _table(
        "dim_staff",
        "tenant × member of staff; no personal data",
        "staff_number",
        int="staff_number branch",
        bool="is_active",
    ),
    _table(
        "dim_seasons", "tenant × season", "season_number", int="season_number", text="name", day="starts_on ends_on"
    ),
    _table(
        "dim_articles",
        "tenant × article; also articles that were sold without a master record (category '(unknown)')",
        "article_number",
        int="article_number category_number supplier_number season_number",
        text="label category department product_type supplier season brand",
        bool="is_merchandise is_nos is_active",
        fine="purchase_price",
        money="label_price",
        float="vat_rate",
        day="first_sold_on last_sold_on",
    ),
    _table(
        "dim_customers",
        "tenant × known customer (number other than 0); no personal data",
        "customer_number",
        int="customer_number",
        day="first_sold_on last_sold_on",
    ),
)

_FACTS = (
    _table(
        "fct_sale_lines",
        "tenant × receipt line; amounts are line amounts, signed",
        "sale_line_id",
        text="sale_line_id receipt_id",
        day="sold_on",
        utc="sold_at",
        int="branch article_number customer_number staff_number",
        text_="category department product_type supplier season",
        bool="is_merchandise is_return",
        float="quantity",
        money="gross_amount label_amount labelled_gross_amount",
        fine="net_amount cost_amount",
    ),
    _table(
        "fct_receipts",
        "tenant × receipt; units are pieces of merchandise, returned ones counted apart and positive",
        "receipt_id",
        text="receipt_id",
        day="sold_on",
        utc="sold_at",
        int="branch cash_register staff_number customer_number lines",
        float="sold_units returned_units",
        money="gross_amount",
        fine="net_amount cost_amount",
        bool="is_return",
    ),
    _table(
        "fct_stock_daily",
        "tenant × snapshot day × branch × article; sizes are those listed, sizes_out those without stock",
        "snapshot_on branch article_number",
        day="snapshot_on",
        int="branch article_number sizes sizes_out",
        text="category department product_type supplier season",
        float="quantity",
        fine="stock_value",
    ),
    _table(
        "fct_purchase_orders",
        "tenant × position of a purchase order, at purchase price",
        "order_id position",
        text="order_id",
        int="position order_number supplier_number branch article_number",
        day="ordered_on expected_on",
        float="ordered_units delivered_units open_units",
        fine="unit_cost ordered_value open_value",
    ),
    _table(
        "fct_vouchers",
        "tenant × voucher",
        "voucher_number",
        int="voucher_number branch customer_number",
        day="issued_on redeemed_on valid_until",
        money="value redeemed_amount open_amount",
    ),
)

_MARTS = (
    _table(
        "mart_sales_daily",
        "tenant × local day × branch × department × category; units are sold less returned",
        "sold_on branch department category",
        day="sold_on",
        int="branch lines",
        text="department category",
        float="units sold_units returned_units",
        money="revenue label_value labelled_revenue",
        fine="net_revenue cost",
    ),
    _table(
        "mart_branch_performance",
        "tenant × local day × branch, days of last year that a branch misses this year included; a day is comparable "
        "when the branch traded in its week and in the week of the same day last year (weekday and holiday aligned)",
        "sold_on branch",
        day="sold_on same_day_last_year",
        int="branch receipts",
        float="units",
        money="revenue comparable_revenue comparable_revenue_last_year",
        fine="net_revenue cost",
        bool="is_comparable",
    ),
    _table(
        "mart_product_performance",
        "tenant × article that was sold within 364 days or is in stock",
        "article_number",
        int="article_number rank_in_category",
        day="as_of_on first_sold_on last_sold_on",
        text="label category department product_type supplier season abc xyz velocity",
        float="units_28d units_91d units_364d returned_units_364d return_rate_364d trend_28d weekly_cv daily_units "
        "gross_margin_364d sell_through_364d markup entry_margin stock_units",
        money="revenue_28d revenue_91d revenue_364d",
        fine="net_revenue_364d cost_364d gross_profit_364d stock_value",
    ),
    _table(
        "mart_inventory_status",
        "tenant × branch × article of the newest stock snapshot; days_of_supply is null without a sale in 91 days",
        "branch article_number",
        int="branch article_number sizes sizes_out days_since_sale days_covered",
        day="as_of_on snapshot_on",
        text="category department product_type supplier season stockout_risk",
        float="stock_units units_91d daily_units days_of_supply weeks_of_supply on_order_units turnover",
        fine="stock_value average_stock_value cost_364d gross_profit_364d old_stock_value excess_stock_value",
        bool="is_listed is_out_of_stock has_size_gap is_excess is_slow is_old",
    ),
    _table(
        "mart_customer_segments",
        "tenant × known customer who ever bought; quintiles 1 to 5, 5 is best; receipts and revenue of 364 days",
        "customer_number",
        int="customer_number recency_days receipts recency_quintile frequency_quintile monetary_quintile",
        day="as_of_on first_sold_on last_sold_on",
        text="segment",
        money="revenue average_receipt",
        fine="net_revenue",
    ),
    _table(
        "mart_supplier_performance",
        "tenant × supplier of an article sold within 364 days, in stock or on order",
        "supplier_number",
        int="supplier_number orders days_covered",
        day="as_of_on",
        text="supplier",
        float="sold_units_364d returned_units_364d return_rate_364d gross_margin_364d sell_through_364d turnover "
        "stock_units ordered_units delivered_units open_units overdue_units fill_rate",
        money="revenue_364d",
        fine="net_revenue_364d cost_364d gross_profit_364d stock_value average_stock_value open_value",
    ),
    _table(
        "mart_open_to_buy",
        "tenant × department × category × month, the month of as_of_on and the five after it, at purchase price; the "
        "plan is the same month of the year before",
        "department category month_start",
        text="department category",
        day="month_start as_of_on",
        fine="opening_stock planned_sales planned_closing on_order open_to_buy",
    ),
    _table(
        "mart_wssi",
        "tenant × department × category × week between two stock snapshots, at purchase price; closing = opening + "
        "intake - sales",
        "department category week_start",
        text="department category",
        day="week_start",
        fine="opening_stock intake sales closing_stock",
        float="weeks_of_supply",
    ),
    _table(
        "mart_promotion_weeks",
        "tenant × category × week × kind of promotion, also of weeks to come; share is the part of the category's "
        "articles and branches that takes part, discount the part of the price that is taken off; fractions",
        "category week_start kind",
        text="category",
        day="week_start",
        text_="kind",
        float="share discount",
    ),
    _table(
        "mart_external_factors",
        "tenant × external factor × day, also to come × local day on which its value became known, which is 1900-01-01 "
        "of what always was; value is in the factor's own unit",
        "factor day known_on",
        text="factor",
        day="day known_on",
        float="value",
    ),
    _table(
        "mart_basket_pairs",
        "tenant × pair of articles, the smaller number first, that share at least ten receipts of 364 days",
        "article_number other_article_number",
        int="article_number other_article_number receipts",
        text="label other_label",
        float="support confidence other_confidence lift",
    ),
    _table(
        "mart_forecast_accuracy",
        "tenant × forecast level × key × period × cutoff × role × model version, of periods that are over; y is gross "
        "revenue, forecast as mean; horizon is in periods, error is mean - y",
        "level key ds cutoff role model_version",
        text="level key",
        day="ds cutoff",
        text_="role model model_version",
        int="horizon",
        money="y",
        float="mean lo80 hi80 lo95 hi95 error absolute_error scaled",
        bool="within80 within95",
    ),
    _table(
        "mart_data_quality",
        "tenant × rule of the warehouse; breaches of it in rows of the entity. statement: the rule as a sentence; "
        "fallback: what the marts do with such a record; remedy: what somebody can do about it",
        "rule",
        text="rule severity entity statement fallback remedy example",
        int="checked breaches",
        float="share",
    ),
)

_PREDICTIONS = (
    _table(
        "forecasts",
        "tenant × level × key × date; money in the tenant's currency, gross",
        "level key ds",
        "retrain",
        text="level key",
        day="ds",
        float="mean lo80 hi80 lo95 hi95",
        text_="model model_version",
        day_="cutoff",
    ),
    _table(
        "forecast_backtest",
        "tenant × level × method × demand class (`all`, and each): how good it was over the windows of the backtest; "
        "fractions, but rmsse and scaled_quantile_loss, which are scaled by what a season differs from the next. role: "
        "champion, challenger, baseline, candidate. skill: part by which its WAPE is below the baseline's; p_value: of "
        "so large an advantage if there were none",
        "level method demand_class",
        "retrain",
        text="level method demand_class",
        text_="role",
        day_="cutoff",
        int="observations",
        float="wape bias rmsse scaled_quantile_loss coverage80 coverage95 skill p_value",
    ),
    _table(
        "recommendations",
        "tenant × known customer × rank",
        "customer_number rank",
        "retrain",
        int="customer_number rank article_number",
        float="score",
        text="reason model model_version",
    ),
    _table(
        "reorder_proposals",
        "tenant × item: an article in a branch, or where branch is null an article for all branches together; units, "
        "weeks, money net at purchase price; rates are fractions of the unit cost a year; rank 1 is worth most",
        "item",
        "retrain",
        text="item",
        int="article_number branch supplier_number rank",
        text_="label category department supplier service_class lead_time_basis reason",
        day="cutoff",
        float="on_hand on_order on_order_days pack_size minimum_order holding_rate obsolescence_rate lead_days_mean "
        "lead_days_sd service_level protection_weeks expected_demand safety_stock reorder_point order_up_to position "
        "wanted_quantity order_quantity",
        fine="unit_cost price",
        money="order_value lost_margin_avoided holding_cost_added budget",
    ),
    _table(
        "unit_forecasts",
        "tenant × item of reorder_proposals × week, in units",
        "item ds",
        "retrain",
        text="item",
        day="ds",
        float="mean lo80 hi80 lo95 hi95",
        text_="model",
        day_="cutoff",
    ),
)

TABLES = {table.name: table for table in (*_DIMENSIONS, *_FACTS, *_MARTS, *_PREDICTIONS)}
MARTS = tuple(table.name for table in TABLES.values() if table.origin == "transform")
PREDICTIONS = tuple(table.name for table in TABLES.values() if table.origin == "retrain")
