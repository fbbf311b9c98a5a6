"""One file a way to go wrong: how it is found in a run's events, and a run that is broken so on purpose."""
