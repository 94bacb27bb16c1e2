"""Data sets from the files in which they are met, whoever packed them.

The package stands below ``common`` and knows nothing of the course: it reads, and it never writes.
"""
