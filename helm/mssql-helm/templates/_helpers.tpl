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
app.kubernetes.io/name: {{ include "mssql-helm.name" (index . 0) }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
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

{{/* Is there a Secret to be made? */}}
{{- define "mssql-helm.makesSecrets" -}}
{{- if and .Values.bootstrap.enabled (or (and .Values.mssql.enabled (not .Values.mssql.auth.existingSecret) (not .Values.mssql.auth.saPassword)) (and .Values.sidecar.enabled (not .Values.sidecar.login.existingSecret))) -}}true{{- end -}}
{{- end -}}

{{/* No root, no rights, nothing writable but volumes. */}}
{{- define "mssql-helm.locked" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}
