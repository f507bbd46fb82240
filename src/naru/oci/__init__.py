"""Values of the OCI specifications: digest, reference, descriptor, manifest, index, image config. No I/O here.

Received bytes are kept beside what was read from them, because a digest is of the bytes and not of our idea of them.
"""
