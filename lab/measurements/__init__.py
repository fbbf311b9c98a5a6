"""One file a measurement: a claim that no training run answers, settled by a small computation on real weights."""
