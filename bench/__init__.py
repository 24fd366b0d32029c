"""Measurements, each beside the raw primitive in the same run; no test reads them (DESIGN §8)."""
