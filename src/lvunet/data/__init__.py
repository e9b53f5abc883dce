"""What models learn from and are scored on: public and own sets, splits without leaks, checks, phantoms."""
