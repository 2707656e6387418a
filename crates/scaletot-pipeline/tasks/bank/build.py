#!/usr/bin/env python3
"""Builds clients.parquet, the table of the task bank-deposit, from the publisher's bank-full.csv.

    pip install pandas==3.1.1 pyarrow==26.0.1
    python build.py bank-full.csv --out clients.parquet

One row per client whom the bank had not contacted before (`pdays` is -1), by the row's number in the file, from 1: eight fields of the client, of
which "unknown" is missing, and whether a term deposit was opened. Everything about the call is left out.
"""

import argparse
import pathlib
import sys

import pandas as pd

FIELDS = ["age", "job", "marital", "education", "default", "balance", "housing", "loan"]


def clients(published):
    expected = {*FIELDS, "pdays", "y"}
    if not expected <= set(published):
        sys.exit(f"expected the columns {', '.join(sorted(expected))}, found {', '.join(published)}; is this bank-full.csv?")
    new = published[published["pdays"] == -1]
    table = new[FIELDS].replace("unknown", None)
    table.insert(0, "client_id", new.index + 1)
    return table.assign(subscribed=(new["y"] == "yes").astype(float))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("published", type=pathlib.Path, help="bank-full.csv")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("clients.parquet"))
    arguments = parser.parse_args()
    table = clients(pd.read_csv(arguments.published, sep=";", keep_default_na=False))
    table.to_parquet(arguments.out, index=False, compression="zstd")
    print(f"{arguments.out}: {len(table):,} clients")


if __name__ == "__main__":
    main()
