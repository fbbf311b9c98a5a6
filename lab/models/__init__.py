"""The catalogue of models: each file declares one `entry`; files that start with `_` hold what relatives share."""
