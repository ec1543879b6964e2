"""Groups of commands: `mercurios quarantine …`, `mercurios tenant …`."""
