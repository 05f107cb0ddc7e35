"""How late New York flew in January 2013: reading, figures, charts and report, as plain functions."""
