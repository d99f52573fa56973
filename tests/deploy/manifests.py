"""What `deploy/k8s` comes to, as kustomize builds it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]

from tests.conftest import ROOT

K8S: Final = ROOT / "deploy" / "k8s"
COMPONENTS: Final = ("autoscaling", "backup", "ingress", "keda-publisher", "leaf", "monitoring")
OVERLAYS: Final = ("single-node", "three-nodes")
VARIANTS: Final = (*OVERLAYS, "everything")
"""The overlays as they stand, and the larger one with every component and the Jobs of the operator."""

PAIRS: Final = {"app.kubernetes.io/part-of": "placelibre", "app.kubernetes.io/managed-by": "kustomize"}
"""What both overlays put onto everything."""

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Workload:
    """Something that makes pods; `pod` is the pod's spec."""

    kind: str
    name: str
    replicas: int | None
    labels: dict[str, str]
    pod: Manifest
    manifest: Manifest

    @property
    def component(self) -> str:
        return self.labels["app.kubernetes.io/component"]

    @property
    def containers(self) -> list[Manifest]:
        return [*self.pod.get("initContainers", []), *self.pod["containers"]]

    @property
    def ports(self) -> dict[str, int]:
        return {port["name"]: port["containerPort"] for each in self.containers for port in each.get("ports", [])}

    def container(self, name: str) -> Manifest:
        return next(each for each in self.containers if each["name"] == name)

    def volume(self, name: str) -> Manifest:
        """A volume of the pod; empty for one that a StatefulSet claims for each of its pods."""
        return next((each for each in self.pod["volumes"] if each["name"] == name), {})


def kustomized(folder: Path) -> list[Manifest]:
    """Return what `kubectl kustomize` makes of a folder."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed; it builds the manifests, no cluster is needed")
    result = subprocess.run(
        [kubectl, "kustomize", str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    return [each for each in yaml.safe_load_all(result.stdout) if each]


@cache
def built(variant: str) -> list[Manifest]:
    """Return all objects of a variant."""
    if variant in OVERLAYS:
        return kustomized(K8S / "overlays" / variant)
    with TemporaryDirectory() as home:
        here = os.path.relpath(K8S, Path(home).resolve())
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": "placelibre",
            "labels": [{"pairs": PAIRS, "includeTemplates": True}],
            "resources": [f"{here}/overlays/three-nodes", f"{here}/jobs/apply", f"{here}/jobs/restore"],
            # What the overlay has already cannot be taken twice.
            "components": [f"{here}/components/{each}" for each in COMPONENTS if each != "autoscaling"],
            "images": [{"name": "placelibre", "newName": "registry.example/placelibre", "newTag": "0.1.0"}],
        }
        (Path(home) / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        return kustomized(Path(home))


def of_kind(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    """Return the objects of one kind by their name."""
    return {each["metadata"]["name"]: each for each in manifests if each["kind"] == kind}


def workloads(manifests: list[Manifest]) -> dict[str, Workload]:
    """Return everything that makes pods, by its name."""
    return {each.name: each for each in _workloads(manifests)}


def _workloads(manifests: list[Manifest]) -> Iterator[Workload]:
    for each in manifests:
        if each["kind"] not in {"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod"}:
            continue
        spec = each["spec"]["jobTemplate"]["spec"] if each["kind"] == "CronJob" else each["spec"]
        template = spec["template"]
        yield Workload(
            *(each["kind"], each["metadata"]["name"], spec.get("replicas")),
            *(template["metadata"]["labels"], template["spec"], each),
        )


def environment(container: Manifest) -> dict[str, Any]:
    """Return a container's own variables: their values, or where they come from."""
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container.get("env", [])}


def mebibytes(quantity: str) -> float:
    """Return a Kubernetes quantity of memory in MiB."""
    units = {"Ki": 1 / 1024, "Mi": 1, "Gi": 1024, "Ti": 1024 * 1024}
    return float(quantity[:-2]) * units[quantity[-2:]]
