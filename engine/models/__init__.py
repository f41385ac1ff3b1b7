"""Models: detectors behind `base.Detector`, the runtimes that execute them, and the registry that finds them."""
