"""What it means: the session reducer, its feature families and their catalogue."""
