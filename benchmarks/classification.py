"""Accuracy and log loss of the classifier and of scikit-learn's, by cross-validation.

    python benchmarks/classification.py [--output FILE] [--repeats 5] [--data NAME]

Five times five folds, stratified, on data sets that ship with scikit-learn; digits in
their first 20 principal components.  Features are standardised.  Each fold does both by
itself.
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
from provenance import provenance
from sklearn import datasets
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.model_selection import RepeatedStratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgmm import GaussianMixtureClassifier

TYPES = ["full", "tied", "diag", "spherical"]

METHODS = {
    # Its default tolerance finds the breast cancer data not of full rank.
    "QDA": QuadraticDiscriminantAnalysis(tol=1e-10),
    "full, K=1": GaussianMixtureClassifier(),
    "full, K=5": GaussianMixtureClassifier(5),
    "K by BIC": GaussianMixtureClassifier([1, 2, 3]),
    "K and type by BIC": GaussianMixtureClassifier([1, 2, 3], covariance_type=TYPES),
}


def problems():
    """Yield names, rows, labels, and what comes before the classifier."""
    for name in ("iris", "wine", "breast_cancer"):
        yield (
            name,
            *getattr(datasets, f"load_{name}")(return_X_y=True),
            [StandardScaler()],
        )
    X, y = datasets.load_digits(return_X_y=True)
    yield "digits, 20 PC", X, y, [PCA(20), StandardScaler()]
    # Classes of several parts: what a mixture per class is for.
    yield "odd and even digits, 20 PC", X, y % 2, [PCA(20), StandardScaler()]
    X, y = datasets.load_diabetes(return_X_y=True)
    thirds = np.searchsorted(np.quantile(y, [1 / 3, 2 / 3]), y)
    X = np.delete(X, 1, axis=1)  # sex has two values: no density
    yield "diabetes in thirds", X, thirds, [StandardScaler()]


def main():
    """Measure all data sets, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--data", default="", help="part of the names of data sets")
    arguments = parser.parse_args()
    folds = RepeatedStratifiedKFold(
        n_splits=5, n_repeats=arguments.repeats, random_state=0
    )
    print(
        "| data | method | accuracy | log loss | seconds a fit |\n|---|---|---|---|---|"
    )
    cells = []
    for name, X, y, before in problems():
        if arguments.data not in name:
            continue
        for method, estimator in METHODS.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                scores = cross_validate(
                    make_pipeline(*before, estimator),
                    X,
                    y,
                    cv=folds,
                    scoring=("accuracy", "neg_log_loss"),
                    error_score="raise",
                )
            accuracy = scores["test_accuracy"].mean()
            loss = -scores["test_neg_log_loss"].mean()
            seconds = np.median(scores["fit_time"])
            print(
                f"| {name} | {method} | {accuracy:.3f} | {loss:.3f} | {seconds:.3f} |",
                flush=True,
            )
            values = {"accuracy": accuracy, "log_loss": loss, "seconds": seconds}
            cells.append({"data": name, "method": method} | values)
    if arguments.output:
        report = {"provenance": provenance(), "repeats": arguments.repeats}
        arguments.output.write_text(json.dumps(report | {"cells": cells}, indent=1))


if __name__ == "__main__":
    main()
