"""Each file of deploy/ is checked by the tool of its kind, and for what we promise of it: nobody is root, nothing is `latest`, no secret is written down."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
RESOURCES = [
    pytest.param(resource, id=f"{path.stem}-{resource['kind']}-{resource['metadata']['name']}")
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for resource in yaml.safe_load_all(path.read_text())
]
DEPLOYMENTS = [parameter for parameter in RESOURCES if parameter.values[0]["kind"] == "Deployment"]
VERSION = "1.34"
SECRET = re.compile(r"(KEY|PASSWORD|SECRET|WEBHOOK)")


def test_the_compose_file_is_one_by_its_specification():
    compose_spec = pytest.importorskip("compose_spec", reason="compose-spec is not installed")
    compose_spec.ComposeSpecification.model_validate(COMPOSE)


@pytest.mark.parametrize("resource", RESOURCES)
def test_a_kubernetes_file_fits_the_schema_of_its_kind(resource):
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    kubernetes_validate.validate(resource, VERSION, strict=True)


def test_the_schema_check_would_see_a_wrong_name():
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    wrong = {**DEPLOYMENTS[0].values[0], "spec": {**DEPLOYMENTS[0].values[0]["spec"], "replica": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_service_has_the_least_it_needs(name):
    service = COMPOSE["services"][name]
    assert int(service["user"].split(":")[0]) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert is_pinned(service["image"])
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    secrets = {key: value for key, value in service.get("environment", {}).items() if SECRET.search(key)}
    assert all(re.fullmatch(r"\$\{\w+(:\?[^}]*|:-)\}", value) for value in secrets.values())


@pytest.mark.parametrize("resource", DEPLOYMENTS)
def test_a_pod_has_the_least_it_needs(resource):
    pod = resource["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert is_pinned(container["image"])
    assert "memory" in container["resources"]["limits"]
    assert not [variable for variable in container["env"] if SECRET.search(variable["name"])]


def test_every_command_starts_a_module_that_is_there():
    commands = [service["command"] for service in COMPOSE["services"].values() if service.get("command", [""])[0] == "python"]
    commands += [parameter.values[0]["spec"]["template"]["spec"]["containers"][0]["command"] for parameter in DEPLOYMENTS]
    assert {command[2] for command in commands} == {"assets.web", "assets.worker", "dagster._daemon"}
    assert all(importlib.util.find_spec(command[2]) for command in commands)


def test_the_image_is_pinned_and_nobody_is_root_in_it():
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    assert all(is_pinned(line.split()[1]) for line in lines if line.startswith("FROM "))
    assert "USER 10001:10001" in lines


def test_an_instance_opens_by_the_settings_for_several_machines(tmp_path, monkeypatch):
    import dagster as dg

    from assets.worker import WorkerLauncher

    (tmp_path / "dagster.yaml").write_bytes((DEPLOY / "dagster-cluster.yaml").read_bytes())
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("RECONCILIATION_BROKER", "redis://127.0.0.1:6379/0")
    monkeypatch.delenv("DAGSTER_POSTGRES_URL", raising=False)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert isinstance(instance.run_launcher, WorkerLauncher)
        assert instance.run_monitoring_enabled
        limits = instance.get_concurrency_config().run_queue_config.tag_concurrency_limits
        assert {limit["key"] for limit in limits} == {"reconciliation/account", "dagster/partition/account", "dagster/partition/book"}


def test_as_many_runs_at_once_as_there_are_workers():
    settings = yaml.safe_load((DEPLOY / "dagster-cluster.yaml").read_text())
    [worker] = [parameter.values[0] for parameter in DEPLOYMENTS if parameter.values[0]["metadata"]["name"] == "reconciliation-worker"]
    assert COMPOSE["services"]["worker"]["deploy"]["replicas"] == worker["spec"]["replicas"] == settings["concurrency"]["runs"]["max_concurrent_runs"]


def is_pinned(image: str) -> bool:
    """Tell whether an image names a version, and not one that moves."""
    _, separator, tag = image.rpartition(":")
    return bool(separator) and bool(re.search(r"\d+\.\d+", tag))
