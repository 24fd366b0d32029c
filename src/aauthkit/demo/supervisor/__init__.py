"""Starts, watches and stops the processes of the demo as one thing.

Knows processes, ports and logs; never a token or a protocol message.
"""
