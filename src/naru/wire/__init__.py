"""The Engine API's JSON as frozen msgspec structs. Docker's field names occur in this folder and in `api/` only.

msgspec is imported here and nowhere else. Attribute names are ours (snake_case); `rename="pascal"` or `name=` gives Docker's.
Unknown fields are ignored; keys match in any letter case, as Go's decoder does (`decode.decode_object`).
"""
