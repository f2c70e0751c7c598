"""The message classes, generated from `services/proto` when the package is installed."""
