"""LightGBM and scikit-learn's ridge on the folds and draws of an evaluation.

    pip install -r benches/peers/requirements.txt
    cargo run --release -p scaletot-cli -- evaluate --task TASK ... --out DIR
    python benches/peers/peers.py DIR
    cargo run --release -p scaletot-cli -- evaluate --task TASK ... --out DIR

The first run leaves users.parquet and draws.json in every fold's directory; this script writes peers.json beside them; the second run
finds every fold done and reports the peers' predictions as arms of their own. Models see the labelled rows of a draw and nothing else.
"""

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeCV

ALPHAS = np.logspace(-1, 3, 9)
BINS = 10
DESCRIPTIONS = {
    "lightgbm": "LightGBM on the profile, squared error of ln(1 + outcome)",
    "lightgbm-tweedie": "LightGBM on the profile, Tweedie loss",
    "ridge-sklearn": "scikit-learn's ridge on the profile, one column per value",
}


def bins(values):
    """The bin of every number: the number itself where few differ, else the tenth that it begins in.

    Equal numbers are in one bin. Ties that are broken by the order of rows would tell a linear model where a row stands in the table,
    and a table that is sorted by anything related to the outcome gives it away.
    """
    if values.nunique() <= BINS:
        return values
    return (values.rank(method="min") - 1) * BINS // values.count()


def features(users):
    """The profile as LightGBM takes it, and as one column per value."""
    profile = users.drop(columns=["row", "outcome"])
    lists = [c for c in profile if profile[c].map(lambda v: isinstance(v, (list, np.ndarray))).any()]
    for column in lists:
        values = sorted({v for cell in profile[column] if cell is not None for v in cell})
        for value in values:
            profile[f"{column}={value}"] = profile[column].map(lambda cell, v=value: cell is not None and v in cell)
    profile = profile.drop(columns=lists)
    tree, linear = {}, []
    for column in profile:
        values = profile[column]
        if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
            tree[column] = values.astype(float)
            # Ranks, as heavy tails would rule a linear model.
            linear.append(pd.DataFrame({column: values.rank(pct=True).fillna(0.5), f"{column}?": values.isna()}))
            linear.append(pd.get_dummies(bins(values), prefix=column, dummy_na=False))
        else:
            tree[column] = values.astype("string").astype("category")
            linear.append(pd.get_dummies(values.astype("string"), prefix=column, dummy_na=True))
    return pd.DataFrame(tree), pd.concat(linear, axis=1).to_numpy(float)


def lightgbm_scores(x, y, train, test, tweedie):
    """Few leaves for few rows; the number of trees by a fifth of the rows where there are enough."""
    n = len(train)
    settings = dict(
        n_estimators=100 if n < 1000 else 300,
        learning_rate=0.06 if n < 1000 else 0.03,
        num_leaves=7 if n < 3000 else 15,
        min_child_samples=max(5, min(50, n // 20)),
        # The default of 100 rows per group of categories leaves few rows without any split.
        min_data_per_group=max(5, min(100, n // 20)),
        max_cat_to_onehot=64 if n < 5000 else 4,
        reg_lambda=5.0,
        subsample=0.8,
        subsample_freq=1,
        colsample_bytree=0.8,
        n_jobs=int(os.environ.get("PEERS_THREADS", "2")),
        verbose=-1,
        random_state=0,
    )
    model = lightgbm.LGBMRegressor(objective="tweedie" if tweedie else "regression", **settings)
    target = y[train] if tweedie else np.log1p(y[train])
    fit, callbacks = {}, []
    held = np.random.default_rng(0).permutation(n)[: n // 5 if n >= 500 else 0]
    kept = np.setdiff1d(np.arange(n), held)
    if tweedie and y[train[kept]].sum() == 0:
        return np.zeros(len(test))  # its mean must be above 0
    if n >= 500:
        fit = dict(eval_set=[(x.iloc[train[held]], target[held])])
        callbacks = [lightgbm.early_stopping(30, verbose=False)]
        model.fit(x.iloc[train[kept]], target[kept], callbacks=callbacks, **fit)
    else:
        model.fit(x.iloc[train], target)
    predicted = model.predict(x.iloc[test])
    return predicted if tweedie else smeared(predicted, model.predict(x.iloc[train]), y[train])


def ridge_scores(x, y, train, test):
    mean, deviation = x[train].mean(0), x[train].std(0)
    kept = deviation > 1e-9
    # Standardised, the indicator of a rare value would hardly be penalised.
    deviation = np.where(np.isin(x[train], (0, 1)).all(0), 1.0, deviation)
    scaled = lambda rows: (x[rows][:, kept] - mean[kept]) / deviation[kept]
    model = RidgeCV(ALPHAS).fit(scaled(train), np.log1p(y[train]))
    return smeared(model.predict(scaled(test)), model.predict(scaled(train)), y[train])


def smeared(predicted, fitted, outcomes):
    """Back from the logarithm so that the training mean is right (Duan 1983)."""
    return np.exp(predicted) * (1 + outcomes).mean() / np.exp(fitted).mean() - 1


def digest(directory):
    return hashlib.sha256((directory / "draws.json").read_bytes()).hexdigest()[:16]


def done(directory):
    """Whether this fold's draws have predictions already."""
    peers = directory / "peers.json"
    return peers.exists() and json.loads(peers.read_text()).get("draws") == digest(directory)


def fold(directory):
    users = pd.read_parquet(directory / "users.parquet")
    draws = json.loads((directory / "draws.json").read_text())
    tree, linear = features(users)
    y = users["outcome"].fillna(0.0).to_numpy(float)
    test = np.array(draws["test"])
    arms = {name: [] for name in DESCRIPTIONS}
    for at, draw in enumerate(draws["draws"]):
        train = np.array(draw["train"])
        scores = {
            "lightgbm": lightgbm_scores(tree, y, train, test, tweedie=False),
            "ridge-sklearn": ridge_scores(linear, y, train, test),
        }
        scores["lightgbm-tweedie"] = lightgbm_scores(tree, y, train, test, tweedie=True)
        for name, values in scores.items():
            rounded = [float(f"{value:.7g}") for value in values]
            arms[name].append({"labels": draw["labels"], "draw": draw["draw"], "scores": rounded})
        print(f"\r{directory.name}: {at + 1} of {len(draws['draws'])} draws", end="", file=sys.stderr)
    print(file=sys.stderr)
    found = [{"name": n, "description": DESCRIPTIONS[n], "predictions": p} for n, p in arms.items()]
    beside = directory / "peers.json.part"
    beside.write_text(json.dumps({"draws": digest(directory), "arms": found}))
    beside.replace(directory / "peers.json")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="--out of the evaluation")
    out = parser.parse_args().directory
    folds = sorted(path.parent for path in out.glob("repeat-*/draws.json"))
    if not folds:
        sys.exit(f"{out}: expected an evaluation's output with repeat-*/draws.json, found none")
    for directory in folds:
        if not done(directory):
            fold(directory)


if __name__ == "__main__":
    main()
