"""Models: detectors behind `base.Detector`, the runtimes that execute them, and the registry that finds them."""

import os

# From 1.29 on ONNX Runtime's Linux builds send usage data and keep a database in the home folder unless told not to,
# before they are imported. Cameras are nobody else's business; ORT_DISABLE_TELEMETRY=0 in the environment allows it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
