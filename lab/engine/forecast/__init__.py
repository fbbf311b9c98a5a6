"""A step that nobody runs: recorded on tensors without memory, on a few blocks of the model. Needs torch, so it has a process of its own."""
