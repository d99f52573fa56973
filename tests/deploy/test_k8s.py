"""The Kubernetes manifests: what has to hold of every pod, and what has to agree with the services' own numbers."""

from __future__ import annotations

import importlib
import subprocess
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from typer.testing import CliRunner

from cli.bus import app as bus
from cli.bus_folder.rendering import LAME_DUCK_S, MAX_FILE_STORE_GB
from services.aggregator.settings import Settings as AggregatorSettings
from services.ingest.settings import Settings as IngestSettings
from shared.contracts.permissions import SERVICES
from shared.contracts.streams import BUCKETS, STREAMS
from shared.contracts.subjects import PARTITIONS
from shared.runtime.service import STOP_S
from shared.runtime.settings import ServiceSettings
from tests.conftest import ROOT
from tests.deploy.manifests import (
    K8S,
    VARIANTS,
    Manifest,
    Workload,
    built,
    environment,
    kustomized,
    mebibytes,
    of_kind,
    workloads,
)

OWN_KINDS = {
    *("Namespace", "ServiceAccount", "ConfigMap", "Service", "Deployment", "StatefulSet", "Job", "CronJob"),
    *("PersistentVolumeClaim", "PodDisruptionBudget", "NetworkPolicy", "HorizontalPodAutoscaler", "Ingress"),
}
FOREIGN_KINDS = {"ServiceMonitor", "PrometheusRule", "ScaledObject"}
SECRETS_BY_COMPONENT = {
    "bus": {"placelibre-bus"},
    "ingest": {"placelibre-nkey-ingest", "placelibre-sources"},
    "publisher": {"placelibre-nkey-publisher", "placelibre-channels"},
    **{name: {f"placelibre-nkey-{name}"} for name in ("aggregator", "api", "auditor", "carrier")},
    **{name: {"placelibre-nkey-operator"} for name in ("provision", "apply", "backup", "restore")},
}
NOT_OURS_TO_MAKE = {"placelibre-sources", "placelibre-channels", "placelibre-libraries"}
"""What an operator makes of his own: credentials and libraries."""
MARGIN_S = 5
"""From the end of a service's own patience to the kernel's SIGKILL: a process of ours is gone after a second."""

everywhere = pytest.mark.parametrize("variant", VARIANTS)


def all_of(variant: str) -> list[Workload]:
    return list(workloads(built(variant)).values())


def services_of(variant: str) -> dict[str, tuple[Workload, Manifest]]:
    """The containers that are services of ours, by the service's name."""
    return {
        container["args"][1]: (each, container)
        for each in all_of(variant)
        for container in each.containers
        if container.get("args", [""])[0] == "run"
    }


@everywhere
def test_there_is_nothing_but_known_kinds_in_our_namespace(variant: str) -> None:
    for each in built(variant):
        assert each["kind"] in OWN_KINDS | (FOREIGN_KINDS if variant == "everything" else set()), each["kind"]
        if each["kind"] != "Namespace":
            assert each["metadata"]["namespace"] == "placelibre", each["metadata"]["name"]


@everywhere
def test_the_namespace_takes_restricted_pods_only(variant: str) -> None:
    (namespace,) = of_kind(built(variant), "Namespace").values()
    labels = namespace["metadata"]["labels"]
    for mode in ("enforce", "audit", "warn"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"


@everywhere
def test_every_container_is_restricted(variant: str) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/ and what we ask beyond it."""
    for each in all_of(variant):
        pod = each.pod
        assert pod["securityContext"]["runAsNonRoot"] is True, each.name
        assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["runAsGroup"] == 10001
        assert pod["securityContext"]["fsGroup"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostAliases"} & set(pod), each.name
        for volume in pod["volumes"]:
            assert set(volume) - {"name"} <= {"configMap", "secret", "emptyDir", "persistentVolumeClaim"}, volume
        for container in each.containers:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, container["name"]
            assert context["readOnlyRootFilesystem"] is True, container["name"]
            assert context["capabilities"] == {"drop": ["ALL"]}, container["name"]
            assert not {"privileged", "runAsUser", "seccompProfile", "procMount"} & set(context), container["name"]
            assert all("hostPort" not in port for port in container.get("ports", ()))


@everywhere
def test_no_pod_has_a_token_or_rights_in_the_cluster(variant: str) -> None:
    accounts = of_kind(built(variant), "ServiceAccount")
    assert all(each["automountServiceAccountToken"] is False for each in accounts.values())
    for each in all_of(variant):
        assert each.pod["automountServiceAccountToken"] is False, each.name
        assert each.pod["enableServiceLinks"] is False, "a Service's name must not become a setting of ours"
        assert each.pod["serviceAccountName"] in accounts, each.name
    shared = [each.pod["serviceAccountName"] for each in all_of(variant)]
    assert len(shared) == len(set(shared)), "an account each"


@everywhere
def test_every_container_says_what_it_needs_and_may_have(variant: str) -> None:
    for each in all_of(variant):
        for container in each.containers:
            needs, may = container["resources"]["requests"], container["resources"]["limits"]
            assert set(needs) == set(may) == {"cpu", "memory"}, container["name"]
            assert mebibytes(needs["memory"]) <= mebibytes(may["memory"]), container["name"]


@everywhere
def test_every_image_is_ours_with_a_version(variant: str) -> None:
    version = (ROOT / "pyproject.toml").read_text().split('\nversion = "')[1].split('"')[0]
    images = {container["image"] for each in all_of(variant) for container in each.containers}
    assert images == {f"registry.example/placelibre:{version}"}


@everywhere
def test_standard_labels_are_everywhere(variant: str) -> None:
    for each in all_of(variant):
        for labels in (each.labels, each.manifest["metadata"]["labels"]):
            assert labels["app.kubernetes.io/name"] in {"placelibre", "nats"}, each.name
            assert labels["app.kubernetes.io/component"]
            assert labels["app.kubernetes.io/part-of"] == "placelibre"
    components = [each.component for each in all_of(variant)]
    assert len(components) == len(set(components)), "policies and Services choose pods by it"


# Secrets


@everywhere
def test_secrets_are_files_and_each_is_mounted_only_where_it_is_needed(variant: str) -> None:
    for each in all_of(variant):
        mounted = {volume["secret"]["secretName"] for volume in each.pod["volumes"] if "secret" in volume}
        assert mounted == SECRETS_BY_COMPONENT[each.component], each.name
        for volume in each.pod["volumes"]:
            if "secret" in volume:
                assert volume["secret"]["defaultMode"] == 0o440, f"{each.name}: {volume['name']}"
        for container in each.containers:
            for mount in container["volumeMounts"]:
                assert mount.get("readOnly") or "secret" not in each.volume(mount["name"]), mount
            assert "secretKeyRef" not in str(container.get("env", "")), container["name"]
            assert "secretRef" not in str(container.get("envFrom", "")), container["name"]


@everywhere
def test_each_service_runs_as_its_own_user_of_the_bus(variant: str) -> None:
    for name, (each, container) in services_of(variant).items():
        path = Path(str(environment(container)["PLACELIBRE_NATS_SEED_FILE"]))
        assert path.name == f"{name}.nk"
        assert name in SERVICES
        mount = next(mount for mount in container["volumeMounts"] if mount["mountPath"] == str(path.parent))
        assert each.volume(mount["name"])["secret"]["secretName"] == f"placelibre-nkey-{name}"


@pytest.mark.parametrize("nodes", [1, 3])
def test_what_bus_init_makes_is_all_that_the_pods_ask_for(nodes: int, tmp_path: Path) -> None:
    """The way of docs/kubernetes.md. The key of the authority stays outside."""
    overlay = {1: "single-node", 3: "three-nodes"}[nodes]
    folder = made_by_bus_init(tmp_path / "secrets", nodes)
    kustomization = (K8S / "secrets" / overlay / "kustomization.yaml").read_text()
    (folder / "kustomization.yaml").write_text(kustomization)
    made = kustomized(folder)
    known = {name: set(each["data"]) for kind in ("Secret", "ConfigMap") for name, each in of_kind(made, kind).items()}
    known |= {name: set(each["data"]) for name, each in of_kind(built("everything"), "ConfigMap").items()}
    for each in [
        *all_of(overlay),
        *[each for each in all_of("everything") if each.component in {"carrier", "apply", "backup", "restore"}],
    ]:
        for volume in each.pod["volumes"]:
            source: dict[str, Any] = volume.get("secret") or volume.get("configMap") or {}
            name = source.get("secretName") or source.get("name")
            if name is None or name in NOT_OURS_TO_MAKE:
                continue
            assert name in known, f"{each.name} asks for {name}"
            assert {item["key"] for item in source.get("items", ())} <= known[name], name
    for user in SERVICES:
        assert known[f"placelibre-nkey-{user}"] == {f"{user}.nk"}
    assert (folder / "tls" / "ca-key.pem").read_text() not in yaml.safe_dump(made)
    keys = {key for each in known.values() for key in each}
    assert not {key for key in keys if "ca-key" in key}


def made_by_bus_init(folder: Path, nodes: int) -> Path:
    """As docs/kubernetes.md says."""
    arguments = ["--host", "nats", "--host", "nats.placelibre.svc", "--monitor-host", "0.0.0.0"]
    if nodes == 3:
        arguments += ["--nodes", "3", *(word for n in range(3) for word in ("--node", f"nats-{n}.nats-headless"))]
    done = CliRunner().invoke(bus, ["init", str(folder), *arguments])
    assert done.exit_code == 0, done.output
    return folder


# Agreement with the services' own numbers


@everywhere
def test_every_variable_is_a_setting_of_its_service(variant: str) -> None:
    """A misspelled one would be ignored in silence."""
    settings = of_kind(built(variant), "ConfigMap")
    for name, (_, container) in services_of(variant).items():
        known = settings_of(name).model_fields
        referenced = container["envFrom"][0]["configMapRef"]["name"]
        for variable in (*environment(container), *settings[referenced]["data"]):
            if variable != "FORWARDED_ALLOW_IPS":  # uvicorn's own (shared/runtime/service.py)
                assert variable.removeprefix("PLACELIBRE_").lower() in known, f"{name}: {variable}"


@everywhere
def test_every_service_listens_where_probes_and_services_look(variant: str) -> None:
    manifests = built(variant)
    for name, (each, container) in services_of(variant).items():
        port = settings_of(name).model_fields["port"].default
        assert environment(container)["PLACELIBRE_PORT"] == str(port)
        assert each.ports["http"] == port
        assert container["livenessProbe"]["httpGet"]["path"] == "/livez", "never the bus"
        assert container["startupProbe"]["httpGet"]["path"] == "/livez", "a log that takes long to read is no failure"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert of_kind(manifests, "Service")[name]["spec"]["ports"][0]["port"] == port
    for each in all_of(variant):
        for container in each.containers:
            named = {port["name"] for port in container.get("ports", ())}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                if probe in container:
                    wanted = container[probe].get("httpGet", container[probe].get("tcpSocket"))["port"]
                    assert wanted in named, f"{container['name']}: {probe}"


@everywhere
def test_services_choose_exactly_their_pods_and_ports_that_these_have(variant: str) -> None:
    for name, service in of_kind(built(variant), "Service").items():
        selector = service["spec"]["selector"]
        chosen = [each for each in all_of(variant) if selector.items() <= each.labels.items()]
        assert len(chosen) == 1, name
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in chosen[0].ports, f"{name}: {port['name']}"
    for each in all_of(variant):
        if each.kind == "StatefulSet":
            governing = of_kind(built(variant), "Service")[each.manifest["spec"]["serviceName"]]
            assert governing["spec"]["clusterIP"] == "None", each.name


@everywhere
def test_aggregators_share_all_partitions_and_each_has_one_owner(variant: str) -> None:
    each, container = services_of(variant)["aggregator"]
    assert each.kind == "StatefulSet"
    variables = environment(container)
    assert variables["PLACELIBRE_REPLICAS"] == str(each.replicas)
    assert "pod-index" in variables["PLACELIBRE_ORDINAL"]["fieldRef"]["fieldPath"]
    assert each.replicas is not None
    owned = [
        partition
        for ordinal in range(each.replicas)
        for partition in AggregatorSettings(ordinal=ordinal, replicas=each.replicas).partitions
    ]
    assert sorted(owned) == list(range(PARTITIONS))


@everywhere
def test_a_pod_may_take_as_long_to_stop_as_its_service_does(variant: str) -> None:
    for each, container in services_of(variant).values():
        sleep_s = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert each.pod["terminationGracePeriodSeconds"] >= sleep_s + STOP_S + MARGIN_S, each.name
    assert workloads(built(variant))["nats"].pod["terminationGracePeriodSeconds"] >= LAME_DUCK_S + 15


@everywhere
def test_what_people_and_devices_call_answers_while_the_routes_to_it_go_away(variant: str) -> None:
    for name in ("api", "ingest"):
        assert services_of(variant)[name][1]["lifecycle"]["preStop"]["sleep"]["seconds"] >= 5


@everywhere
def test_ingest_can_hold_as_many_bodies_as_it_lets_in(variant: str) -> None:
    _, container = services_of(variant)["ingest"]
    at_once = int(environment(container)["PLACELIBRE_MAX_REQUESTS_AT_ONCE"])
    largest = IngestSettings.model_fields["max_device_body_bytes"].default
    assert at_once * largest / 1024**2 <= mebibytes(container["resources"]["limits"]["memory"]) / 2


def test_who_comes_through_the_ingress_is_known_by_his_own_address() -> None:
    """Else all senders would be one, and everybody from a private network, who may see /metrics."""
    for name in ("api", "ingest"):
        proxies = str(environment(services_of("everything")[name][1])["FORWARDED_ALLOW_IPS"]).split(",")
        assert all(ip_network(each).is_private for each in proxies)


# The bus


@everywhere
def test_the_bus_knows_how_much_memory_and_disk_it_has(variant: str) -> None:
    nats = workloads(built(variant))["nats"]
    container = nats.container("nats")
    limit = environment(container)["GOMEMLIMIT"]
    assert limit.endswith("MiB")
    assert float(limit[:-3]) == pytest.approx(0.8 * mebibytes(container["resources"]["limits"]["memory"]), rel=0.01)
    (claim,) = nats.manifest["spec"]["volumeClaimTemplates"]
    disk = mebibytes(claim["spec"]["resources"]["requests"]["storage"]) * 1024**2
    assert disk > MAX_FILE_STORE_GB * 1024**3 > sum(each.max_bytes for each in (*STREAMS, *BUCKETS))
    retention = nats.manifest["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert set(retention.values()) == {"Retain"}


@everywhere
def test_the_bus_is_never_restarted_for_want_of_a_quorum(variant: str) -> None:
    container = workloads(built(variant))["nats"].container("nats")
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz?js-enabled-only=true"
    assert container["readinessProbe"]["httpGet"]["path"] == "/healthz?js-meta-only=true"
    assert container["startupProbe"]["httpGet"]["path"] == "/healthz"
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 600, "a year of history takes a while to read"
    assert container["lifecycle"]["preStop"]["exec"]["command"] == ["nats-server", "--signal", "ldm=1"]


@everywhere
def test_streams_have_as_many_copies_as_there_are_buses(variant: str) -> None:
    buses = workloads(built(variant))["nats"].replicas
    args = workloads(built(variant))["provision"].container("provision")["args"]
    assert f"--replicas={buses}" in args


@pytest.mark.parametrize("variant", ["three-nodes", "everything"])
def test_no_node_holds_two_of_three_buses_and_all_find_each_other_before_they_are_ready(variant: str) -> None:
    nats = workloads(built(variant))["nats"]
    assert nats.replicas == 3
    hard = [each for each in nats.pod["topologySpreadConstraints"] if each["whenUnsatisfiable"] == "DoNotSchedule"]
    assert [(each["topologyKey"], each["maxSkew"], each["minDomains"]) for each in hard] == [
        ("kubernetes.io/hostname", 1, 3)
    ]
    headless = of_kind(built(variant), "Service")[nats.manifest["spec"]["serviceName"]]
    assert headless["spec"]["publishNotReadyAddresses"] is True
    assert nats.manifest["spec"]["podManagementPolicy"] == "Parallel"


# Being moved, scaled and drained


@everywhere
def test_a_drain_takes_one_of_each_and_leaves_a_quorum(variant: str) -> None:
    budgets = of_kind(built(variant), "PodDisruptionBudget")
    for each in all_of(variant):
        of_it = [
            budget
            for budget in budgets.values()
            if budget["spec"]["selector"]["matchLabels"].items() <= each.labels.items()
        ]
        if each.kind in {"Job", "CronJob"} or each.name in {"auditor", "carrier"}:
            assert not of_it, each.name  # one alone, which may be away for a while
            continue
        (budget,) = of_it
        assert budget["spec"]["maxUnavailable"] == 1, "0 would hold up every drain for ever"
        if each.name == "nats" and each.replicas is not None and each.replicas > 1:
            assert each.replicas - budget["spec"]["maxUnavailable"] >= each.replicas // 2 + 1


@everywhere
def test_only_what_keeps_nothing_to_itself_is_scaled_by_load(variant: str) -> None:
    manifests = built(variant)
    for kind in ("HorizontalPodAutoscaler", "ScaledObject"):
        for name, scaler in of_kind(manifests, kind).items():
            assert name in {"api", "ingest", "publisher"}
            target = workloads(manifests)[scaler["spec"]["scaleTargetRef"]["name"]]
            assert target.kind == "Deployment"
            assert target.replicas is None, "an apply would set the number back"
            least = scaler["spec"].get("minReplicas", scaler["spec"].get("minReplicaCount"))
            assert least >= 2


@pytest.mark.parametrize("variant", ["three-nodes", "everything"])
def test_what_serves_people_is_spread_over_nodes(variant: str) -> None:
    for name in ("api", "ingest", "publisher", "aggregator"):
        each = workloads(built(variant))[name]
        spread = each.pod["topologySpreadConstraints"]
        assert {one["topologyKey"] for one in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
        for one in spread:
            assert one["labelSelector"]["matchLabels"].items() <= each.labels.items(), name


@everywhere
def test_what_owns_a_folder_is_never_there_twice(variant: str) -> None:
    for each in all_of(variant):
        claims = [volume for volume in each.pod["volumes"] if "persistentVolumeClaim" in volume]
        if claims and each.kind == "Deployment":
            assert each.replicas == 1, each.name
            assert each.manifest["spec"]["strategy"] == {"type": "Recreate"}, each.name
        for volume in claims:
            assert volume["persistentVolumeClaim"]["claimName"] in of_kind(built(variant), "PersistentVolumeClaim")


# Monitoring


def test_the_cluster_has_the_same_alerts_as_every_other_deployment() -> None:
    (rule,) = of_kind(built("everything"), "PrometheusRule").values()
    files = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    assert rule["spec"]["groups"] == groups, "run `python -m tests.deploy.prometheus_rule`"
    assert groups


def test_prometheus_finds_every_service_of_ours() -> None:
    (monitor,) = of_kind(built("everything"), "ServiceMonitor").values()
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    found = {
        name
        for name, service in of_kind(built("everything"), "Service").items()
        if wanted <= service["metadata"]["labels"].items()
        and monitor["spec"]["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}
    }
    assert found == set(services_of("everything"))


# The tools of others


@pytest.mark.tools
@everywhere
def test_a_cluster_of_version_1_32_would_take_it(variant: str, tmp_path: Path) -> None:
    file = tmp_path / f"{variant}.yaml"
    own = [each for each in built(variant) if each["kind"] in OWN_KINDS]
    file.write_text(yaml.safe_dump_all(own))
    validate = ROOT / ".tools" / "bin" / "kubernetes-validate"
    result = subprocess.run(
        [str(validate), "-k", "1.32", "--strict", str(file)], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert (result.stdout + result.stderr).count(" passed for resource ") == len(own)


@pytest.mark.tools
def test_the_validation_would_notice(tmp_path: Path) -> None:
    wrong = [each for each in built("single-node") if each["kind"] == "Deployment"]
    broken = yaml.safe_load(yaml.safe_dump(wrong[0]))
    broken["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    file = tmp_path / "wrong.yaml"
    file.write_text(yaml.safe_dump(broken))
    validate = ROOT / ".tools" / "bin" / "kubernetes-validate"
    result = subprocess.run(
        [str(validate), "-k", "1.32", "--strict", str(file)], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode != 0


def settings_of(service: str) -> type[ServiceSettings]:
    module = importlib.import_module(f"services.{service}.settings")
    found: type[ServiceSettings] = getattr(module, "Settings", None) or module.ApiSettings
    return found
