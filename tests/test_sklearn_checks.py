"""Life within scikit-learn: its checks, pipelines, searches, metadata, callbacks."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from strategies import TYPES, case, fitted

from skgmm import GaussianMixture


@parametrize_with_checks(
    [
        GaussianMixture(k, covariance_type=covariance_type)
        for covariance_type in TYPES
        for k in (1, 3)
    ]
)
# Data of the checks have constant features, few rows, and one or two iterations.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:Features .* have one value only:UserWarning")
def test_sklearn_check(estimator, check):
    check(estimator)


@pytest.fixture
def problem():
    return case(1, 3, 2, distance=8.0)


def test_pipeline_and_grid_search_find_the_number_of_components(problem):
    pipeline = make_pipeline(StandardScaler(), GaussianMixture(random_state=0))
    # Where all components are far apart the held-out likelihood jumps at three.
    grid = {"gaussianmixture__n_components": [1, 2, 3]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(problem.X)
    assert search.best_params_ == {"gaussianmixture__n_components": 3}
    mixture = search.best_estimator_[-1]
    Z = search.best_estimator_[0].transform(problem.X)
    assert search.score(problem.X) == pytest.approx(mixture.score(Z))
    np.testing.assert_array_equal(search.predict(problem.X), mixture.predict(Z))


# ---- metadata -------------------------------------------------------------
@pytest.fixture
def routing():
    with config_context(enable_metadata_routing=True):
        yield


@pytest.fixture
def sample_weight(problem):
    return np.random.default_rng(1).integers(0, 3, len(problem.X))


@pytest.mark.usefixtures("routing")
def test_weights_reach_the_end_of_a_pipeline(problem, sample_weight):
    last = GaussianMixture(3).set_fit_request(sample_weight=True)
    last.set_score_request(sample_weight=True)
    scaler = StandardScaler().set_fit_request(sample_weight=True)
    pipeline = make_pipeline(scaler, last)
    pipeline.fit(problem.X, sample_weight=sample_weight)

    Z = pipeline[0].transform(problem.X)
    alone = GaussianMixture(3).fit(Z, sample_weight=sample_weight)
    np.testing.assert_array_equal(pipeline[-1].means_, alone.means_)
    score = pipeline.score(problem.X, sample_weight=sample_weight)
    assert score == alone.score(Z, sample_weight=sample_weight)


@pytest.mark.usefixtures("routing")
def test_weights_reach_the_folds_of_a_search(problem, sample_weight):
    mixture = GaussianMixture().set_fit_request(sample_weight=True)
    mixture.set_score_request(sample_weight=True)
    halves = np.arange(len(problem.X)) % 2 == 0
    cv = [(np.flatnonzero(halves), np.flatnonzero(~halves))]
    search = GridSearchCV(mixture, {"n_components": [2, 3]}, cv=cv)
    search.fit(problem.X, sample_weight=sample_weight)
    for n_components, score in zip(
        [2, 3], search.cv_results_["split0_test_score"], strict=True
    ):
        X, W = problem.X, sample_weight
        alone = GaussianMixture(n_components).fit(X[halves], sample_weight=W[halves])
        assert score == alone.score(X[~halves], sample_weight=W[~halves])


@pytest.mark.usefixtures("routing")
def test_weights_that_nobody_asked_for_are_an_error(problem, sample_weight):
    search = GridSearchCV(GaussianMixture(), {"n_components": [2]}, cv=2)
    with pytest.raises(ValueError, match="sample_weight"):
        search.fit(problem.X, sample_weight=sample_weight)


# ---- names and pictures ---------------------------------------------------
def test_feature_names(problem):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(problem.X, columns=["length", "width"])
    mixture = fitted(frame, 3)
    assert mixture.feature_names_in_.tolist() == ["length", "width"]
    with pytest.raises(ValueError, match="feature names"):
        mixture.predict(frame[["width", "length"]])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        mixture.predict(problem.X)
    again = mixture.fit(problem.X)
    assert not hasattr(again, "feature_names_in_")


def test_html_shows_the_parameters(problem):
    mixture = GaussianMixture(3)
    for html in (mixture._repr_html_(), fitted(problem.X, 3)._repr_html_()):
        assert "GaussianMixture" in html
        assert "n_components" in html


# ---- callbacks ------------------------------------------------------------
callback = pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9")


class Recorder:
    """Notes the tasks, with the state at the end; asks to stop if told to."""

    def __init__(self, X=None, stop_at=None):
        self.X, self.stop_at = X, stop_at
        self.begun, self.ended, self.scores = [], [], []

    def setup(self, estimator, context):
        self.begun.append("setup")

    def teardown(self, estimator, context):
        self.ended.append("teardown")

    def on_fit_task_begin(self, estimator, context, **kwargs):
        self.begun.append(context.task_name)

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None, **kwargs):
        self.ended.append(context.task_name)
        if context.task_name != "iteration":
            return None
        if self.X is not None:
            self.scores.append(fitted_estimator.score(self.X))
        return self.ended.count("iteration") == self.stop_at


@pytest.fixture
def slow():
    """Rows of components that overlap: a fit takes many iterations."""
    return case(1, 3, 2, distance=1.5).X


def with_callback(recorder, **parameters):
    parameters |= {"reg_covar": 0.0, "tol": 1e-9}
    return GaussianMixture(3, **parameters).set_callbacks(recorder)


def test_a_callback_sees_every_iteration(slow):
    recorder = Recorder(slow)
    assert isinstance(recorder, callback.FitCallback)
    mixture = with_callback(recorder, init_params="bisect").fit(slow)
    assert recorder.ended.count("iteration") == mixture.n_iter_ > 2
    assert recorder.begun.count("iteration") == mixture.n_iter_
    # The estimators that it is shown have the scores of the history.
    np.testing.assert_allclose(recorder.scores, mixture.lower_bounds_, rtol=1e-12)
    assert recorder.ended[-1] == "teardown"


def test_a_callback_sees_every_start(slow):
    recorder = Recorder()
    with_callback(recorder, n_init=3, random_state=0).fit(slow)
    assert recorder.begun.count("start") == recorder.ended.count("start") == 3
    assert recorder.begun[:3] == ["setup", "fit", "start"]  # progress bars need a root
    assert recorder.ended[-2:] == ["fit", "teardown"]


def test_a_callback_may_stop_the_fit(slow):
    # Without a warning: stopping was asked for.
    mixture = with_callback(Recorder(stop_at=2), init_params="bisect").fit(slow)
    assert mixture.n_iter_ == len(mixture.lower_bounds_) == 2
    assert not mixture.converged_


def test_a_callback_changes_nothing(slow):
    watched = with_callback(Recorder(slow)).fit(slow)
    alone = GaussianMixture(3, reg_covar=0.0, tol=1e-9).fit(slow)
    np.testing.assert_array_equal(watched.means_, alone.means_)
    assert watched.lower_bounds_ == alone.lower_bounds_
