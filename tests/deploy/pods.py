"""The pods of an overlay under podman, one by one: what a cluster would do with their templates, as far as podman can.

Containers, their commands, variables, security contexts, resources and mounts are taken as they stand. What podman 4.3
does not know is done by hand, as a kubelet does it: Secrets, ConfigMaps and claims become folders with the owner, group
and mode that fsGroup and defaultMode ask for; probes are asked from outside of the pod; preStop is run before the stop;
a StatefulSet's pod gets its ordinal. A pod bears the name of its Service, which the DNS of its network answers.
NetworkPolicies are not enforced (tests/deploy/reach.py evaluates them).
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import yaml  # type: ignore[import-untyped]

from tests.deploy.manifests import Manifest, Workload, of_kind, workloads
from tests.deploy.standins import podman, podman_environment

USER: Final = 10001
PROBES: Final = ("startupProbe", "readinessProbe", "livenessProbe")
FORGIVING_S: Final = 180.0
"""A loaded machine starts eight Pythons at once."""


class Cluster:
    """A network of podman, the files that pods mount, and the pods that run."""

    def __init__(self, home: Path, name: str, image: str, manifests: list[Manifest]) -> None:
        """`manifests` are those of an overlay and of its Secrets; nothing runs yet."""
        self.home = home
        self.name = name
        self._image = image
        self._objects = {
            (kind, each_name): each
            for kind in ("Secret", "ConfigMap")
            for each_name, each in of_kind(manifests, kind).items()
        }
        self.workloads = workloads(manifests)
        self._pods: list[str] = []
        self.services: dict[str, str] = {}
        """Names of Services and the pod that each leads to just now, where that has another name."""
        podman("network", "create", name)

    def add(self, kind: str, name: str, files: dict[str, bytes]) -> None:
        """Make a Secret or ConfigMap, as `kubectl create` does."""
        data = {key: base64.b64encode(value).decode() for key, value in files.items()}
        self._objects[kind, name] = {
            "kind": kind,
            "metadata": {"name": name},
            "data" if kind == "Secret" else "binaryData": data,
        }

    def start(self, name: str, *, ordinal: int = 0, as_name: str | None = None) -> str:
        """Start a workload's pod, and return its name: that of its Service, if no other is given."""
        workload = self.workloads[name]
        pod = as_name or name
        manifest = self.play(workload, pod, ordinal)
        file = self.home / f"{pod}.yaml"
        file.write_text(yaml.safe_dump(manifest))
        self._pods.append(pod)
        podman("play", "kube", "--network", self.name, str(file))
        return pod

    def play(self, workload: Workload, pod: str, ordinal: int) -> Manifest:
        """Return a workload's pod template as a Pod that podman takes."""
        spec: Manifest = json.loads(json.dumps(workload.pod))
        for left_out in ("topologySpreadConstraints", "serviceAccountName", "automountServiceAccountToken"):
            spec.pop(left_out, None)
        spec["hostAliases"] = [{"ip": self.address(to), "hostnames": [name]} for name, to in self.services.items()]
        spec["restartPolicy"] = "Never"  # the tests say themselves when something starts again
        spec["volumes"] = [self._volume(each, pod) for each in spec["volumes"]]
        for claim in workload.manifest["spec"].get("volumeClaimTemplates", ()):
            spec["volumes"].append(self._claim(claim["metadata"]["name"], pod))
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            container["image"] = self._image
            container["imagePullPolicy"] = "Never"
            for part in (*PROBES, "lifecycle", "ports"):  # podman would open each port on this machine
                container.pop(part, None)
            variables = self._variables(container, ordinal)
            container["env"] = [{"name": key, "value": value} for key, value in variables.items()]
            container.pop("envFrom", None)
            for part in ("command", "args"):
                if part in container:
                    container[part] = [_expanded(each, variables) for each in container[part]]
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod, "labels": workload.labels}, "spec": spec}

    def _variables(self, container: Manifest, ordinal: int) -> dict[str, str]:
        found: dict[str, str] = {}
        for source in container.get("envFrom", ()):
            found |= self._objects["ConfigMap", source["configMapRef"]["name"]]["data"]
        for each in container.get("env", ()):
            if "valueFrom" in each:
                assert each["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['apps.kubernetes.io/pod-index']"
                found[each["name"]] = str(ordinal)
            else:
                found[each["name"]] = each["value"]
        return found

    def _volume(self, volume: Manifest, pod: str) -> Manifest:
        name = volume["name"]
        if "secret" in volume:
            source = volume["secret"]
            return self._files(name, pod, ("Secret", source["secretName"]), source)
        if "configMap" in volume:
            source = volume["configMap"]
            return self._files(name, pod, ("ConfigMap", source["name"]), source)
        if "persistentVolumeClaim" in volume:
            return self._claim(name, pod)
        folder = self.home / pod / name
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)  # an emptyDir is everybody's
        return {"name": name, "hostPath": {"path": str(folder), "type": "Directory"}}

    def _files(self, name: str, pod: str, key: tuple[str, str], source: Manifest) -> Manifest:
        folder = self.home / pod / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        known = self._objects.get(key)
        assert known is not None or source.get("optional"), f"{pod} asks for {key}, which nobody has made"
        contents = _contents(known or {})
        items = source.get("items") or [{"key": each, "path": each} for each in contents]
        for item in items:
            file = folder / item["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(contents[item["key"]])
            os.chown(file, 0, USER)  # fsGroup
            file.chmod(source.get("defaultMode", 0o644))
        return {"name": name, "hostPath": {"path": str(folder), "type": "Directory"}}

    def _claim(self, name: str, pod: str) -> Manifest:
        folder = self.home / "claims" / pod / name
        if not folder.exists():
            folder.mkdir(parents=True)
            os.chown(folder, 0, USER)
            folder.chmod(0o2775)  # as fsGroup leaves a new disk
        return {"name": name, "hostPath": {"path": str(folder), "type": "Directory"}}

    def containers_of(self, pod: str) -> dict[str, Any]:
        """Return what podman knows of a pod's containers, by their names in the pod."""
        names = [
            each["Names"][0]
            for each in json.loads(podman("ps", "--all", "--format", "json", "--filter", f"pod={pod}"))
            if not each.get("IsInfra")
        ]
        return {name.removeprefix(f"{pod}-"): json.loads(podman("inspect", name))[0] for name in names}

    def address(self, pod: str) -> str:
        """Return a pod's address, which this machine reaches."""
        infra = json.loads(podman("pod", "inspect", pod))["InfraContainerID"]
        networks = json.loads(podman("inspect", infra))[0]["NetworkSettings"]["Networks"]
        found: str = networks[self.name]["IPAddress"]
        return found

    def probe(self, workload: str, pod: str, probe: str) -> int:
        """Ask a probe of a pod's first container once, and return the answer's status; 0 for none."""
        each = self.workloads[workload]
        asked = each.pod["containers"][0][probe]["httpGet"]
        try:
            return httpx.get(
                f"http://{self.address(pod)}:{each.ports[asked['port']]}{asked['path']}", timeout=5, trust_env=False
            ).status_code
        except httpx.TransportError:
            return 0

    def wait_for(self, workload: str, probe: str = "readinessProbe", pod: str | None = None, status: int = 200) -> None:
        """Wait until a probe is answered so."""
        name = pod or workload
        end = time.monotonic() + FORGIVING_S
        while (found := self.probe(workload, name, probe)) != status:
            assert time.monotonic() < end, f"{name} {probe}: {found}\n{self.logs(name)}"
            time.sleep(0.3)

    def wait_for_the_end(self, pod: str) -> int:
        """Wait until a pod's container has ended, and return its exit code."""
        container = next(iter(self.containers_of(pod)))
        return int(podman("wait", f"{pod}-{container}"))

    def logs(self, pod: str) -> str:
        """Return what a pod's containers have written."""
        names = [f"{pod}-{each}" for each in self.containers_of(pod)]
        return "".join(
            subprocess.run(
                ["podman", "logs", name],
                env=podman_environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            ).stdout
            for name in names
        )

    def execute(self, pod: str, container: str, *command: str) -> str:
        """Run a program in a container and return what it printed."""
        return podman("exec", f"{pod}-{container}", *command)

    def stop(self, workload: str, pod: str | None = None) -> None:
        """Stop a pod as a kubelet does, and remove it: preStop, SIGTERM, and SIGKILL once its time is up."""
        each = self.workloads[workload]
        name = pod or workload
        first = each.pod["containers"][0]
        hook = first.get("lifecycle", {}).get("preStop", {}).get("exec")
        if hook:
            self.execute(name, first["name"], *hook["command"])
        podman("pod", "stop", "--time", str(each.pod.get("terminationGracePeriodSeconds", 30)), name)
        self.remove(name)

    def kill(self, pod: str) -> None:
        """Kill a pod and remove it."""
        podman("pod", "kill", "--signal", "KILL", pod)
        self.remove(pod)

    def remove(self, pod: str) -> None:
        """Remove what is left of a pod."""
        podman("pod", "rm", "--force", pod)
        self._pods.remove(pod)

    def end(self) -> None:
        """Remove all pods and the network."""
        for pod in tuple(reversed(self._pods)):
            subprocess.run(
                ["podman", "pod", "rm", "--force", "--time", "5", pod],
                env=podman_environment(),
                capture_output=True,
                check=False,
            )
        podman("network", "rm", "--force", self.name)


def _contents(known: Manifest) -> dict[str, bytes]:
    plain = {key: str(value).encode() for key, value in known.get("data", {}).items()}
    if known.get("kind") == "Secret":
        return {key: base64.b64decode(value) for key, value in plain.items()}
    return plain | {key: base64.b64decode(value) for key, value in known.get("binaryData", {}).items()}


def _expanded(text: str, variables: dict[str, str]) -> str:
    """Put variables in where `$(NAME)` stands, as Kubernetes does."""
    return re.sub(r"\$\((\w+)\)", lambda found: variables.get(found.group(1), found.group(0)), text)


def user_and_groups(status: Sequence[str]) -> tuple[int, int]:
    """Return the user and group of a process from the lines of its /proc/<pid>/status."""
    fields = {line.partition(":")[0]: line.split()[1:] for line in status}
    return int(fields["Uid"][1]), int(fields["Gid"][1])
