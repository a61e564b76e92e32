"""The Kubernetes files: built by kustomize, of kinds and fields that exist, closed by default."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from orchestrator.model.groups import NodeGroup, node_groups
from orchestrator.model.plan import Resources
from tests.deploy.files import DEPLOY, documents, is_pinned, pinned, walk

FOLDER = DEPLOY / "kubernetes"
OVERLAYS = ("local", "gpu", "s3", "job")
VERSION = "1.37"
SECRETS = {"orch-secrets", "orch-s3"}  # that the README has made beforehand

# Fields of ray.io/v1 as of KubeRay 1.7.1, those that are used here and their neighbours.
CLUSTER = {
    "authOptions",
    "autoscalerOptions",
    "enableInTreeAutoscaling",
    "gcsFaultToleranceOptions",
    "headGroupSpec",
    "headServiceAnnotations",
    "managedBy",
    "rayVersion",
    "suspend",
    "workerGroupSpecs",
}
AUTH = {"mode", "secretName", "enableK8sTokenAuth"}
AUTOSCALER = {
    "env",
    "envFrom",
    "idleTimeoutSeconds",
    "image",
    "imagePullPolicy",
    "resources",
    "securityContext",
    "upscalingMode",
    "version",
    "volumeMounts",
}
HEAD = {"enableIngress", "headService", "rayStartParams", "serviceType", "template"}
GROUP = {
    "groupName",
    "idleTimeoutSeconds",
    "maxReplicas",
    "minReplicas",
    "numOfHosts",
    "rayStartParams",
    "replicas",
    "scaleStrategy",
    "suspend",
    "template",
}
JOB = {
    "activeDeadlineSeconds",
    "backoffLimit",
    "clusterSelector",
    "deletionStrategy",
    "entrypoint",
    "entrypointNumCpus",
    "entrypointNumGpus",
    "entrypointResources",
    "jobId",
    "managedBy",
    "metadata",
    "rayClusterSpec",
    "runtimeEnvYAML",
    "shutdownAfterJobFinishes",
    "submissionMode",
    "submitterConfig",
    "submitterPodTemplate",
    "suspend",
    "ttlSecondsAfterFinished",
}


@cache
def built(overlay: str) -> str:
    if shutil.which("kubectl") is None:
        pytest.skip("not run here: kubectl is not installed")
    command = ["kubectl", "kustomize", str(FOLDER / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def of_kind(overlay: str, kind: str) -> list[dict[str, Any]]:
    return [each for each in documents(built(overlay)) if each["kind"] == kind]


def cluster_of(overlay: str) -> dict[str, Any]:
    """Returns the specification of the only Ray cluster of an overlay."""
    found = [each["spec"] for each in of_kind(overlay, "RayCluster")]
    found += [each["spec"]["rayClusterSpec"] for each in of_kind(overlay, "RayJob")]
    (spec,) = found
    return dict(spec)


def pods(overlay: str) -> dict[str, dict[str, Any]]:
    """Returns name -> specification of every kind of pod that an overlay makes."""
    spec = cluster_of(overlay)
    found = {"ray head": spec["headGroupSpec"]["template"]["spec"]}
    found |= {f"ray {each['groupName']}": each["template"]["spec"] for each in spec["workerGroupSpecs"]}
    for kind in ("Deployment", "StatefulSet"):
        for each in of_kind(overlay, kind):
            found[each["metadata"]["name"]] = each["spec"]["template"]["spec"]
    return found


def validated(content: list[dict[str, Any]]) -> None:
    for each in content:
        kubernetes_validate.validate(each, VERSION, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_core_kinds_have_the_fields_of_kubernetes(overlay: str) -> None:
    core = [each for each in documents(built(overlay)) if not each["apiVersion"].startswith("ray.io/")]
    assert len(core) >= 10
    validated(core)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_of_ray_kinds_have_the_fields_of_pods(overlay: str) -> None:
    validated(
        [
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name.replace(" ", "-")}, "spec": spec}
            for name, spec in pods(overlay).items()
        ]
    )


def test_a_wrong_field_would_be_noticed() -> None:
    deployment = next(each for each in documents(built("local")) if each["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["imagee"] = "x"
    with pytest.raises(kubernetes_validate.ValidationError, match="imagee"):
        validated([deployment])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_ray_kinds_have_the_fields_of_kuberay(overlay: str) -> None:
    spec = cluster_of(overlay)
    assert spec.keys() <= CLUSTER
    assert spec["authOptions"].keys() <= AUTH
    assert spec["autoscalerOptions"].keys() <= AUTOSCALER
    assert spec["headGroupSpec"].keys() <= HEAD
    for group in spec["workerGroupSpecs"]:
        assert group.keys() <= GROUP
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for parameters in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        assert all(isinstance(value, str) for value in parameters["rayStartParams"].values())
    for each in (*of_kind(overlay, "RayCluster"), *of_kind(overlay, "RayJob")):
        assert each["apiVersion"] == "ray.io/v1"
        assert each.keys() == {"apiVersion", "kind", "metadata", "spec"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_cluster_asks_for_a_token_and_is_of_the_clients_version(overlay: str) -> None:
    spec = cluster_of(overlay)
    assert spec["authOptions"] == {"mode": "token", "secretName": "orch-secrets"}
    assert spec["rayVersion"] == pinned("ray")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_are_pinned_run_as_nobody_and_name_what_exists(overlay: str) -> None:
    content = documents(built(overlay))
    names = {(each["kind"], each["metadata"]["name"]) for each in content}
    for name, spec in pods(overlay).items():
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        for container in (*spec.get("initContainers", []), *spec["containers"]):
            assert is_pinned(container["image"]), (name, container["image"])
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]
            mounts = {mount["name"] for mount in container.get("volumeMounts", [])}
            claims = {"data"} if name == "postgres" else set()
            assert mounts <= {volume["name"] for volume in spec.get("volumes", [])} | claims, name
        for each in walk(spec):
            if not isinstance(each, dict):
                continue
            for key, kind in (("configMapRef", "ConfigMap"), ("configMap", "ConfigMap")):
                if key in each:
                    assert (kind, each[key]["name"]) in names, (name, each)
            for key in ("secretKeyRef", "secretRef"):
                if key in each:
                    assert each[key]["name"] in SECRETS
            if "persistentVolumeClaim" in each:
                assert ("PersistentVolumeClaim", each["persistentVolumeClaim"]["claimName"]) in names
    assert not [each for each in content if each["kind"] == "Secret"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nothing_reaches_a_pod_that_no_policy_names(overlay: str) -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in of_kind(overlay, "NetworkPolicy")}
    assert policies["nobody"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    assert policies.keys() == {"nobody", "ray", "postgres", "mlflow", "page"}
    for name, spec in policies.items():
        for rule in spec.get("ingress", []):
            assert rule["from"], name
    for kind in ("Deployment", "StatefulSet"):
        for each in of_kind(overlay, kind):
            assert each["spec"]["template"]["metadata"]["labels"]["app"] in policies
    for service in of_kind(overlay, "Service"):
        assert service["spec"].get("type", "ClusterIP") == "ClusterIP"


def test_gpu_workers_start_from_none() -> None:
    (group,) = (each for each in cluster_of("gpu")["workerGroupSpecs"] if each["groupName"] == "gpu")
    assert (group["minReplicas"], group["replicas"]) == (0, 0)
    (container,) = group["template"]["spec"]["containers"]
    assert container["image"].endswith("-gpu")
    assert container["resources"]["limits"]["nvidia.com/gpu"] == group["rayStartParams"]["num-gpus"] == "1"
    assert group["template"]["spec"]["tolerations"]


def test_the_job_has_the_cluster_that_would_stay() -> None:
    assert not of_kind("job", "RayCluster")
    (job,) = of_kind("job", "RayJob")
    assert job["spec"].keys() <= JOB
    assert job["spec"]["submissionMode"] in ("K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode")
    assert job["spec"]["shutdownAfterJobFinishes"] is True
    ours = YAML(typ="safe").load(job["spec"]["runtimeEnvYAML"])
    assert ours["env_vars"]["ORCH_RAY_ADDRESS"] == "auto"
    gpu = cluster_of("gpu")
    gpu["workerGroupSpecs"] = [each for each in gpu["workerGroupSpecs"] if each["groupName"] != "gpu"]
    assert cluster_of("job") == gpu


def test_a_bucket_needs_no_shared_volume() -> None:
    assert not of_kind("s3", "PersistentVolumeClaim")
    (settings,) = (each for each in of_kind("s3", "ConfigMap") if each["metadata"]["name"] == "orch")
    assert settings["data"]["ORCH_STORE"].startswith("s3://")
    used = [each for each in walk(cluster_of("s3")) if isinstance(each, dict) and "secretRef" in each]
    assert {each["secretRef"]["name"] for each in used} == {"orch-s3"}
    assert len(used) == 2  # head and workers


def test_settings_are_settings() -> None:
    from orchestrator.settings import Settings

    for overlay in OVERLAYS:
        (settings,) = (each for each in of_kind(overlay, "ConfigMap") if each["metadata"]["name"] == "orch")
        for name in settings["data"]:
            if name.startswith("ORCH_"):
                assert name.removeprefix("ORCH_").lower() in Settings.model_fields, name
        assert not re.search("password|secret|token", json.dumps(settings["data"]).lower())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_drivers_know_what_the_cluster_may_grow_to(overlay: str) -> None:
    (settings,) = (each for each in of_kind(overlay, "ConfigMap") if each["metadata"]["name"] == "orch")
    told = node_groups(settings["data"]["ORCH_SCALES_TO"])
    groups = []
    for group in cluster_of(overlay)["workerGroupSpecs"]:
        limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
        each = Resources(
            cpu=float(limits["cpu"]),
            gpu=float(limits.get("nvidia.com/gpu", 0)),
            memory_gb=float(limits["memory"].removesuffix("Gi")),
        )
        groups.append(NodeGroup(count=group["maxReplicas"], each=each))
    assert told == tuple(groups)
