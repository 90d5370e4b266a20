"""Where things are kept: sessions, users' features, bundles, events outside a visit."""
