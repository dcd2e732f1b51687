"""Backups: the rows of the database, and the files that they refer to, in a folder or a bucket."""
