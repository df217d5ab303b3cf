"""Loggers: the figures of a training in the store of another tool, by name; each needs an extra of the same name."""

from nelbo.train.loggers.logger import Logger, open_loggers, require

__all__ = ["Logger", "open_loggers", "require"]
