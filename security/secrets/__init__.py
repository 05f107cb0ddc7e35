"""Secrets: where they are kept, how they are encrypted, and who has used them."""
