"""The worked example: the supply-chain system of the walkthrough, one package a process.

Nothing outside `cli/demo.py` imports it.
"""
