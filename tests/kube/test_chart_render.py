# SPDX-License-Identifier: Apache-2.0
"""What the chart renders to. No cluster is asked."""
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from chart import CASES, CHART, DATA, NAMESPACE, PROFILES, ROOT, ChartError, containers, find, golden, helm, objects, pod_specs, render, template

BUILD = os.environ.get("MSSQL_BUILD", str(ROOT / "build" / "asan"))
MONITORING = "monitoring.coreos.com/v1"


@pytest.mark.parametrize("case", CASES)
def test_renders_as_written_down_and_twice_the_same(case):
    text = render(case)
    assert text == golden(case).read_text(encoding="utf-8"), "look at the difference, then: python3 tests/tools/chart_golden.py"
    assert text == render(case)


@pytest.mark.parametrize("case", CASES)
def test_strict_lint(case):
    assert "0 chart(s) failed" in helm("lint", "--strict", CHART, "-f", CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_the_sidecar_takes_its_configuration(case, tmp_path):
    maps = [o for o in objects(render(case)) if o["kind"] == "ConfigMap" and o["metadata"]["name"].endswith("-sidecar")]
    assert len(maps) == (0 if case in ("no-sidecar", "platform-controller") else 1)
    for config_map in maps:
        config, password = tmp_path / "config.yaml", tmp_path / "password"
        config.write_text(config_map["data"]["config.yaml"], encoding="utf-8")
        password.write_text("x", encoding="utf-8")
        flags = ["--sql-password-file", password] + (["--sql-admin-password-file", password] if "adminUser" in config.read_text() else [])
        done = subprocess.run([f"{BUILD}/sidecar/mssql-sidecar", "--check-config", "--config", str(config), *map(str, flags)],
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("case", CASES)
def test_the_controller_takes_its_configuration(case, tmp_path):
    text = render(case)
    deployments = [o for o in objects(text) if o["kind"] == "Deployment"]
    assert len(deployments) == (0 if case in ("core-managed", "target", "least-rights", "no-sidecar") else 1)
    for deployment in deployments:
        name, spec = deployment["metadata"]["name"], deployment["spec"]["template"]["spec"]
        config = tmp_path / "config.yaml"
        config.write_text(find(text, "ConfigMap", name)["data"]["config.yaml"], encoding="utf-8")
        done = subprocess.run([f"{BUILD}/controller/mssql-controller", "--check-config", "--config", str(config)],
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        keys = yaml.safe_load(config.read_text(encoding="utf-8"))
        ports = {p["name"]: p["containerPort"] for p in spec["containers"][0]["ports"]}
        assert keys["grpc"]["listen"] == [f"0.0.0.0:{ports['grpc']}"] and keys["http"]["listen"] == f"0.0.0.0:{ports['http']}"
        mounts = {m["name"]: m["mountPath"] for m in spec["containers"][0]["volumeMounts"]}
        assert keys["grpc"]["tls"] == {"cert": mounts["tls"] + "/tls.crt", "key": mounts["tls"] + "/tls.key"}
        tls = [v["secret"] for v in spec["volumes"] if v["name"] == "tls"][0]
        assert {i["path"] for i in tls["items"]} == {"tls.crt", "tls.key"}  # never the key of the authority
        token = [s["serviceAccountToken"] for _, pod in pod_specs(text) for v in pod.get("volumes", []) for s in v.get("projected", {}).get("sources", [])
                 if "serviceAccountToken" in s]
        assert all(t["audience"] == keys["trust"]["audience"] for t in token)
        service = find(text, "Service", name)
        assert {p["name"] for p in service["spec"]["ports"]} == set(ports)


def test_names_that_scripts_rely_on():
    text = render("bundled-operator")
    full = "mssql-src-mssql-helm"
    base = {"app.kubernetes.io/name": "mssql-helm", "app.kubernetes.io/instance": "mssql-src"}
    db = find(text, "StatefulSet", f"{full}-db")
    assert db["spec"]["serviceName"] == f"{full}-db" and db["spec"]["volumeClaimTemplates"][0]["metadata"]["name"] == "data"
    assert db["spec"]["selector"]["matchLabels"] == {**base, "app.kubernetes.io/component": "mssql"}
    assert db["spec"]["template"]["spec"]["containers"][0]["volumeMounts"][0] == {"name": "data", "mountPath": "/var/opt/mssql"}
    service = find(text, "Service", f"{full}-db")
    assert service["spec"]["ports"] == [{"name": "tds", "port": 1433, "targetPort": "tds"}]
    instance = find(text, "MSSQLInstance", f"{full}-instance")
    assert instance["metadata"]["labels"]["app.kubernetes.io/component"] == "backup-policy"
    assert instance["spec"]["connection"] == {"host": f"{full}-db", "port": 1433, "user": "sa",
                                              "passwordSecretRef": {"name": f"{full}-sa", "key": "SA_PASSWORD"}}
    find(text, "PersistentVolumeClaim", f"{full}-instance-backup-store")
    for kind in ("ServiceAccount", "Role", "RoleBinding", "Deployment"):
        find(text, kind, f"{full}-operator")
    deployment = find(text, "Deployment", f"{full}-operator")
    assert deployment["spec"]["selector"]["matchLabels"] == {**base, "app.kubernetes.io/component": "operator"}
    assert find(template(release="my-mssql-helm"), "StatefulSet", "my-mssql-helm-db")


def test_no_password_is_in_what_is_rendered():
    for case in PROFILES:
        assert not [o for o in objects(render(case)) if o["kind"] == "Secret"]
    made = find(render("least-rights"), "Secret", "mssql-src-mssql-helm-sa")
    assert made["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


@pytest.mark.parametrize("case", CASES)
def test_pods_have_no_rights(case):
    for where, spec in pod_specs(render(case)):
        assert spec["securityContext"]["runAsNonRoot"] is True and spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, where
        for container in containers(spec):
            context, name = container["securityContext"], f"{where} {container['name']}"
            assert context["allowPrivilegeEscalation"] is False and context["capabilities"] == {"drop": ["ALL"]}, name
            assert container["name"] == "mssql" or context["readOnlyRootFilesystem"] is True, name  # SQL Server writes beside its volume
            assert container["resources"]["requests"]["memory"] and container["resources"]["limits"]["memory"], name


@pytest.mark.parametrize("case", [c for c in CASES if c not in ("no-sidecar", "platform-controller", "own-statefulset")])
def test_the_sidecar_gates_nothing_and_sees_no_database_file(case):
    spec = [s for where, s in pod_specs(render(case)) if where.startswith("StatefulSet")][0]
    server, every = spec["containers"][0], {c["name"]: c for c in containers(spec)}
    sidecar = every["mssql-sidecar"]
    assert "readinessProbe" not in sidecar and "startupProbe" not in sidecar
    ports = {"9187", "9287", "http-sidecar"}
    for probe in ("startupProbe", "readinessProbe"):
        assert str(server[probe]["tcpSocket"]["port"]) not in ports
    data = [m for m in sidecar["volumeMounts"] if m["name"] == "data"]
    assert data and all(m.get("subPath") in ("mssql-sidecar", "backup-staging") for m in data if case != "odd-names")
    assert all("subPath" in m for m in data)
    assert not any(m["mountPath"] == "/var/opt/mssql" for m in sidecar["volumeMounts"])
    staging = [m for m in server["volumeMounts"] if m["mountPath"].startswith("/var/opt/mssql/")]
    assert len(staging) == 1 and staging[0] in sidecar["volumeMounts"]
    made = every["prepare-volumes"]["args"][2]
    assert made.split("/")[-1] == staging[0]["subPath"] and made.split("/")[2] == staging[0]["name"]
    config = yaml.safe_load([o for o in objects(render(case)) if o["kind"] == "ConfigMap" and o["metadata"]["name"].endswith("-sidecar")][0]["data"]["config.yaml"])
    assert config["paths"]["staging"] == staging[0]["mountPath"]
    hook = server["lifecycle"]["preStop"]["httpGet"]
    assert hook["path"] == "/prestop" and config["http"]["prestopListen"].endswith(f":{hook['port']}")
    volumes = {v["name"] for v in spec["volumes"]} | ({"data"} if case != "existing" else set())
    assert {m["name"] for c in every.values() for m in c["volumeMounts"]} <= volumes


def test_clusters_without_native_sidecars():
    for text in (render("ordinary"), template(kube="1.28.9")):
        spec = find(text, "StatefulSet", "mssql-src-mssql-helm-db")["spec"]["template"]["spec"]
        assert [c["name"] for c in spec["initContainers"]] == ["prepare-volumes"]
        assert [c["name"] for c in spec["containers"]] == ["mssql", "mssql-sidecar"]
        assert spec["containers"][1]["lifecycle"] == spec["containers"][0]["lifecycle"] and "restartPolicy" not in spec["containers"][1]
    for text in (template(), template("--set", "sidecar.native=true", kube="1.28.9")):
        spec = find(text, "StatefulSet", "mssql-src-mssql-helm-db")["spec"]["template"]["spec"]
        assert [c["name"] for c in spec["initContainers"]] == ["prepare-volumes", "mssql-sidecar"]
        assert spec["initContainers"][1]["restartPolicy"] == "Always" and "lifecycle" not in spec["initContainers"][1]


def test_what_is_there_already_is_not_made():
    text = render("existing")
    assert sorted(o["kind"] for o in objects(text)) == [
        "ConfigMap", "ConfigMap", "Deployment", "Job", "MSSQLInstance", "Pod", "Role", "Role", "RoleBinding", "RoleBinding", "Service", "Service",
        "ServiceAccount", "ServiceAccount", "StatefulSet"]
    assert "--secret" not in find(text, "Job", "mssql-src-mssql-helm-bootstrap")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert find(text, "Deployment", "mssql-src-mssql-helm-operator")["spec"]["template"]["spec"]["serviceAccountName"] == "my-account"
    spec = find(text, "StatefulSet", "mssql-src-mssql-helm-db")["spec"]
    assert "volumeClaimTemplates" not in spec
    claims = {v["name"]: v["persistentVolumeClaim"]["claimName"] for v in spec["template"]["spec"]["volumes"] if "persistentVolumeClaim" in v}
    assert claims == {"data": "my-data", "staging": "my-staging", "backup-store": "my-backups"}
    secrets = {v["secret"]["secretName"]: v["secret"]["items"][0]["key"] for v in spec["template"]["spec"]["volumes"] if "secret" in v}
    assert secrets == {"my-login": "pw", "my-sa": "password"}


def test_what_holds_data_outlives_the_release():
    claims = [o for o in objects(render("everything")) if o["kind"] == "PersistentVolumeClaim"]
    assert sorted(c["metadata"]["name"] for c in claims) == ["mssql-src-mssql-helm-staging", "production-backup-store"]
    for claim in claims:
        assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep", "argocd.argoproj.io/sync-options": "Prune=false",
                                                    "kustomize.toolkit.fluxcd.io/prune": "disabled"}


def rights(text: str, kinds=("Role", "ClusterRole")) -> set[tuple[str, str, str]]:
    return {(o["kind"], resource, verb) for o in objects(text) if o["kind"] in kinds and "helm.sh/hook" not in o["metadata"].get("annotations", {})
            for rule in o["rules"] for resource in rule["resources"] for verb in rule["verbs"]}


def test_rights_come_only_with_what_needs_them():
    least = rights(template())
    assert {kind for kind, _, _ in least} == {"Role"}
    resources = {resource for _, resource, _ in least}
    assert not resources & {"statefulsets", "tokenreviews", "subjectaccessreviews"} and not {r for r in resources if r == "*"}
    assert ("Role", "pods", "patch") not in least and ("Role", "services", "create") not in least
    assert ("Role", "secrets", "list") not in least and ("Role", "secrets", "watch") not in least
    assert "*" not in {verb for _, _, verb in least}
    more = rights(template("--set", "operator.rbac.provision=true"))
    assert more > least and ("Role", "statefulsets", "create") in more
    assert rights(template("--set", "operator.rbac.upgradePods=true")) - least == {("Role", "pods", "patch")}
    assert rights(template("--set", "operator.rbac.clusterAuth=true")) - least == {
        ("ClusterRole", "tokenreviews", "create"), ("ClusterRole", "subjectaccessreviews", "create")}
    assert not [o for o in objects(render("core-managed")) if o["kind"] in ("Role", "ClusterRole") and "helm.sh/hook" not in o["metadata"].get("annotations", {})]
    assert {(o["kind"], o["metadata"].get("namespace")) for o in objects(render("everything"))
            if o["kind"] == "RoleBinding" and o["metadata"]["name"] == "mssql-src-mssql-helm-operator"} == {("RoleBinding", "one"), ("RoleBinding", "two")}
    named = [r for o in objects(render("everything")) if o["kind"] == "Role" and o["metadata"]["name"] == "mssql-src-mssql-helm-operator"
             for r in o["rules"] if r["resources"] == ["secrets"]]
    assert all(r["resourceNames"] == ["sa-login", "s3"] for r in named) and named


@pytest.mark.parametrize("case,address", [("bundled-operator", f"mssql-src-mssql-helm-operator.{NAMESPACE}.svc:8443"),
                                          ("target", f"mssql-controller.{NAMESPACE}.svc:8443"), ("everything", "controller.platform.svc:8443"),
                                          ("least-rights", None)])
def test_where_the_sidecar_finds_its_controller(case, address):
    text = render(case)
    config = yaml.safe_load([o for o in objects(text) if o["kind"] == "ConfigMap" and o["metadata"]["name"].endswith("-sidecar")][0]["data"]["config.yaml"])
    assert config.get("controller") == ({"address": address, "release": "mssql-src"} if address else None)
    volumes = [v for _, spec in pod_specs(text) for v in spec.get("volumes", []) if v["name"] == "sidecar-controller"]
    assert len(volumes) == (1 if address else 0)
    if case == "everything":
        token, bundle = volumes[0]["projected"]["sources"]
        assert token["serviceAccountToken"]["audience"] == "platform" and bundle["configMap"]["name"] == "platform-ca"


def test_library_templates_in_another_chart(tmp_path):
    shutil.copytree(DATA / "own", tmp_path / "own")
    shutil.copytree(CHART, tmp_path / "own" / "charts" / "mssql-helm")
    for kube, where in (("1.34.0", "initContainers"), ("1.28.0", "containers")):
        text = template(chart=tmp_path / "own", release="shop", kube=kube)
        spec = find(text, "StatefulSet", "shop-db")["spec"]["template"]["spec"]
        own = template("-f", CASES["own-statefulset"], release="shop", kube=kube)
        assert find(text, "ConfigMap", "shop-mssql-helm-sidecar")["data"] and find(own, "ConfigMap", "shop-mssql-helm-sidecar")["data"]
        ours = template("--set", "mssql.auth.existingSecret=shop-sa,mssql.auth.saPasswordKey=password", release="shop", kube=kube)
        ours = find(ours, "StatefulSet", "shop-mssql-helm-db")["spec"]["template"]["spec"]
        same = yaml.safe_load(yaml.safe_dump(spec).replace("disk", "data"))
        assert [c for c in same[where] if c["name"] == "mssql-sidecar"] == [c for c in ours[where] if c["name"] == "mssql-sidecar"] != []
        assert same["initContainers"][0] == ours["initContainers"][0] and same["volumes"] == ours["volumes"]
        instance = find(text, "MSSQLInstance", "shop-mssql-helm-instance")
        assert instance["spec"]["connection"]["host"] == "shop-db" and instance["spec"]["connection"]["passwordSecretRef"]["name"] == "shop-sa"
        assert [o["metadata"]["name"] for o in objects(text) if o["kind"] == "StatefulSet"] == ["shop-db"]


def described(page: str, prefix: str) -> dict[str, set[str]]:
    """Metrics of a reference page, with their labels."""
    rows = re.findall(rf"^\| `({prefix}\w+)` \| (?:gauge|counter|histogram) \|([^|]*)\|", (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8"), re.M)
    return {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}


def test_metrics_of_the_controller_are_described():
    source = (ROOT / "controller" / "figures.c").read_text(encoding="utf-8")
    declared = {}
    for name, rest in re.findall(r'metrics_(?:gauge|counter|histogram)\(\s*r, "(\w+)",(.*?)\);', source, re.S):
        declared[name] = set(re.findall(r'"(\w+)"', rest.split('.",', 1)[1] if '.",' in rest else ""))
    documented = described("controller-metrics.md", "mssql_controller_")
    documented.pop("mssql_controller_metrics_overflow_total")  # every program has it
    assert len(declared) > 15 and documented == declared


def test_alerts_are_those_of_the_documents_and_their_metrics_exist():
    guide = (ROOT / "docs" / "guide" / "monitoring.md").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "reference" / "controller-metrics.md").read_text(encoding="utf-8")
    groups = yaml.safe_load(re.search(r"```yaml\n(groups:.*?)```", guide, re.S).group(1))["groups"]
    own = yaml.safe_load(re.search(r"```yaml\n(- name:.*?)```", page, re.S).group(1))
    assert find(render("everything"), "PrometheusRule", "mssql-src-mssql-helm-alerts")["spec"] == {"groups": groups + own}
    alone = template("--set", "metrics.prometheusRule.enabled=true,operator.enabled=false")
    assert find(alone, "PrometheusRule", "mssql-src-mssql-helm-alerts")["spec"] == {"groups": groups}
    known = {**described("metrics.md", "mssql_sidecar_"), **described("controller-metrics.md", "mssql_controller_")}
    for alert in [rule for group in groups + own for rule in group["rules"]]:
        asked = re.findall(r"\b(mssql_\w+)(?:\{([^}]*)\})?", alert["expr"])
        assert asked or "up{" in alert["expr"], alert
        for name, labels in asked:
            assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", labels)) <= known[name], f"{alert['alert']}: {name}"
        assert alert["labels"]["severity"] in ("critical", "warning") and alert["annotations"]["summary"]


def test_monitors_select_what_is_there():
    text = render("everything")
    pods = {tuple(sorted(o["spec"]["template"]["metadata"]["labels"].items())): containers(o["spec"]["template"]["spec"])
            for o in objects(text) if "template" in o.get("spec", {})}
    services = [o for o in objects(text) if o["kind"] == "Service"]
    monitors = [o for o in objects(text) if o["apiVersion"] == MONITORING and o["kind"] != "PrometheusRule"]
    assert len(monitors) == 4
    for monitor in monitors:
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        if monitor["kind"] == "ServiceMonitor":
            service = [s for s in services if wanted <= s["metadata"]["labels"].items()]
            assert len(service) == 1
            assert monitor["spec"]["endpoints"][0]["port"] == service[0]["spec"]["ports"][0]["name"]
            port, wanted = service[0]["spec"]["ports"][0]["targetPort"], service[0]["spec"]["selector"].items()
        else:
            port = monitor["spec"]["podMetricsEndpoints"][0]["port"]
        selected = [c for labels, c in pods.items() if wanted <= dict(labels).items()]
        assert len(selected) == 1 and any(p["name"] == port for c in selected[0] for p in c.get("ports", []))


def test_network_policy_closes_the_hook():
    for case in ("everything", "least-rights"):
        policy = find(render(case), "NetworkPolicy", "mssql-src-mssql-helm-db")
        open_ports = {p["port"] for rule in policy["spec"]["ingress"] for p in rule["ports"]}
        spec = find(render(case), "StatefulSet", "mssql-src-mssql-helm-db")["spec"]["template"]["spec"]
        assert spec["containers"][0]["lifecycle"]["preStop"]["httpGet"]["port"] not in open_ports
        assert "tds" in open_ports and all(rule["from"] for rule in policy["spec"]["ingress"])


def test_reference_is_up_to_date():
    made = subprocess.run([sys.executable, ROOT / "tests" / "tools" / "chart_reference.py"], capture_output=True, text=True, check=True).stdout
    assert (ROOT / "docs" / "reference" / "chart.md").read_text(encoding="utf-8") == made, "tests/tools/chart_reference.py > docs/reference/chart.md"


def test_every_value_is_in_the_schema():
    """Nested values with a fixed form are closed: a wrong key is refused, not ignored."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))

    def walk(values, part, path):
        for key, value in values.items():
            assert key in part["properties"], f"{path}{key}"
            inner = part["properties"][key]
            if isinstance(value, dict) and "properties" in inner:
                walk(value, inner, f"{path}{key}.")

    assert schema["additionalProperties"] is False
    walk(yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8")), schema, "")


REFUSED = [
    ("autoBackup.retentionDays=31", "/autoBackup/retentionDays"),
    ("autoBackup.logBackupIntervalMinutes=0", "/autoBackup/logBackupIntervalMinutes"),
    ("autoBackup.mode=tape", "/autoBackup/mode"),
    ("autoBackup.fullBackupSchedule=daily", "/autoBackup/fullBackupSchedule"),
    ("autoBackup.targets.rpoTarget=soon", "/autoBackup/targets/rpoTarget"),
    ("autoBackup.databasez=a", "databasez"),
    ("mssql.persistence.size=much", "/mssql/persistence/size"),
    ("mssql.service.port=70000", "/mssql/service/port"),
    ("mssql.terminationGracePeriodSeconds=5", "/mssql/terminationGracePeriodSeconds"),
    ("sidecar.native=maybe", "/sidecar/native"),
    ("sidecar.staging.folder=../x", "/sidecar/staging/folder"),
    ("sidecar.controller.address=controller", "/sidecar/controller/address"),
    ("operator.replicas=-1", "/operator/replicas"),
    ("operator.namespaces={A}", "/operator/namespaces/0"),
    ("typo.x=1", "typo"),
    ("autoBackup.mode=disk_then_upload", "autoBackup.mode disk_then_upload is not in this version"),
    ("autoBackup.mode=native_url", "Set autoBackup.mode=local_pvc"),
    ("autoBackup.allDatabases=false", "nothing would be backed up"),
    ("mssql.enabled=false", "name its Secret in mssql.auth.existingSecret"),
    ("sidecar.staging.existingClaim=a,sidecar.staging.size=1Gi", "not both"),
    ("operator.namespaces={*,a}", "is all namespaces already"),
    ("operator.serviceAccount.create=false", "and so to every pod that names none"),
    ("fullnameOverride=" + "n" * 50, "set fullnameOverride"),
]


@pytest.mark.parametrize("change,says", REFUSED, ids=[change for change, _ in REFUSED])
def test_refused_with_a_sentence(change, says):
    with pytest.raises(ChartError) as refused:
        template("--set", change)
    assert says in str(refused.value)
