"""Results kept for equal executions: the stores, the book of entries, and who computes what others wait for."""
