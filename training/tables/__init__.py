"""Tables that are learned from data and travel in the bundle."""
