"""The example's reference data: the files in this folder and the one validated way to read them (`reference`)."""
