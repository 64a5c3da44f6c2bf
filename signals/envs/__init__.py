"""Gymnasium environments; importing `signals` registers them when Gymnasium is installed."""
