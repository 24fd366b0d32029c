"""The agents of a person: which they are and what they are called; and which agent providers are believed."""
