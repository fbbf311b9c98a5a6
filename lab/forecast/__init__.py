"""Memory of a step foretold: what to trace, the process that traces, and what is made of it. No torch in here."""
