"""Feature families. Each module owns its state fields, its `observe` and `describe`, its features."""
