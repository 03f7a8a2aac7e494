"""GaussianMixtureIC: what it chooses, what it shares, what it reports."""

import copy
import logging
import pickle
import threading
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import xlogy
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks
from strategies import Truth, case, examples
from test_mclust import REFERENCE, read

import skgmm._grid
import skgmm._starts
from skgmm import GaussianMixture, GaussianMixtureIC
from skgmm._em import em
from skgmm._ic import _problems
from skgmm._progress import GridMonitor, Silent
from skgmm._search import Outlook, Starts, fit_one_of_many, move_components
from skgmm._sources import ArraySource
from skgmm.families import FAMILIES, NAMES, factor_analysers

COLUMNS = {
    "n_components": "i",
    "covariance_type": "O",
    "criterion": "f",
    "log_likelihood": "f",
    "n_parameters": "i",
    "n_iter": "i",
    "seconds": "f",
    "converged": "b",
    "degenerate": "b",
    "error": "O",
}


def fitted(X, n_components="auto", *, sample_weight=None, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search = GaussianMixtureIC(n_components, **parameters)
        return search.fit(X, sample_weight=sample_weight)


@pytest.fixture(scope="module")
def problem():
    return case(1, 3, 2, distance=8.0)


@pytest.fixture(scope="module")
def search(problem):
    return fitted(problem.X, range(1, 5))


# ---- what it chooses ------------------------------------------------------
@pytest.mark.parametrize("name", list(REFERENCE))
def test_as_good_as_what_mclust_selects(name):
    # Of the models of mclust's grid that the package has, the best by mclust's table.
    X = read(name)
    best = max(
        (case["bic"], FAMILIES[case["model"]].name, case["G"])
        for case in REFERENCE[name]["cases"]
        if case["bic"] is not None
    )
    ours = fitted(X, range(1, 6))
    assert ours.criterion_ <= -best[0] + 0.01
    if ours.criterion_ > -best[0] - 0.01:  # else it is a better model
        assert (ours.covariance_type_, ours.n_components_) == best[1:]
    assert ours.criterion_ == pytest.approx(ours.bic(X), rel=1e-10)


@pytest.mark.parametrize("n_components", ["auto", range(1, 6), [3, 1, 2], 3])
def test_finds_the_components_that_are_there(problem, n_components):
    search = fitted(problem.X, n_components, covariance_type=["full", "diag"])
    assert search.n_components_ == 3
    labels = search.predict(problem.X)
    pairs = set(zip(labels, problem.labels, strict=True))
    assert len(pairs) == 3


def test_auto_stops_three_after_the_best(problem):
    search = fitted(problem.X, covariance_type="full")
    assert search.results_["n_components"].tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("criterion", ["bic", "aic", "aicc", "icl", "nec"])
def test_criteria(problem, criterion):
    X, weight = problem.X, np.random.default_rng(0).integers(0, 3, len(problem.X))
    search = fitted(
        X,
        [1, 2, 3],
        covariance_type="full",
        criterion=criterion,
        sample_weight=weight,
    )
    table = pd.DataFrame(search.results_).set_index("n_components")
    assert search.criterion_ == table.criterion.min()
    for k, row in table.iterrows():
        alone = GaussianMixture(k).fit(X, sample_weight=weight)
        assert alone.score(X, sample_weight=weight) * weight.sum() == pytest.approx(
            row.log_likelihood, rel=1e-6
        )
        if criterion != "nec":
            expected = getattr(alone, criterion)(X, sample_weight=weight)
        else:
            p = alone.predict_proba(X)
            gain = row.log_likelihood - table.log_likelihood[1]
            expected = -weight @ xlogy(p, p).sum(axis=1) / gain if k > 1 else 1.0
        assert row.criterion == pytest.approx(expected, rel=1e-3, abs=1e-9)


def test_a_callable_is_a_criterion(problem):
    seen = []

    def criterion(mixture, X, sample_weight):
        assert isinstance(mixture, GaussianMixture)
        assert sample_weight is None
        seen.append((mixture.n_components, mixture.covariance_type))
        return -mixture.score(X) + 10 * mixture.n_components

    search = fitted(problem.X, [2, 1], covariance_type="diag", criterion=criterion)
    assert seen == [(1, "diag"), (2, "diag")]
    assert search.n_components_ == 1
    assert search.criterion_ == pytest.approx(10 - search.score(problem.X))


def test_aicc_of_few_rows_is_infinite():
    X = np.random.default_rng(0).normal(size=(8, 3))
    mixture = GaussianMixture(1).fit(X)
    p = 9
    assert mixture.aicc(X) == np.inf
    X = np.random.default_rng(0).normal(size=(30, 3))
    mixture = GaussianMixture(1).fit(X)
    assert mixture.aicc(X) == pytest.approx(mixture.aic(X) + 2 * p * 10 / 20)


# ---- shared work ----------------------------------------------------------
@examples(1 / 6)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 3]), st.sampled_from([1, 3]))
def test_the_likelihood_never_falls_with_k(seed, n_features, step):
    X = case(seed, 3, n_features, n_rows=80, distance=1.5).X
    search = fitted(X, range(1, 8, step), n_swaps=0)
    table = pd.DataFrame(search.results_)
    for _, rows in table[~table.degenerate].groupby("covariance_type"):
        steps = np.diff(rows.n_components)
        gains = np.diff(rows.log_likelihood)[steps == step]
        assert np.all(gains > -1e-4), rows


def test_one_set_of_partitions_serves_all_families(problem, monkeypatch):
    made, statistics = [], []

    class Starts(skgmm._grid.Starts):
        def __init__(self, problems, n_components, *rest):
            made.append(n_components)
            super().__init__(problems, n_components, *rest)

    original = ArraySource.class_moments

    def class_moments(sample, labels, n_classes, form):
        statistics.append(form)
        return original(sample, labels, n_classes, form)

    monkeypatch.setattr(skgmm._grid, "Starts", Starts)
    monkeypatch.setattr(ArraySource, "class_moments", class_moments)
    search = fitted(problem.X, [2, 3])
    assert made == [2, 3]
    families = [FAMILIES[name] for name in search.results_["covariance_type"]]
    forms = {(family.per_feature, family.form) for family in families}
    assert len(statistics) <= 2 * 5 * len(forms)


def bic(mixture, X, sample_weight):
    return mixture.bic(X)


SOME = ["full", "tied", "diag", "VEV", "spherical"]


def test_what_cannot_be_best_is_left_before_its_end(problem):
    search = fitted(problem.X, range(1, 6), covariance_type=SOME)
    # Of a function nothing is known before a model is complete.
    whole = fitted(problem.X, range(1, 6), covariance_type=SOME, criterion=bic)
    assert whole.results_["converged"].all()
    left = ~search.results_["converged"]
    assert 0.1 < left.mean() < 0.9
    values, expected = search.results_["criterion"], whole.results_["criterion"]
    lacks = expected - whole.criterion_
    # What is left lacks 5 units of log-likelihood, 10 of BIC, of what was best then.
    assert lacks[left].min() > 5.0
    near = lacks < 5.0
    np.testing.assert_allclose(values[near], expected[near], rtol=1e-6)
    # The best is among these.
    assert search.criterion_ == pytest.approx(whole.criterion_, rel=1e-8)
    assert search.converged_


def test_what_was_left_is_climbed_to_its_end_where_it_may_win(problem):
    X, family = problem.X, FAMILIES["full"]
    [model] = _problems(X, np.ones(len(X)), 0.0, [family], "auto", False).values()
    starts = Starts([model], 4, np.random.RandomState(0))
    # Whatever it reaches, it lacks a million units.
    outlook = Outlook(lambda log_likelihood: 2e6, 0.0, 5.0)
    options = {"tol": 1e-9, "max_iter": 1000, "monitor": Silent()}
    left, surprise = fit_one_of_many(model, starts, None, outlook, **options)
    assert not left.converged
    assert surprise == -np.inf
    # Copies of components of a model that was left have not converged either.
    more = Starts([model], 5, np.random.RandomState(0))
    assert not fit_one_of_many(model, more, left, outlook, **options)[0].converged
    end = move_components(model, starts, left, n_swaps=0, **options)
    assert end.converged
    assert end.objective >= left.objective
    assert move_components(model, starts, end, n_swaps=0, **options) is end


def test_components_of_what_may_be_best_are_moved(problem, monkeypatch):
    moved, original = [], skgmm._grid.move_components

    def move_components(problem, starts, fit, **options):
        moved.append((starts.n_components, problem.family.label))
        return original(problem, starts, fit, **options)

    monkeypatch.setattr(skgmm._grid, "move_components", move_components)
    fitted(problem.X, [2, 3, 6], covariance_type=SOME, criterion=bic)
    assert len(moved) == 3 * len(SOME)
    moved.clear()
    search = fitted(problem.X, [2, 3, 6], covariance_type=SOME)
    assert (search.n_components_, search.covariance_type_) in moved
    assert len(moved) < 2 * len(SOME)


@pytest.mark.parametrize(
    ("seed", "criterion"), [(0, "bic"), (1, "aic"), (2, "aicc"), (1, "icl")]
)
def test_the_best_is_that_of_all_models_at_their_ends(seed, criterion):
    X = case(seed, 3, 2, n_rows=90, distance=3.0).X
    options = {"covariance_type": ["full", "tied", "VEI", "spherical"], "n_swaps": 0}
    search = fitted(X, range(1, 6), criterion=criterion, **options)

    def same(mixture, X, sample_weight):
        return getattr(mixture, criterion)(X)

    whole = fitted(X, range(1, 6), criterion=same, **options)
    if not (search.degenerate_ or whole.degenerate_):
        assert search.criterion_ <= whole.criterion_ + 1e-3


def test_units_do_not_matter(problem):
    # Nor do they for families that are closed under rescaling of single features.
    types = [name for name in NAMES if FAMILIES[name].per_feature]
    scale, shift = np.array([1e-3, 1e4]), np.array([5.0, 1e7])
    one = fitted(problem.X, [1, 2, 3], covariance_type=types)
    other = fitted(problem.X * scale + shift, [1, 2, 3], covariance_type=types)
    jacobian = len(problem.X) * np.log(scale).sum()
    np.testing.assert_allclose(
        other.results_["log_likelihood"] + jacobian,
        one.results_["log_likelihood"],
        rtol=1e-6,
    )


def test_the_order_of_families_does_not_matter(problem):
    X = problem.X * [1.0, 100.0]
    one, other = (
        pd.DataFrame(fitted(X, [2, 3], covariance_type=types).results_)
        .drop(columns="seconds")
        .sort_values(["n_components", "covariance_type"], ignore_index=True)
        for types in (NAMES, NAMES[::-1])
    )
    pd.testing.assert_frame_equal(one, other, rtol=1e-12)


def test_a_weight_is_a_repeated_row(problem):
    weight = np.random.default_rng(1).integers(0, 3, len(problem.X))
    one = fitted(problem.X, [1, 2, 3], sample_weight=weight)
    other = fitted(np.repeat(problem.X, weight, axis=0), [1, 2, 3])
    for name in ("criterion", "log_likelihood"):
        np.testing.assert_allclose(one.results_[name], other.results_[name], rtol=1e-5)
    assert one.covariance_type_ == other.covariance_type_


def test_many_rows_are_searched_on_a_sample():
    X = case(3, 3, 2, n_rows=7000, distance=6.0).X
    search = fitted(X, [2, 3, 4], covariance_type=SOME, random_state=0)
    assert search.n_components_ == 3
    assert search.criterion_ == pytest.approx(search.bic(X))


@pytest.mark.parametrize("criterion", ["bic", "icl"])
def test_rows_of_a_file(problem, tmp_path, criterion):
    np.save(tmp_path / "rows.npy", problem.X)
    stored = np.load(tmp_path / "rows.npy", mmap_mode="r")
    options = {"covariance_type": ["full", "tied"], "criterion": criterion}
    file, memory = (fitted(X, range(1, 4), **options) for X in (stored, problem.X))
    for name in ("criterion", "log_likelihood"):
        np.testing.assert_allclose(file.results_[name], memory.results_[name], 1e-9)
    assert file.n_components_ == memory.n_components_
    np.testing.assert_allclose(file.means_, memory.means_, rtol=1e-6)


def test_more_races_are_no_worse_on_the_whole(problem):
    one = fitted(problem.X, [2, 4], covariance_type=SOME)
    more = fitted(problem.X, [2, 4], covariance_type=SOME, n_init=2, random_state=0)
    assert more.criterion_ <= one.criterion_ + 1e-3


# ---- what it reports ------------------------------------------------------
def test_results_are_a_table(search, problem):
    table = pd.DataFrame(search.results_)
    assert {name: dtype.kind for name, dtype in table.dtypes.items()} == COLUMNS
    assert len(table) == 4 * len(NAMES)
    assert table.n_components.is_monotonic_increasing
    assert (table.error == "").all()
    assert (table.seconds > 0).all()
    healthy = table[~table.degenerate]
    best = healthy.loc[healthy.criterion.idxmin()]
    assert best.covariance_type == search.covariance_type_
    assert best.n_components == search.n_components_
    assert best.criterion == search.criterion_
    assert best.log_likelihood == pytest.approx(search.score(problem.X) * 200, rel=1e-9)


def test_one_feature_has_two_types():
    X = np.random.default_rng(0).normal(size=(50, 1))
    assert set(fitted(X, 2).results_["covariance_type"]) == {"full", "tied"}
    chosen = fitted(X, 2, covariance_type=["diag", "diag"])
    assert chosen.results_["covariance_type"].tolist() == ["diag"]


def test_the_best_mixture_is_an_estimator(search, problem):
    mixture = search.best_mixture_
    assert type(mixture) is GaussianMixture
    assert mixture.n_components == search.n_components_
    np.testing.assert_array_equal(mixture.means_, search.means_)
    np.testing.assert_array_equal(
        mixture.predict_proba(problem.X), search.predict_proba(problem.X)
    )
    for name in ("converged_", "n_iter_", "lower_bound_", "degenerate_"):
        assert getattr(mixture, name) == getattr(search, name)
    assert mixture.n_features_in_ == 2
    again = clone(mixture).fit(problem.X)
    assert again.score(problem.X) == pytest.approx(mixture.score(problem.X), abs=1e-6)


def test_it_is_a_mixture(search, problem):
    X = problem.X
    assert search.sample(5, random_state=0)[0].shape == (5, 2)
    assert search.covariances_.shape == search.precisions_.shape
    np.testing.assert_array_equal(search.fit_predict(X), search.predict(X))
    other = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(other.score_samples(X), search.score_samples(X))
    other.means_ = other.means_ + 1.0
    assert other.score(X) < search.score(X)


def test_a_model_that_fails_is_reported(problem):
    X = np.repeat(np.random.default_rng(0).normal(size=(3, 2)), 10, axis=0)
    search = fitted(X, [1, 2, 5], covariance_type=["diag", "spherical"])
    table = pd.DataFrame(search.results_).set_index("n_components")
    assert (table.error[5] == "X has only 3 distinct rows, fewer than n_components=5"
            ).all()  # fmt: skip
    assert table.criterion[5].isna().all()
    assert search.n_components_ == 1  # two of three points are a degenerate component


def test_auto_ends_where_no_model_can_be_fitted():
    X = np.repeat([[0.0], [5.0]], 10, axis=0)
    search = fitted(X)
    assert search.results_["n_components"].max() == 3


def test_healthy_models_come_first():
    # Two segments: full covariances are flat, of unbounded likelihood.
    t = np.linspace(-1, 1, 30)
    X = np.r_[np.c_[t, 0 * t], np.c_[0 * t + 5, t]]
    search = fitted(X, 2, covariance_type=["full", "spherical"])
    assert search.results_["degenerate"].tolist() == [True, False]
    assert search.results_["criterion"][0] < search.results_["criterion"][1]
    assert search.covariance_type_ == "spherical"
    assert search.degenerate_ == []


def test_of_equal_models_the_first_is_chosen(problem):
    # One component is one Gaussian, whether its covariance is shared or not.
    for types in (["full", "tied"], ["tied", "full"]):
        assert fitted(problem.X, 1, covariance_type=types).covariance_type_ == types[0]


def test_if_all_are_degenerate_it_says_so():
    X = np.random.default_rng(0).normal(size=(5, 3))
    search = GaussianMixtureIC([2, 3], covariance_type="full")
    with pytest.warns(ConvergenceWarning) as caught:
        search.fit(X)
    texts = [str(w.message) for w in caught]
    [text] = [text for text in texts if "degenerate" in text]
    assert text.startswith("Each of the 2 models has failed or has degenerate compone")
    assert search.degenerate_


def test_equal_weights_of_a_family_are_kept():
    problem = case(1, 2, 2)
    equal = replace(FAMILIES["full"], equal_weights=True)
    search = GaussianMixtureIC(2, covariance_type=[equal, "full"]).fit(problem.X)
    names = ["full, equal weights", "full"]
    assert search.results_["covariance_type"].tolist() == names
    alone = GaussianMixtureIC(2, covariance_type=equal).fit(problem.X)
    again = clone(alone.best_mixture_).fit(problem.X)
    np.testing.assert_array_equal(again.weights_, [0.5, 0.5])


def test_families_that_have_no_name():
    """Factor analysers, and a family of the user's own."""
    rng = np.random.default_rng(0)
    loadings = rng.normal(size=(2, 12, 3))
    factors = rng.normal(size=(2, 200, 3))
    X = np.vstack([h @ a.T for h, a in zip(factors, loadings, strict=True)])
    X += 0.3 * rng.normal(size=X.shape)
    own = replace(FAMILIES["full"], name="own")
    three = factor_analysers(3)
    types = ["full", own, factor_analysers(2), three]
    search = GaussianMixtureIC([1, 2, 3], covariance_type=types).fit(X)
    assert search.n_components_ == 2
    assert search.covariance_type_ == "factor_analysers(3)"
    assert search.best_mixture_.covariance_type is three
    values = search.results_["log_likelihood"].reshape(3, 4)
    np.testing.assert_allclose(values[:, 0], values[:, 1], rtol=1e-6)
    alone = GaussianMixtureIC(2, covariance_type=three).fit(X)
    np.testing.assert_allclose(alone.score(X), search.score(X), rtol=1e-6)
    assert clone(search).fit(X).best_mixture_.covariance_type is three
    few = GaussianMixtureIC(1, covariance_type=factor_analysers(12))
    with pytest.raises(ValueError, match="needs at least 13 features; got X"):
        few.fit(X)


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"n_components": []}, r"whole number above zero, or a sequence.*got \[\]"),
        ({"n_components": [0, 1]}, r"n_components must be.*got \[0, 1\]"),
        ({"n_components": [1.5]}, r"n_components must be.*got \[1.5\]"),
        ({"n_components": ["a"]}, r"n_components must be.*got \['a'\]"),
        ({"n_components": [np.inf]}, "n_components must be"),
        ({"n_components": 0}, "n_components"),
        ({"n_components": "many"}, "n_components"),
        ({"covariance_type": "round"}, "covariance_type"),
        ({"covariance_type": []}, "covariance_type must be 'all', a Family, or one or"),
        ({"covariance_type": ["E"]}, "covariance_type='E' is for one feature; got X"),
        ({"covariance_type": ["full", "x"]}, r"got \['full', 'x'\]"),
        ({"covariance_type": [["full"]]}, r"got \[\['full'\]\]"),
        ({"criterion": "dic"}, "criterion"),
        ({"criterion": lambda *_: np.nan}, "got nan for every model"),
        ({"n_components": 300}, "No model could be fitted. The last one: X has only 2"),
    ],
)
def test_bad_parameters(search, problem, parameters, match):
    search = copy.deepcopy(search).set_params(n_components=[1, 2])
    before = search.means_, vars(search).copy()
    search.set_params(**parameters)
    with pytest.raises(ValueError, match=match):
        search.fit(problem.X)
    assert search.means_ is not None
    assert vars(search)["results_"] is before[1]["results_"]


def test_parameters_cannot_be_assigned_before_a_fit():
    with pytest.raises(NotFittedError, match="means_ cannot be assigned before"):
        GaussianMixtureIC().means_ = np.zeros((1, 1))
    with pytest.raises(NotFittedError, match="not fitted yet"):
        GaussianMixtureIC().predict([[1.0]])


@pytest.mark.parametrize("holes", [False, True])
def test_models_side_by_side_are_those_one_by_one(monkeypatch, holes):
    X, _ = Truth.random(3, 3, 3, 3.0).sample(600, 0)
    if holes:
        X[::5, 1] = np.nan
    in_threads = []

    def of_a_pool():
        return getattr(skgmm._threads._here, "inline", False)

    def noted(*arguments, **options):
        in_threads.append(of_a_pool())
        return fit_one_of_many(*arguments, **options)

    def searched(n_threads):
        in_threads.clear()
        allowed = {True: 1, False: n_threads}
        for module in (skgmm._threads, skgmm._grid):
            monkeypatch.setattr(module, "n_threads", lambda: allowed[of_a_pool()])
        return fitted(X, [1, 2, 3], covariance_type=["full", "EVE", "diag"])

    monkeypatch.setattr(skgmm.kernels, "WORK_OF_A_THREAD", 1.0)
    monkeypatch.setattr(skgmm._grid, "fit_one_of_many", noted)
    alone = searched(1)
    assert not any(in_threads)
    together = searched(3)
    assert all(in_threads)
    for name in set(alone.results_) - {"seconds"}:
        np.testing.assert_array_equal(together.results_[name], alone.results_[name])
    np.testing.assert_array_equal(together.means_, alone.means_)


def test_models_side_by_side_do_not_wait_for_passes_that_wait_for_them(monkeypatch):
    """What the first model to be complete needs was asked of all rows in parts."""
    X, _ = Truth.random(3, 3, 3, 3.0).sample(20_000, 0)
    monkeypatch.setattr(skgmm._starts, "_SAMPLE", 500)
    chunks = skgmm._threads.chunks
    monkeypatch.setattr(
        skgmm._threads,
        "chunks",
        lambda n_rows, means: (
            [slice(start, start + 1000) for start in range(0, n_rows, 1000)]
            if n_rows > 5000
            else chunks(n_rows, means)
        ),
    )
    ends = []

    def search():
        for _ in range(5):
            ends.append(fitted(X, [2], covariance_type="all"))

    thread = threading.Thread(target=search, daemon=True)
    thread.start()
    thread.join(timeout=120)
    assert len(ends) == 5


def test_after_an_interrupt_no_model_goes_on_for_long():
    X, _ = Truth.random(3, 3, 3, 0.5).sample(3000, 0)
    problems = _problems(X, np.ones(3000), 0.0, [FAMILIES["full"]], "auto", False)
    [problem] = problems.values()
    monitor = GridMonitor(GaussianMixtureIC(), None, None, None)
    monitor.begin(FAMILIES["full"], "K=2 full")
    single = problem.single_gaussian().mixture
    start = single.in_two(0.1 * np.ones((1, 3)), (1.5, 0.5))[0]
    options = {"tol": 0.0, "max_iter": 500, "accelerated": False, "monitor": monitor}
    assert em(problem, start, **options).n_iter > 100
    monitor.abandon()
    assert em(problem, start, **options).n_iter == 0


def test_an_interrupt_abandons_the_models_under_way(problem, monkeypatch):
    abandoned = []
    monkeypatch.setattr(GridMonitor, "abandon", lambda self: abandoned.append(self))
    fitted(problem.X, range(1, 9), covariance_type="full", criterion=Interrupt(4))
    assert len(abandoned) == 1


def test_grids_of_up_to_5000_rows_repeat():
    X, _ = Truth.random(3, 3, 3, 1.0).sample(4000, 0)
    one, other = (fitted(X, [3, 4], covariance_type=["VEI"]) for _ in range(2))
    np.testing.assert_array_equal(
        one.results_["criterion"], other.results_["criterion"]
    )


def test_models_that_somebody_follows_come_one_by_one(problem, monkeypatch, caplog):
    monkeypatch.setattr(skgmm.kernels, "WORK_OF_A_THREAD", 1.0)
    types = ["full", "tied", "diag"]
    search = fitted(problem.X, [2], covariance_type=types, verbose=1)
    assert [text.split()[1] for text in caplog.messages[::2]] == [
        f"{t}," for t in types
    ]
    unseen = fitted(problem.X, [2], covariance_type=types)
    np.testing.assert_array_equal(unseen.means_, search.means_)


# ---- while it runs --------------------------------------------------------
class Interrupt:
    """A criterion that interrupts at the n-th model."""

    def __init__(self, at):
        self.left = at

    def __call__(self, mixture, X, sample_weight):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return mixture.bic(X)


def test_an_interrupt_keeps_what_is_done(problem):
    search = GaussianMixtureIC(
        range(1, 9), covariance_type="full", criterion=Interrupt(4)
    )
    match = "interrupted after 3 models; the best"
    with pytest.warns(ConvergenceWarning, match=match) as caught:
        search.fit(problem.X)
    assert caught[0].filename == __file__
    assert search.n_components_ == 3
    assert search.results_["n_components"].tolist() == [1, 2, 3]


def test_an_interrupt_of_the_first_model_changes_nothing(problem):
    search = GaussianMixtureIC([1, 2], covariance_type="full").fit(problem.X)
    means = search.means_
    search.set_params(criterion=Interrupt(1))
    with pytest.raises(KeyboardInterrupt):
        search.fit(problem.X)
    np.testing.assert_array_equal(search.means_, means)


def test_verbose_1_is_two_lines_a_model(problem, caplog):
    fitted(problem.X, [1, 3], covariance_type=["full", "tied"], verbose=1)
    texts = [r.getMessage() for r in caplog.records if r.levelno == logging.INFO]
    names = [text.partition(",")[0] for text in texts]
    models = ["K=1 full", "K=1 tied", "K=3 full", "K=3 tied"]
    assert names == [name for name in models for _ in range(2)]
    assert "converged after" in texts[0]
    assert "criterion" in texts[1]


def test_verbose_2_shows_iterations(problem, caplog):
    fitted(problem.X, 2, covariance_type="diag", verbose=2, verbose_interval=1)
    texts = [record.getMessage() for record in caplog.records]
    assert any("K=2 diag, iteration 1: objective" in text for text in texts)


class Recorder:
    """Notes the tasks and the scores of models; asks to stop after some of them."""

    def __init__(self, X, stop_at=None):
        self.X, self.stop_at, self.ended, self.scores = X, stop_at, [], []

    def setup(self, estimator, context):
        pass

    teardown = setup

    def on_fit_task_begin(self, estimator, context, **kwargs):
        assert context.parent is None or self.root is context.parent
        self.root = self.root or context

    root = None

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None, **kwargs):
        self.ended.append(context.task_name)
        if context.task_name == "model":
            self.scores.append(fitted_estimator.score(self.X))
        return len(self.scores) == self.stop_at


@pytest.fixture
def callbacks():
    return pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9")


@pytest.mark.usefixtures("callbacks")
def test_callbacks_see_every_model(problem):
    recorder = Recorder(problem.X)
    search = GaussianMixtureIC([1, 2]).set_callbacks(recorder).fit(problem.X)
    assert recorder.ended == ["model"] * (2 * len(NAMES)) + ["fit"]
    expected = search.results_["log_likelihood"] / len(problem.X)
    np.testing.assert_allclose(recorder.scores, expected, atol=1e-6)
    assert recorder.root.max_subtasks == 2 * len(NAMES)


@pytest.mark.usefixtures("callbacks")
def test_a_callback_may_stop_the_search(problem):
    recorder = Recorder(problem.X, stop_at=2)
    search = GaussianMixtureIC(covariance_type="full").set_callbacks(recorder)
    search.fit(problem.X)
    assert search.results_["n_components"].tolist() == [1, 2]
    assert search.n_components_ == 2


# ---- scikit-learn ---------------------------------------------------------
# Each family meets the checks in `test_families.py`.
@parametrize_with_checks(
    [
        GaussianMixtureIC(covariance_type="diag", n_swaps=0),
        GaussianMixtureIC(
            [1, 3], covariance_type=["tied", "VEI"], criterion="icl", n_swaps=0
        ),
        GaussianMixtureIC([1, 2], covariance_type="full", n_swaps=0, noise=True),
    ]
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:Features .* have one value only:UserWarning")
def test_sklearn_check(estimator, check):
    check(estimator)


def test_components_are_moved_on_a_larger_sample(monkeypatch):
    """On few rows other optima look as good: values would differ by hundreds."""
    monkeypatch.setattr(skgmm._starts, "_SAMPLE", 500)
    X, _ = Truth.random(1, 5, 4, 1.2).sample(20_000, 1)
    search = GaussianMixtureIC([4, 5], covariance_type="spherical")
    values = [
        clone(search).set_params(random_state=state).fit(X).criterion_
        for state in range(4)
    ]
    assert max(values) - min(values) < 1.0


def test_each_family_races_on_rows_of_its_own_source(problem):
    X = problem.X.copy()
    X[::7, 0] = np.nan
    families = [FAMILIES[name] for name in ("full", "diag", "spherical")]
    models = _problems(X, np.ones(len(X)), 0.0, families, "auto", False)
    starts = Starts(list(models.values()), 2, np.random.RandomState(0))
    for family, model in models.items():
        source = starts.field(model).problem.source  # all rows take part
        assert source is model.source
        assert source.form is family.form
