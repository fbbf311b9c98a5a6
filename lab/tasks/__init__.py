"""The catalogue of tasks: each file declares one `entry`; files that start with `_` hold what relatives share."""
