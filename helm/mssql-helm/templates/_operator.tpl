{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/* The controller's configuration file: docs/reference/controller.md. Gives YAML. */}}
{{- define "mssql-helm.operatorConfig" -}}
{{- $o := .Values.operator -}}
{{- $tls := "/var/run/secrets/mssql-controller-tls" -}}
{{- $config := dict
  "lease" (include "mssql-helm.wellKnown" .)
  "grpc" (dict "listen" (list (printf "0.0.0.0:%d" (int $o.service.port))) "tls" (dict "cert" (printf "%s/tls.crt" $tls) "key" (printf "%s/tls.key" $tls)))
  "http" (dict "listen" (printf "0.0.0.0:%d" (int $o.http.port)))
  "trust" (dict "audience" .Values.sidecar.controller.audience)
  "provisioning" (dict "enabled" $o.rbac.provision) -}}
{{- with $o.namespaces }}{{ $_ := set $config "namespaces" . }}{{ end -}}
{{- with $o.callers }}{{ $_ := set $config "callers" . }}{{ end -}}
{{- toYaml (mergeOverwrite $config (deepCopy $o.config)) -}}
{{- end -}}

{{/* The Secret with the controller's certificate. */}}
{{- define "mssql-helm.tlsSecret" -}}{{ .Values.operator.tls.existingSecret | default (printf "%s-tls" (include "mssql-helm.wellKnown" .)) }}{{- end -}}
