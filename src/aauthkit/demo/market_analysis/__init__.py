"""The market-analysis agent (MAA): demand and inventory analysis from what the tools answer."""
