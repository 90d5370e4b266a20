"""From the newest bundle to the one that serves: the gate, the log, and the way back."""
