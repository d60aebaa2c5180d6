{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/* The controller's configuration file: docs/reference/controller.md. Gives YAML. */}}
{{- define "mssql-helm.operatorConfig" -}}
{{- end -}}
