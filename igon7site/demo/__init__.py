"""The workflows shipped for looking around: real data, real work."""
