"""One adapter a competitor.

An adapter is a module with ``name``, ``version()``, ``supports(problem)`` and
``start(problem)``, which returns an object with ``step()``, one EM iteration, and
``parameters()``: weights, means, covariances.
"""
