"""The services of the engine as one value, for those who serve them: nothing here decides, and nothing below knows it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from naru.containers.checkpoints import Checkpoints
from naru.containers.commits import Commits
from naru.containers.execs import Execs
from naru.containers.files import Files
from naru.containers.health import Health
from naru.containers.logkeeping import LogKeeping
from naru.containers.networking import Networking
from naru.containers.owner import Owner
from naru.containers.processes import Processes
from naru.containers.records import Container
from naru.containers.service import Containers
from naru.containers.surroundings import Surroundings
from naru.errors import NaruError
from naru.events import Bus
from naru.images.service import Images
from naru.images.unpack import chains_of
from naru.images.values import Image
from naru.linux.host import Host
from naru.networks.service import Networks
from naru.remote.client import RegistryClient
from naru.volumes.service import Volumes


@dataclass(frozen=True, slots=True)
class Engine:
    around: Surroundings
    containers: Containers
    execs: Execs
    processes: Processes
    files: Files
    commits: Commits
    checkpoints: Checkpoints
    logs: LogKeeping
    images: Images
    networks: Networks
    volumes: Volumes
    registry: RegistryClient
    bus: Bus

    @property
    def host(self) -> Host:
        return self.around.host

    @property
    def networking(self) -> Networking:
        return self.around.networking

    def has(self, owner: Owner) -> bool:
        return owner.record.id in self.around.owners

    def directory(self, id: str) -> str:
        return self.around.directory(id)

    def log_path(self, record: Container) -> str:
        """As inspect shows it: only `json-file` has one."""
        return self.around.log_path(record) or "" if record.host.log_config.type == "json-file" else ""

    def sizes(self, record: Container) -> tuple[int, int]:
        """(own bytes, bytes with the image); walks the container's files."""
        return self.files.sizes(record)

    def health(self, record: Container) -> Health | None:
        """What is known of its health; None if it was never checked."""
        owner = self.around.owners.get(record.id)
        return owner.health if owner is not None else None

    def shown_image(self, record: Container) -> str:
        """The image as lists show it: the name it was made from while that still means the same, else the id."""
        try:
            same = str(self.images.resolve(record.config.image).id) == record.image_id
        except NaruError:
            same = False
        return record.config.image if same or not record.image_id else record.image_id

    def image_bytes(self) -> tuple[int, dict[str, int]]:
        """(what all images take on disk, shared layers counted once; by image id, the bytes that another image has too)."""
        images, snapshots = self.images.list(), self.around.snapshots
        pieces: dict[str, dict[tuple[str, str], int]] = {}
        for image in images:
            held = {("blob", str(layer.digest)): layer.size for layer in image.manifest.layers}
            for chain in chains_of(image.manifest, image.config):
                if snapshots.has(chain):
                    held["layer", str(chain)] = snapshots.usage_bytes(chain)
            pieces[str(image.id)] = held
        users = Counter(piece for held in pieces.values() for piece in held)
        sizes = {piece: size for held in pieces.values() for piece, size in held.items()}
        total = sum(sum(self.images.size_bytes(image)) for image in images)
        twice = sum((count - 1) * sizes[piece] for piece, count in users.items())
        shared = {id: sum(size for piece, size in held.items() if users[piece] > 1) for id, held in pieces.items()}
        return total - twice, shared

    def users_of(self, image: Image) -> list[str]:
        return [owner.record.id for owner in self.around.owners.values() if owner.record.image_id == str(image.id)]

    def count_users(self, image: Image) -> int:
        return len(self.users_of(image))
