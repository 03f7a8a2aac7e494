"""Information criteria: lower is better, as in scikit-learn."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Evidence:
    """What criteria look at.

    Attributes
    ----------
    log_likelihood : float
    n_parameters : int
    n_observations : float
        Sum of the weights of the rows.
    entropy : float
        Of the responsibilities, summed over the rows.
    single : float
        Log-likelihood of one component of the same family.
    """

    log_likelihood: float
    n_parameters: int
    n_observations: float
    entropy: float = np.nan
    single: float = np.nan


def aic(evidence):
    """Akaike (1974): ``-2 log L + 2 p``."""
    return -2 * evidence.log_likelihood + 2 * evidence.n_parameters


def aicc(evidence):
    """Hurvich and Tsai (1989): AIC with the correction for few rows; else infinite."""
    p, left = evidence.n_parameters, evidence.n_observations - evidence.n_parameters - 1
    return aic(evidence) + 2 * p * (p + 1) / left if left > 0 else np.inf


def bic(evidence):
    """Schwarz (1978): ``-2 log L + p log n``."""
    penalty = evidence.n_parameters * float(np.log(evidence.n_observations))
    return -2 * evidence.log_likelihood + penalty


def icl(evidence):
    """Biernacki, Celeux and Govaert (2000): BIC plus twice the entropy."""
    return bic(evidence) + 2 * evidence.entropy


def nec(evidence):
    """Normalised entropy: ``entropy / (log L_K - log L_1)``, and 1 for one component.

    Celeux and Soromenho (1996); that of one component by Biernacki et al. (1999).
    """
    if evidence.single == evidence.log_likelihood and evidence.entropy == 0:
        return 1.0
    gain = evidence.log_likelihood - evidence.single
    return evidence.entropy / gain if gain > 0 else np.inf


CRITERIA = {f.__name__: f for f in (aic, aicc, bic, icl, nec)}
NEED_ENTROPY = {icl, nec}
