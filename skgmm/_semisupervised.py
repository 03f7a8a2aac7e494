"""EM for a mixture per class where some rows have no label."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logsumexp

from ._em import has_converged
from ._frame import Frame
from ._missing import HolesSource
from ._sources import ArraySource
from .kernels import has_holes


@dataclass(frozen=True, eq=False)
class ClassModel:
    """A mixture for each class, and how probable the classes are.

    Attributes
    ----------
    mixtures : list of Mixture
    priors : ndarray of shape (C,)
    """

    mixtures: list
    priors: np.ndarray

    def log_joint(self, rows):
        """Return ``log(prior_c p_c(x))`` of rows, shape (n, C)."""
        with np.errstate(divide="ignore"):
            log_priors = np.log(self.priors)
        densities = [mixture.log_density(rows) for mixture in self.mixtures]
        return np.column_stack(densities) + log_priors


@dataclass(frozen=True, eq=False)
class PartlyLabelled:
    """Rows of which some have a class; the likelihood is of both kinds of rows.

    A row without a class counts in each class by its posterior probability there; the
    step of each class is then an ordinary one of EM, on weighted rows (Miller and
    Uyar 1997, Advances in Neural Information Processing Systems 9).

    Attributes
    ----------
    rows : list of ndarray (n_c, D)
        The rows of each class, in coordinates of size one.
    weights : list of ndarray (n_c,)
    unknown : ndarray of shape (m, D)
        Rows without a class.
    unknown_weight : ndarray of shape (m,)
    families : list of Family
    regularisation : PseudoObservations or Ridge
    frame : Frame
    fixed_priors : bool
    """

    rows: list
    weights: list
    unknown: np.ndarray
    unknown_weight: np.ndarray
    families: list
    regularisation: object
    frame: Frame
    fixed_priors: bool

    def climb(self, model, tol, max_iter):
        """Return the model that EM comes to, its objectives, and whether it converged.

        The first objective is that of the start.
        """
        history = []
        for _ in range(max_iter + 1):
            joint = model.log_joint(self.unknown)
            history.append(self.objective(model, joint))
            # The first is of another start, and says nothing of the rate.
            if has_converged(history[1:][-4:], tol):
                return model, history, True
            if len(history) <= max_iter:
                model = self._step(model, joint)
        return model, history, False

    def objective(self, model, joint):
        """Return the penalised log-likelihood of an observation."""
        total = self.unknown_weight @ logsumexp(joint, axis=1)
        parts = zip(self.rows, self.weights, model.mixtures, model.priors, strict=True)
        for rows, weight, mixture, prior in parts:
            total += weight @ (mixture.log_density(rows) + np.log(prior))
            total += self.regularisation.log_penalty(mixture)
        return float(total / self._total)

    @property
    def _total(self):
        return sum(w.sum() for w in self.weights) + self.unknown_weight.sum()

    def _step(self, model, joint):
        """Return the model after a step of EM."""
        posterior = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
        shares = posterior * self.unknown_weight[:, np.newaxis]
        mixtures = [
            self._maximised(model, c, share) for c, share in enumerate(shares.T)
        ]
        if self.fixed_priors:
            return ClassModel(mixtures, model.priors)
        counts = np.array([weight.sum() for weight in self.weights]) + shares.sum(
            axis=0
        )
        return ClassModel(mixtures, counts / counts.sum())

    def _maximised(self, model, c, share):
        """Return the mixture of a class, given the shares of rows without a class."""
        present = share > 0
        rows = np.concatenate([self.rows[c], self.unknown[present]])
        weight = np.concatenate([self.weights[c], share[present]])
        previous = model.mixtures[c]
        statistics = self._source(rows, weight, c).statistics(previous)
        return self.families[c].maximise(statistics, self.regularisation, previous)

    def _source(self, rows, weight, c):
        """Return the source of rows, without those of which nothing was observed."""
        if not has_holes(rows):
            return ArraySource(rows, weight, self.frame)
        seen = ~np.isnan(rows).all(axis=1)
        return HolesSource(rows[seen], weight[seen], self.frame, self.families[c].form)


def in_itself(frame):
    """Return the frame as it looks in its own coordinates."""
    zero, one = np.zeros_like(frame.centre), np.ones_like(frame.scale)
    return replace(frame, centre=zero, scale=one, deviation=frame.unit_deviations)
