"""The token endpoints: who asks, what they brought with them, whether it can be granted at once, and the token made."""
