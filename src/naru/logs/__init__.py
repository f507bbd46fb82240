"""What containers print: conmon writes it, this folder reads it, keeps it small, and ships it to log servers.

It knows containers only by id, directory and what `values.Source` says of them.
"""
