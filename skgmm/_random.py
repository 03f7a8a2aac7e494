"""Random numbers."""

from numbers import Integral

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from sklearn.utils import check_random_state


class _Zeros(ISeedSequence):
    """Seeds a generator that is seeded once more at once."""

    def generate_state(self, n_words, dtype=np.uint32):
        return np.zeros(n_words, dtype)


def random_state(seed):
    """Return what `sklearn.utils.check_random_state` does, sooner for an integer.

    `numpy.random.RandomState` begins with random numbers of the system, which takes
    longer than some passes over a few hundred rows.
    """
    if not isinstance(seed, Integral):
        return check_random_state(seed)
    generator = np.random.RandomState(np.random.MT19937(_Zeros()))
    generator.seed(seed)
    return generator
