"""Everything offline: importers, replay, training, evaluation and publishing of bundles."""

import os

# LightGBM's threads otherwise spin while they wait for one another: on a machine that does other
# work too, a fit of one minute then takes a quarter of an hour. Read when OpenMP is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
