"""The release, as worker nodes report it."""

VERSION = "0.1.0"
