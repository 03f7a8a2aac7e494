"""Settings of the test suite."""

import os

from hypothesis import settings

settings.register_profile(
    "ci", deadline=None, derandomize=True, database=None, max_examples=30
)
# For a second run, as on the NumPy pass in CI.
settings.register_profile("few", settings.get_profile("ci"), max_examples=6)
# HYPOTHESIS_PROFILE=search looks for new counterexamples, at leisure.
settings.register_profile("search", deadline=None, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
