"""Blobs by digest: an OCI image layout on disk, readable by skopeo, crane and umoci as it is."""
