{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/* Names that scripts rely on. They are cut at 63 characters. */}}
{{- define "mssql-helm.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "mssql-helm.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* "mssql-helm.sub" (list . "db"): <fullname>-db */}}
{{- define "mssql-helm.sub" -}}
{{- printf "%s-%s" (include "mssql-helm.fullname" (index . 0) | trunc (int (sub 62 (len (index . 1)))) | trimSuffix "-") (index . 1) -}}
{{- end -}}

{{- define "mssql-helm.db" -}}{{ include "mssql-helm.sub" (list . "db") }}{{- end -}}
{{- define "mssql-helm.operator" -}}{{ include "mssql-helm.sub" (list . "operator") }}{{- end -}}
{{- define "mssql-helm.instance" -}}{{ .Values.autoBackup.instanceName | default (include "mssql-helm.sub" (list . "instance")) }}{{- end -}}
{{- define "mssql-helm.backupClaim" -}}{{ .Values.autoBackup.storage.backupData.pvcName | default (printf "%s-backup-store" (include "mssql-helm.instance" .)) }}{{- end -}}
{{- define "mssql-helm.stagingClaim" -}}{{ .Values.sidecar.staging.existingClaim | default (ternary (include "mssql-helm.sub" (list . "staging")) "" (ne .Values.sidecar.staging.size "")) }}{{- end -}}
{{- define "mssql-helm.saSecret" -}}{{ .Values.mssql.auth.existingSecret | default .Values.mssql.auth.secretName | default (include "mssql-helm.sub" (list . "sa")) }}{{- end -}}
{{- define "mssql-helm.loginSecret" -}}{{ .Values.sidecar.login.existingSecret | default (include "mssql-helm.sub" (list . "backup-login")) }}{{- end -}}
{{- define "mssql-helm.operatorAccount" -}}
{{- if .Values.operator.serviceAccount.create -}}
{{- .Values.operator.serviceAccount.name | default (include "mssql-helm.operator" .) -}}
{{- else -}}
{{- .Values.operator.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}
{{- define "mssql-helm.sidecarImage" -}}{{ printf "%s:%s" .Values.sidecar.image.repository (.Values.sidecar.image.tag | default .Chart.AppVersion) }}{{- end -}}
{{- define "mssql-helm.operatorImage" -}}{{ printf "%s:%s" .Values.operator.image.repository (.Values.operator.image.tag | default .Chart.AppVersion) }}{{- end -}}

{{/* Labels that select: never change, a StatefulSet's selector is immutable. */}}
{{- define "mssql-helm.selector" -}}
app.kubernetes.io/name: {{ include "mssql-helm.name" (index . 0) | quote }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "mssql-helm.labels" -}}
{{ include "mssql-helm.selector" . }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version | replace "+" "_" }}
{{- with (index . 0).Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Does this cluster have native sidecars? */}}
{{- define "mssql-helm.native" -}}
{{- if eq (toString .Values.sidecar.native) "auto" -}}
{{- if semverCompare ">=1.29.0-0" .Capabilities.KubeVersion.Version -}}true{{- end -}}
{{- else if eq (toString .Values.sidecar.native) "true" -}}true{{- end -}}
{{- end -}}

{{/* Secrets that the bootstrap Job makes when they are missing: JSON, [{name, key}]. */}}
{{- define "mssql-helm.bootstrapSecrets" -}}
{{- $made := list -}}
{{- if and .Values.mssql.enabled (not .Values.mssql.auth.existingSecret) (not .Values.mssql.auth.saPassword) -}}
{{- $made = append $made (dict "name" (include "mssql-helm.saSecret" .) "key" .Values.mssql.auth.saPasswordKey) -}}
{{- end -}}
{{- if and .Values.sidecar.enabled (not .Values.sidecar.login.existingSecret) -}}
{{- $made = append $made (dict "name" (include "mssql-helm.loginSecret" .) "key" .Values.sidecar.login.passwordKey) -}}
{{- end -}}
{{- toJson $made -}}
{{- end -}}

{{/* One name in every namespace that has a controller: its Lease, the Service that any release's sidecar finds it by, and, with
"-ca" and "-tls", the certificates. */}}
{{- define "mssql-helm.wellKnown" -}}mssql-controller{{- end -}}

{{/* host:port that the sidecar dials; empty: no controller. */}}
{{- define "mssql-helm.controllerAddress" -}}
{{- $a := .Values.sidecar.controller.address -}}
{{- if eq $a "none" -}}
{{- else if $a -}}{{ $a }}
{{- else -}}
{{- printf "%s.%s.svc:%d" (ternary (include "mssql-helm.operator" .) (include "mssql-helm.wellKnown" .) .Values.operator.enabled) .Release.Namespace (int .Values.operator.service.port) -}}
{{- end -}}
{{- end -}}

{{/* Annotations of a hook; the argument is its weight. */}}
{{- define "mssql-helm.hook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{- define "mssql-helm.testHook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation
{{- end -}}

{{/* Does the release have an MSSQLInstance? */}}
{{- define "mssql-helm.makesInstance" -}}
{{- if and .Values.autoBackup.enabled .Values.autoBackup.createInstance (or .Values.mssql.enabled .Values.mssql.service.name) -}}true{{- end -}}
{{- end -}}

{{/* Things that outlive the release: Helm, Argo CD and Flux each have a word for it. */}}
{{- define "mssql-helm.keep" -}}
helm.sh/resource-policy: keep
argocd.argoproj.io/sync-options: Prune=false
kustomize.toolkit.fluxcd.io/prune: disabled
{{- end -}}

{{/* (list . VALUES): what pods of ours have in common; VALUES gives nodeSelector, tolerations, affinity. */}}
{{- define "mssql-helm.podBasics" -}}
securityContext: {runAsUser: 10001, runAsGroup: 10001, fsGroup: 10001, runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
{{- $v := index . 1 }}
{{- with (index . 0).Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- range $k := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" }}
{{- with index $v $k }}
{{ $k }}: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* No root, no rights, nothing writable but volumes. */}}
{{- define "mssql-helm.locked" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* Prometheus labels as the alerts expect them: job by kind of program, instance by pod. */}}
{{- define "mssql-helm.relabel" -}}
- {targetLabel: job, replacement: {{ .job }}}
- {sourceLabels: [__meta_kubernetes_namespace, __meta_kubernetes_pod_name], separator: /, targetLabel: instance}
{{- end -}}

{{/* (list . VERSION KIND NAME): "true" unless the cluster has one that this release did not make. An earlier controller made the
backup claim itself, and Helm refuses to take over what it did not make. Without a cluster nothing is there, so the answer is
always the same. */}}
{{- define "mssql-helm.ours" -}}
{{- $root := index . 0 -}}
{{- $there := lookup (index . 1) (index . 2) $root.Release.Namespace (index . 3) -}}
{{- if or (not $there) (eq (dig "metadata" "annotations" "meta.helm.sh/release-name" "" $there) $root.Release.Name) -}}true{{- end -}}
{{- end -}}
