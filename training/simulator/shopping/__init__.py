"""How shoppers behave: compiled code over records, the one definition of a visit's course."""
