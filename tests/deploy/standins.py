"""Stand-ins for base images, made of Debian's packages, for machines from which no registry of images is reached.

    python -m tests.deploy.standins            build what is missing, then the image of the project

They bear the names that the Dockerfile and docker-compose.yml ask for, so that these run here as they are. What is
inside comes from Debian and is older or newer than the real thing: a stand-in shows that our files work together, not
that they work with exactly that version. Where the real image is present already, it is used and nothing is made.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent.parent
IMAGE: Final = "localhost/placelibre:test"
PACKAGES: Final = ("podman", "buildah", "runc", "debootstrap", "netavark", "aardvark-dns")
PYTHON_PACKAGES: Final = ("python3", "python3-distutils", "python3.11-venv", "ca-certificates", "netbase", "tzdata")
"""debootstrap follows no virtual packages, so one of them is named here by the package that provides it."""
LEFT_OUT: Final = ("./var/cache/apt/*", "./var/lib/apt/lists/*", "./usr/share/doc/*", "./usr/share/locale/*", "./dev/*")
NOBODY: Final = "65534"
COMMANDS: Final = {
    # Debian's package, and its programs: there, and in the upstream image, whose entry point is the first.
    "prometheus": ("prometheus", {"prometheus": "prometheus", "promtool": "promtool"}),
    "alertmanager": ("prometheus-alertmanager", {"prometheus-alertmanager": "alertmanager", "amtool": "amtool"}),
}


def base_name() -> str:
    """Return the base image that the Dockerfile names."""
    found = re.search(r"^ARG BASE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None
    return found.group(1)


def image_of(program: str) -> str:
    """Return the image of Prometheus or Alertmanager that docker-compose.yml names."""
    found = re.search(rf"image: (\S+/{program}:\S+)", (ROOT / "docker-compose.yml").read_text())
    assert found is not None, program
    return found.group(1)


@cache
def podman_environment() -> dict[str, str]:
    """Return an environment in which podman and podman-compose use runc: Debian's crun is refused by some kernels."""
    folder = Path(tempfile.mkdtemp(prefix="placelibre-podman-"))
    configuration = folder / "containers.conf"
    # podman would raise these limits, which takes a right that a sandboxed root lacks.
    files = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 65_536)
    configuration.write_text(
        f'[containers]\ndefault_ulimits = ["nofile={files}:{files}", "nproc=4096:4096"]\n[engine]\nruntime = "runc"\n'
    )
    return {**os.environ, "CONTAINERS_CONF": str(configuration)}


def run(command: Sequence[str], *, folder: Path | None = None) -> str:
    """Run a program and return what it printed; raise with its last words if it fails."""
    done = subprocess.run(
        command, env=podman_environment(), cwd=folder, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode != 0:
        last_words = done.stdout[-2000:] + done.stderr[-4000:]
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}\n{last_words}")
    return done.stdout


def podman(*arguments: str) -> str:
    """Run podman with runc and return what it printed."""
    return run(["podman", *arguments])


def exists(image: str) -> bool:
    """Tell whether an image is in the local storage."""
    command = ["podman", "image", "exists", image]
    return subprocess.run(command, env=podman_environment(), check=False).returncode == 0


def install_packages() -> None:
    """Install what is missing of Debian's podman, buildah, runc and debootstrap; this needs root."""
    state = subprocess.run(
        ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *PACKAGES],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    ).stdout
    missing = [each for each in PACKAGES if f"{each} installed" not in state]
    if missing:
        run(["apt-get", "update", "-qq"])
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing])


def mirror() -> str:
    """Return the mirror from which this machine takes its packages."""
    sources = run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"])
    mirrors = [line.split()[0] for line in sources.splitlines() if line.endswith(" bookworm")]
    assert mirrors, "apt knows no mirror of Debian 12"
    return next((each for each in mirrors if each.rstrip("/").endswith("/debian")), mirrors[0])


def make_python() -> str:
    """Make the stand-in for the Dockerfile's base where it is missing (two to four minutes), and return its name."""
    name = base_name()
    if exists(name):
        return name
    with tempfile.TemporaryDirectory(prefix="placelibre-base-") as folder:
        root = f"{folder}/root"
        run(["debootstrap", "--variant=minbase", f"--include={','.join(PYTHON_PACKAGES)}", "bookworm", root, mirror()])
        archive = f"{folder}/root.tar"
        run(["tar", "-C", root, *(f"--exclude={each}" for each in LEFT_OUT), "-cf", archive, "."])
        path = "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
        podman("import", "--change", path, "--change", 'CMD ["python3"]', archive, name)
    return name


def make_program(program: str) -> str:
    """Make the stand-in for Prometheus or Alertmanager where it is missing, and return its name."""
    name = image_of(program)
    if exists(name):
        return name
    package, programs = COMMANDS[program]
    base = make_python()
    with tempfile.TemporaryDirectory(prefix="placelibre-program-") as made:
        folder = Path(made)
        folder.chmod(0o755)  # apt drops its rights for the download, and must be let in
        run(["apt-get", "download", "-qq", package], folder=folder)
        [archive] = folder.glob("*.deb")
        run(["dpkg-deb", "-x", str(archive), f"{made}/tree"])
        (folder / "bin").mkdir()
        for there, here in programs.items():
            shutil.copy2(folder / "tree/usr/bin" / there, folder / "bin" / here)
        (folder / "Dockerfile").write_text(
            f"FROM {base}\n"
            "COPY bin/ /bin/\n"
            "COPY tree/usr/share/ /usr/share/\n"  # Debian's Alertmanager reads its templates there
            f'RUN ["install", "-d", "-o", "{NOBODY}", "-g", "{NOBODY}", "/prometheus", "/alertmanager"]\n'
            f"USER {NOBODY}\n"
            f'ENTRYPOINT ["/bin/{next(iter(programs.values()))}"]\n'
        )
        podman("build", "--quiet", "--format", "docker", "--pull=never", "-t", name, made)
    return name


@cache
def make_image(context: Path = ROOT, tag: str = IMAGE) -> str:
    """Build the project's image as it stands in `context`, and return its tag. What has not changed is not built anew.

    The builder uses this machine's network and trusts whom this machine trusts: it may be behind a proxy.
    """
    install_packages()
    make_python()
    trusted = ("/etc/ssl/certs", "/usr/local/share/ca-certificates", "/usr/share/ca-certificates")
    volumes = [f"--volume={folder}:{folder}:ro" for folder in trusted if Path(folder).is_dir()]
    podman("build", "--format", "docker", "--network", "host", *volumes, "--pull=never", "-t", tag, str(context))
    return tag


def size_mb(image: str) -> float:
    """Return an image's size in MB, all layers together."""
    [about] = json.loads(podman("image", "inspect", image))
    size: int = about["Size"]
    return size / 1e6


def main() -> None:
    """Build the stand-ins and the image."""
    make_image()
    names = [base_name(), IMAGE]
    if (ROOT / "docker-compose.yml").exists():
        names += [make_program(program) for program in COMMANDS]
    for name in names:
        print(f"{name}: {size_mb(name):.0f} MB")


if __name__ == "__main__":
    main()
