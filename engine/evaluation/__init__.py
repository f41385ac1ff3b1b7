"""How good results are, measured against ground truth: what `engine-eval` prints."""
