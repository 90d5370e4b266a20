"""What happened: the canonical event, its vocabulary, codecs and validation."""
