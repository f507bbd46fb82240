from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from naru.errors import Conflict
from naru.oci.digest import Digest
from naru.oci.image import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Descriptor, Manifest, dump_json
from naru.registry.errors import Refusal
from naru.registry.storage import Storage


def put(
    storage: Storage, repository: str, data: bytes, digest: Digest | None = None, hashed_as: str = "sha256"
) -> Digest:
    digest = digest or Digest.of(data)
    with storage.content.ingest(hashed_as) as ingest:
        ingest.write(data)
        storage.commit(repository, ingest, hashed_as, digest)
    return digest


def image(
    storage: Storage, repository: str, tag: str, layer: bytes = b"layer", subject: Digest | None = None
) -> Digest:
    config = Descriptor(OCI_CONFIG, put(storage, repository, b"{}"), 2)
    manifest = Manifest.build(config, (Descriptor(OCI_LAYER, put(storage, repository, layer), len(layer)),))
    return storage.put_manifest(repository, tag, OCI_MANIFEST, manifest.raw).digest


def refused(code: str) -> pytest.RaisesExc[Refusal]:
    return pytest.RaisesExc(Refusal, check=lambda error: error.code == code)


def test_a_blob_is_readable_only_where_it_is_linked(storage: Storage) -> None:
    digest = put(storage, "a", b"data")
    assert Path(storage.blob_path("a", digest)).read_bytes() == b"data"
    with refused("BLOB_UNKNOWN"):
        storage.blob_path("b", digest)
    assert not storage.mount("b", digest, "c") and storage.mount("b", digest, "a")
    storage.delete_blob("a", digest)
    with refused("BLOB_UNKNOWN"):
        storage.blob_path("a", digest)
    assert os.path.exists(storage.blob_path("b", digest))
    storage.delete_blob("b", digest)
    assert list(storage.content.walk()) == []
    with refused("BLOB_UNKNOWN"):
        storage.delete_blob("b", digest)


def test_wrong_bytes_are_refused_and_leave_nothing(storage: Storage) -> None:
    with refused("DIGEST_INVALID"):
        put(storage, "a", b"data", Digest.of(b"other"))
    assert list(storage.content.walk()) == [] and os.listdir(storage.content.ingest_dir) == []
    assert not storage.records.has_repository("a")


def test_a_digest_of_another_algorithm_than_the_upload_began_with(storage: Storage) -> None:
    import hashlib

    digest = Digest("sha512:" + hashlib.sha512(b"data").hexdigest())
    put(storage, "a", b"data", digest)
    assert list(storage.content.walk()) == [digest]
    with refused("DIGEST_INVALID"):
        put(storage, "a", b"other", digest)
    assert list(storage.content.walk()) == [digest]


def test_manifests_keep_their_bytes_and_tags_move(storage: Storage) -> None:
    first, second = image(storage, "a", "latest"), image(storage, "a", "latest", b"layer 2")
    assert storage.manifest("a", "latest").digest == second
    assert Digest.of(storage.read_manifest(storage.manifest("a", first))) == first
    with refused("MANIFEST_UNKNOWN"):
        storage.manifest("a", "nope")
    with refused("NAME_UNKNOWN"):
        storage.manifest("b", first)
    storage.delete_manifest("a", second)
    with refused("MANIFEST_UNKNOWN"):
        storage.manifest("a", "latest")
    assert storage.records.tags("a", "", 10) == []


def test_a_tag_is_deleted_without_its_manifest(storage: Storage) -> None:
    digest = image(storage, "a", "one")
    storage.put_manifest("a", "two", OCI_MANIFEST, storage.read_manifest(storage.manifest("a", digest)))
    storage.delete_manifest("a", "one")
    assert storage.records.tags("a", "", 10) == ["two"] and storage.manifest("a", digest)
    with refused("MANIFEST_UNKNOWN"):
        storage.delete_manifest("a", "one")


@pytest.mark.parametrize(
    ("media_type", "raw", "code"),
    [
        (OCI_MANIFEST, b"not json", "MANIFEST_INVALID"),
        (OCI_MANIFEST, b"[" * 100_000, "MANIFEST_INVALID"),
        (OCI_MANIFEST, b'{"mediaType":"other","config":{},"layers":[]}', "MANIFEST_INVALID"),
        ("text/plain", b"{}", "MANIFEST_INVALID"),
        (OCI_MANIFEST, Manifest.build(Descriptor(OCI_CONFIG, Digest.of(b"?"), 1), ()).raw, "MANIFEST_BLOB_UNKNOWN"),
    ],
)  # fmt: skip
def test_bad_manifests_are_refused(storage: Storage, media_type: str, raw: bytes, code: str) -> None:
    with refused(code):
        storage.put_manifest("a", "latest", media_type, raw)
    assert list(storage.content.walk()) == [] and not storage.records.has_repository("a")


def test_referrers(storage: Storage) -> None:
    subject = image(storage, "a", "latest")
    config = Descriptor(OCI_CONFIG, Digest.of(b"{}"), 2)
    for number in range(5):
        document = {
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config.to_json(), "layers": [],
            "artifactType": f"x/{number % 2}", "annotations": {"n": str(number)},
            "subject": Descriptor(OCI_MANIFEST, subject, 1).to_json(),
        }  # fmt: skip
        raw = dump_json(document)
        storage.put_manifest("a", Digest.of(raw), OCI_MANIFEST, raw)
    everything, following = storage.referrers("a", subject, None, "", 100)
    assert len(everything["manifests"]) == 5 and not following
    filtered, _ = storage.referrers("a", subject, "x/1", "", 100)
    assert sorted(m["annotations"]["n"] for m in filtered["manifests"]) == ["1", "3"]
    page, following = storage.referrers("a", subject, None, "", 3)
    rest, end = storage.referrers("a", subject, None, following, 3)
    assert page["manifests"] + rest["manifests"] == everything["manifests"] and not end
    assert storage.referrers("nobody", subject, None, "", 3)[0]["manifests"] == []


def test_what_a_crash_left_is_swept_and_what_is_recorded_stays(tmp_path: Path) -> None:
    root = str(tmp_path)
    with Storage(root) as storage:
        kept = image(storage, "a", "latest")
        storage.content.put(b"committed, but never linked")
        blobs = len(list(storage.content.walk()))
    with Storage(root) as storage:
        assert len(list(storage.content.walk())) == blobs - 1
        assert storage.manifest("a", "latest").digest == kept


def test_a_second_registry_on_the_same_root_is_refused(storage: Storage) -> None:
    root = os.path.dirname(storage.content.root)
    script = f"import naru.registry.storage as s; s.Storage({root!r})"
    second = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert second.returncode == 1 and f"in use by another registry (pid {os.getpid()})" in second.stderr
    with pytest.raises(Conflict):
        Storage(root)


def test_committing_and_deleting_the_same_blob_at_once_never_leaves_a_link_without_bytes(storage: Storage) -> None:
    digest = Digest.of(b"contended")

    def work(number: int) -> None:
        repository = f"r{number}"
        for _ in range(20):
            put(storage, repository, b"contended")
            assert os.path.exists(storage.blob_path(repository, digest))
            storage.delete_blob(repository, digest)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert list(storage.content.walk()) == []
