"""The command tree: every verb's module and one-line summary, the groups, and the other names under which verbs are known.

A verb `network create` is the function `network_create` of its module, and its usage and flags are `HELP["network create"]`
there. Pure table: what is not here is not a command.
"""

from __future__ import annotations

# canonical name: (module in naru.cli, summary)
VERBS: dict[str, tuple[str, str]] = {
    "run": ("run", "Create and run a new container from an image"),
    "exec": ("execute", "Execute a command in a running container"),
    "ps": ("ps", "List containers"),
    "build": ("build", "Build an image from a Dockerfile"),
    "pull": ("transfer", "Download an image from a registry"),
    "push": ("transfer", "Upload an image to a registry"),
    "images": ("images", "List images"),
    "login": ("login", "Authenticate to a registry"),
    "logout": ("login", "Log out from a registry"),
    "search": ("search", "Search for images in a registry's index"),
    "version": ("version", "Show the versions of client and daemon"),
    "info": ("info", "Display system-wide information"),
    "attach": ("attach", "Attach local standard input, output, and error streams to a running container"),
    "commit": ("change", "Create a new image from a container's changes"),
    "cp": ("copy", "Copy files/folders between a container and the local filesystem"),
    "create": ("run", "Create a new container"),
    "diff": ("observe", "Inspect changes to files or directories on a container's filesystem"),
    "events": ("events", "Get real time events from the daemon"),
    "export": ("change", "Export a container's filesystem as a tar archive"),
    "history": ("images", "Show the history of an image"),
    "import": ("archive", "Import the contents from a tarball to create a filesystem image"),
    "inspect": ("inspect", "Return low-level information on containers, images, networks and volumes"),
    "kill": ("lifecycle", "Kill one or more running containers"),
    "load": ("archive", "Load an image from a tar archive or STDIN"),
    "logs": ("logs", "Fetch the logs of a container"),
    "pause": ("lifecycle", "Pause all processes within one or more containers"),
    "port": ("observe", "List port mappings or a specific mapping for the container"),
    "rename": ("change", "Rename a container"),
    "restart": ("lifecycle", "Restart one or more containers"),
    "rm": ("lifecycle", "Remove one or more containers"),
    "rmi": ("archive", "Remove one or more images"),
    "save": ("archive", "Save one or more images to a tar archive (streamed to STDOUT by default)"),
    "start": ("attach", "Start one or more stopped containers"),
    "stats": ("stats", "Display a live stream of containers' resource usage"),
    "stop": ("lifecycle", "Stop one or more running containers"),
    "tag": ("archive", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE"),
    "top": ("observe", "Display the running processes of a container"),
    "unpause": ("lifecycle", "Unpause all processes within one or more containers"),
    "update": ("change", "Update configuration of one or more containers"),
    "wait": ("lifecycle", "Block until one or more containers stop, then print their exit codes"),
    "builder prune": ("prune", "Remove build cache"),
    "container inspect": ("inspect", "Display detailed information on one or more containers"),
    "container prune": ("prune", "Remove all stopped containers"),
    "context create": ("contexts", "Create a context"),
    "context inspect": ("contexts", "Display detailed information on one or more contexts"),
    "context ls": ("contexts", "List contexts"),
    "context rm": ("contexts", "Remove one or more contexts"),
    "context show": ("contexts", "Print the name of the current context"),
    "context use": ("contexts", "Set the current context"),
    "image inspect": ("inspect", "Display detailed information on one or more images"),
    "image prune": ("prune", "Remove unused images"),
    "network connect": ("networks", "Connect a container to a network"),
    "network create": ("networks", "Create a network"),
    "network disconnect": ("networks", "Disconnect a container from a network"),
    "network inspect": ("inspect", "Display detailed information on one or more networks"),
    "network ls": ("networks", "List networks"),
    "network prune": ("prune", "Remove all unused networks"),
    "network rm": ("networks", "Remove one or more networks"),
    "registry serve": ("registry", "Run a registry for images on this host"),
    "system df": ("usage", "Show the daemon's disk usage"),
    "system dial-stdio": ("dialstdio", "Proxy the stdio stream to the daemon connection"),
    "system prune": ("prune", "Remove unused data"),
    "volume create": ("volumes", "Create a volume"),
    "volume inspect": ("inspect", "Display detailed information on one or more volumes"),
    "volume ls": ("volumes", "List volumes"),
    "volume prune": ("prune", "Remove unused local volumes"),
    "volume rm": ("volumes", "Remove one or more volumes"),
}

GROUPS: dict[str, str] = {
    "builder": "Manage builds",
    "container": "Manage containers",
    "context": "Manage contexts",
    "image": "Manage images",
    "network": "Manage networks",
    "registry": "Serve images",
    "system": "Manage the daemon",
    "volume": "Manage volumes",
}

COMMON = ("run", "exec", "ps", "build", "pull", "push", "images", "login", "logout", "search", "version", "info")
HIDDEN = frozenset({"system dial-stdio"})

_CONTAINER = "attach commit cp create diff exec export kill logs pause port rename restart rm run start stats stop top unpause update wait"

# another name: canonical name
ALIASES: dict[str, str] = {
    **{f"container {verb}": verb for verb in _CONTAINER.split()},
    **{f"image {verb}": verb for verb in ("build", "history", "import", "load", "pull", "push", "save", "tag")},
    "container ls": "ps",
    "container list": "ps",
    "container ps": "ps",
    "container remove": "rm",
    "builder build": "build",
    "image ls": "images",
    "image list": "images",
    "image rm": "rmi",
    "image remove": "rmi",
    "context list": "context ls",
    "context remove": "context rm",
    "network list": "network ls",
    "network remove": "network rm",
    "volume list": "volume ls",
    "volume remove": "volume rm",
    "system events": "events",
    "system info": "info",
}
