"""The supply-chain agent (SCA): plans purchases, and asks the market-analysis agent when it is told to."""
