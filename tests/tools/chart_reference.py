# SPDX-License-Identifier: Apache-2.0
"""Prints docs/reference/chart.md from the comments of values.yaml."""
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEAD = """<!-- Printed by tests/tools/chart_reference.py from helm/mssql-helm/values.yaml; a test compares. Change the comments there. -->
# Values of the chart

`helm/mssql-helm`. [Installing](../guide/install.md) says how they go together. A value that is not here is refused, by the chart's schema, with its
path; values that do not go together are refused with a sentence that says what to do.

Two profiles come with it, and a third for a platform team's own release: `values-bundled-operator.yaml` (SQL Server, sidecar and a controller for
the namespace), `values-core-managed.yaml` (a platform team owns the controller and its rights), `values-platform-controller.yaml` (that controller).
"""
FOOT = """
## Names

`<fullname>` is `<release>-mssql-helm`, or the release's name alone when that contains `mssql-helm`, or `fullnameOverride`.

| object | name |
|---|---|
| StatefulSet and Service of SQL Server, port `tds` | `<fullname>-db` |
| claim of its data | `data-<fullname>-db-0` |
| Secret of sa | `<fullname>-sa`, key `SA_PASSWORD` |
| Secret of the sidecar's login | `<fullname>-backup-login`, key `PASSWORD` |
| configuration of the sidecar | ConfigMap `<fullname>-sidecar` |
| MSSQLInstance | `<fullname>-instance` |
| its policy | `<instance>-backup-policy` |
| claim of the backups | `<instance>-backup-store` |
| controller, its account, Role, RoleBinding, Service, ConfigMap | `<fullname>-operator` |
| what a namespace has once: Service and Lease of its controllers | `mssql-controller` |
| certificate of the controllers, and its authority for sidecars | Secret `mssql-controller-tls`, ConfigMap `mssql-controller-ca` |

Labels: `app.kubernetes.io/name=mssql-helm`, `/instance=<release>`, `/component=mssql` on SQL Server's pods, `operator` on the controller's,
`backup-policy` on the MSSQLInstance.
"""


def rows(text: str):
    """(section comment, [(path, default, comment)]) of each top-level key."""
    path, comment, sections = [], [], []
    for line in text.splitlines():
        if not line.strip():
            comment = []
        elif line.strip().startswith("#"):
            comment.append(line.strip().lstrip("# "))
        else:
            indent, key, value = re.match(r"( *)([\w-]+):\s*(.*)$", line).groups()
            path = path[: len(indent) // 2] + [key]
            if not indent:
                sections.append((key, " ".join(comment) if not value else "", []))
            note = " ".join(comment) if value or indent else ""
            if value:
                sections[-1][2].append((".".join(path), value, note))
            elif indent and note:
                sections[-1][2].append((".".join(path), "", note))
            comment = []
    return sections


def page() -> str:
    out = [HEAD]
    single = []
    text = (ROOT / "helm" / "mssql-helm" / "values.yaml").read_text(encoding="utf-8").split("\n", 3)[3]
    for key, about, found in rows(text):
        if len(found) == 1 and found[0][0] == key:
            single.append(found[0])
            continue
        out.append(f"\n## {key}\n\n" + (f"{about}\n\n" if about else "") + "| value | default | what for |\n|---|---|---|")
        out += [f"| `{path}` | {f'`{default}`' if default else ''} | {note.replace('|', chr(92) + '|').replace('<', '&lt;')} |" for path, default, note in found]
    out.append("\n## All the rest\n\n| value | default | what for |\n|---|---|---|")
    out += [f"| `{path}` | `{default}` | {note} |" for path, default, note in single]
    return "\n".join(out) + "\n" + FOOT


if __name__ == "__main__":
    print(page(), end="")
