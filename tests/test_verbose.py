"""The lines of verbose=1 and 2: what they say, and where they go."""

import logging
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from skgmm import GaussianMixture

X = np.random.default_rng(0).normal(size=(200, 2))

LINE = re.compile(
    r"start (?P<start>\d+) of (?P<of>\d+), "
    r"(?P<what>iteration (?P<iteration>\d+)|converged after (?P<total>\d+) iterations"
    r"|stopped after (?P<stopped>\d+) iterations): "
    r"objective (?P<objective>-?[\d.]+(e[-+]\d+)?)"
    r"(, change (?P<change>-?\d\.\d\de[-+]\d+))?, "
    r"(?P<seconds>\d+\.\d{3}) s"
)


def fit(**parameters):
    parameters = {"random_state": 0, "init_params": "random_from_data"} | parameters
    return GaussianMixture(2, **parameters).fit(X)


def matches(texts):
    found = [LINE.fullmatch(text) for text in texts]
    assert all(found), texts
    return found


def logged(caplog, **parameters):
    caplog.clear()
    mixture = fit(**parameters)
    return mixture, matches(record.getMessage() for record in caplog.records)


def test_every_iteration_at_verbose_2(caplog):
    mixture, lines = logged(caplog, verbose=2)
    *iterations, last = lines
    assert [int(m["iteration"]) for m in iterations] == list(range(mixture.n_iter_ + 1))
    assert int(last["total"]) == mixture.n_iter_
    objectives = [float(m["objective"]) for m in iterations]
    np.testing.assert_allclose(objectives[1:], mixture.lower_bounds_, rtol=1e-7)
    assert float(last["objective"]) == pytest.approx(mixture.lower_bound_, rel=1e-7)


def test_changes_are_those_since_the_line_before(caplog):
    mixture, lines = logged(caplog, verbose=2)
    iterations = lines[:-1]
    assert iterations[0]["change"] is None
    changes = [float(m["change"]) for m in iterations[2:]]
    expected = np.diff(mixture.lower_bounds_)
    np.testing.assert_allclose(changes, expected, rtol=6e-3, atol=1e-15)


def test_seconds_do_not_run_backwards(caplog):
    _, lines = logged(caplog, verbose=2)
    seconds = [float(m["seconds"]) for m in lines]
    assert seconds == sorted(seconds)
    assert 0 <= seconds[-1] < 60


@pytest.mark.parametrize("interval", [1, 3, 10])
def test_each_interval_at_verbose_1(caplog, interval):
    mixture, lines = logged(caplog, verbose=1, verbose_interval=interval)
    *iterations, last = lines
    expected = list(range(0, mixture.n_iter_ + 1, interval))
    assert [int(m["iteration"]) for m in iterations] == expected
    assert int(last["total"]) == mixture.n_iter_


def test_starts_are_numbered(caplog):
    _, lines = logged(caplog, verbose=1, n_init=3)
    assert {m["of"] for m in lines} == {"3"}
    ends = [m["start"] for m in lines if m["total"]]
    assert ends == ["1", "2", "3"]


@pytest.mark.filterwarnings(
    "ignore:The best start did:sklearn.exceptions.ConvergenceWarning"
)
def test_a_run_that_did_not_converge_says_so(caplog):
    _, lines = logged(caplog, verbose=1, max_iter=2, tol=0)
    assert lines[-1]["stopped"] == "2"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_start_that_fails_says_so(caplog):
    rows = np.r_[X[:40], np.zeros((6, 2))]
    for seed in range(20):
        caplog.clear()
        try:
            GaussianMixture(
                4,
                reg_covar=0,
                init_params="random_from_data",
                n_init=5,
                random_state=seed,
                verbose=1,
            ).fit(rows)
        except ValueError:
            continue
        texts = [r.getMessage() for r in caplog.records]
        failed = [text for text in texts if "failed" in text]
        if failed:
            pattern = r"start \d of 5, failed: .*component \d.*, \d+\.\d{3} s"
            assert re.fullmatch(pattern, failed[0])
            return
    pytest.fail("the data do not test what they should")


def test_one_component_has_an_end_too(caplog):
    GaussianMixture(1, verbose=2).fit(X)
    texts = [r.getMessage() for r in caplog.records]
    [line] = matches(texts)
    assert line["total"] == "1"


@pytest.mark.parametrize("verbose", [0, False])
def test_nothing_at_verbose_0(caplog, capsys, verbose):
    caplog.set_level(logging.DEBUG)
    fit(verbose=verbose)
    assert caplog.records == []
    assert capsys.readouterr() == ("", "")


def test_lines_go_to_the_users_logging(caplog, capsys):
    _, lines = logged(caplog, verbose=1)
    assert lines
    assert {r.name for r in caplog.records} == {"skgmm"}
    assert {r.levelno for r in caplog.records} == {logging.INFO}
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("level", [logging.NOTSET, logging.WARNING])
@pytest.mark.parametrize("fails", [False, True])
def test_logging_is_put_back(level, fails):
    logger = logging.getLogger("skgmm")
    old = logger.level
    logger.setLevel(level)
    try:
        before = logger.handlers.copy(), logger.propagate
        if fails:
            with pytest.raises(ValueError, match="n_samples >= n_components"):
                GaussianMixture(300, verbose=2).fit(X)
        else:
            fit(verbose=2)
        assert (logger.handlers, logger.propagate) == before
        assert logger.level == level
    finally:
        logger.setLevel(old)


# ---- without logging set up ----
def run(code):
    """Run code in a Python of its own: pytest's has handlers on the root logger."""
    head = """
        import logging
        import numpy as np
        from skgmm import GaussianMixture

        X = np.random.default_rng(0).normal(size=(200, 2))
        options = dict(random_state=0, init_params="random_from_data")
    """
    script = textwrap.dedent(head) + textwrap.dedent(code)
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines(), done.stderr.splitlines()


def test_lines_go_to_standard_output_if_logging_is_not_set_up():
    out, err = run("GaussianMixture(2, verbose=1, **options).fit(X)")
    assert err == []
    lines = matches(line.removeprefix("[skgmm] ") for line in out)
    assert all(line.startswith("[skgmm] ") for line in out)
    assert lines[0]["iteration"] == "0"
    assert lines[-1]["total"]


def test_nothing_is_printed_by_default():
    assert run("GaussianMixture(2, **options).fit(X)") == ([], [])


def test_the_second_fit_prints_once_and_a_third_in_silence_not_at_all():
    code = """
        mixture = GaussianMixture(2, verbose=1, verbose_interval=1000, **options)
        mixture.fit(X)
        print("again")
        mixture.fit(X)
        print("silent")
        mixture.set_params(verbose=0).fit(X)
        logger = logging.getLogger("skgmm")
        print(logger.handlers, logger.level, logging.getLogger().handlers)
    """
    out, err = run(code)
    assert err == []
    again, silent = out.index("again"), out.index("silent")
    assert again == silent - again - 1 == 2  # the first and the last of each
    assert out[silent + 1 :] == ["[] 0 []"]


def test_standard_output_may_be_redirected():
    code = """
        import contextlib, io
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            GaussianMixture(2, verbose=1, **options).fit(X)
        assert "objective" in text.getvalue()
    """
    assert run(code) == ([], [])


def test_logging_that_is_set_up_is_used_and_its_format_kept():
    code = """
        import sys
        logging.basicConfig(level="INFO", stream=sys.stderr, format="@%(message)s")
        GaussianMixture(2, verbose=1, **options).fit(X)
    """
    out, err = run(code)
    assert out == []
    assert err
    matches(line.removeprefix("@") for line in err)


def test_lines_asked_for_come_even_where_the_root_is_at_warning():
    # basicConfig() leaves the root at WARNING; verbose=1 is the user's word.
    code = """
        logging.basicConfig()
        GaussianMixture(2, verbose=1, **options).fit(X)
    """
    out, err = run(code)
    assert out == []
    assert any("objective" in line for line in err)
