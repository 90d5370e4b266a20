"""Models as pure functions of decision points and parameters."""
