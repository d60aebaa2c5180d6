#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Prints docs/reference/crds.md from the schemas in crd/."""
import os
import re

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ORDER = ["mssqlinstances", "mssqlbackuppolicies", "mssqlbackups", "mssqlrestorerequests", "mssqlrestorejobs"]


def kind_of(schema):
    kind = schema.get("type", "any")
    if kind == "array":
        return "list of " + kind_of(schema["items"])
    if kind == "object":
        return "object"
    return {"string": "text", "integer": "number", "boolean": "true, false"}.get(kind, kind)


def allowed(schema):
    words = []
    if "enum" in schema:
        words.append(", ".join(f"`{v}`" for v in schema["enum"]))
    if "minimum" in schema or "maximum" in schema:
        words.append(f"{schema.get('minimum', '')} to {schema['maximum']}" if "maximum" in schema else f"from {schema['minimum']}")
    if schema.get("format") == "date-time":
        words.append("a time such as 2026-11-21T02:47:00Z")
    if "items" in schema:
        words += allowed(schema["items"])
    return words


def rows(schema, path=""):
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        inner = field["items"] if field.get("type") == "array" else field
        shown = here + ("[]" if field.get("type") == "array" else "")
        note = "; ".join(filter(None, [field.get("description", ""), *allowed(field)]))
        default = field.get("default")
        yield (shown, kind_of(field), "" if default is None else f"`{str(default).lower() if isinstance(default, bool) else default}`",
               "yes" if name in required else "", re.sub(r"\|", r"\\|", note))
        if inner.get("type") == "object":
            yield from rows(inner, shown)


def table(schema):
    print("| field | type | default | required | what for |\n|---|---|---|---|---|")
    for row in rows(schema):
        print("| `" + row[0] + "` | " + " | ".join(row[1:]) + " |")
    print()


def rules(schema):
    found = [r["message"] for s in [schema] + list(schema["properties"].values()) for r in s.get("x-kubernetes-validations", [])]
    if found:
        print("Checked by the API server:\n")
        for message in found:
            print("- " + message)
        print()


def main():
    print("# Custom resources\n\nMade from the schemas in `crd/` by `tests/tools/crd_reference.py`. Group `dbaas.cozy.io`, version `v1alpha1`; all are namespaced.\n\nThe controller acts on them. It does not yet make new instances (`provision`, `verification.target: ephemeral`), and restores only into the instance that the backups are of.\n")
    for plural in ORDER:
        with open(os.path.join(ROOT, "crd", plural + ".yaml"), encoding="utf-8") as file:
            text = file.read()
        crd = yaml.safe_load(text)
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        names = crd["spec"]["names"]
        print(f"## {names['kind']}\n\n{text.splitlines()[1].lstrip('# ')} Short name `{names['shortNames'][0]}`.\n")
        rules({"properties": {"spec": schema["properties"]["spec"]}, **{k: v for k, v in schema.items() if k.startswith("x-")}})
        print("### spec\n")
        table(schema["properties"]["spec"])
        print("### status\n")
        table(schema["properties"]["status"])


main()
