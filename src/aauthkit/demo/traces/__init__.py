"""Where the demo's spans arrive: kept for the runs somebody follows, drawn as a sequence, passed on if asked."""
