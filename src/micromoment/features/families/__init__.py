"""Feature families: each module owns its state fields, `observe`, `describe` and features."""
