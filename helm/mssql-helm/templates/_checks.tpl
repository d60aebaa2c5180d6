{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/* What a schema cannot say: values that do not go together. Each refusal says what to do. */}}
{{- define "mssql-helm.checks" -}}
{{- $v := .Values -}}
{{- $db := include "mssql-helm.db" . -}}
{{- if and $v.mssql.enabled (gt (len $db) 52) -}}
{{- fail (printf "the StatefulSet's name %s has %d characters; Kubernetes cannot make its pods beyond 52. Choose a shorter release name, or set fullnameOverride" $db (len $db)) -}}
{{- end -}}
{{- if and $v.sidecar.enabled $v.autoBackup.enabled (ne $v.autoBackup.mode "local_pvc") -}}
{{- fail (printf "autoBackup.mode %s is not in this version: the sidecar keeps backups on a volume. Set autoBackup.mode=local_pvc" $v.autoBackup.mode) -}}
{{- end -}}
{{- if and $v.sidecar.enabled $v.sidecar.login.admin (not $v.mssql.enabled) (not $v.mssql.auth.existingSecret) -}}
{{- fail "mssql.enabled is false, so the sa password is yours: name its Secret in mssql.auth.existingSecret, or set sidecar.login.admin=false and make the backup login yourself" -}}
{{- end -}}
{{- if and $v.sidecar.staging.existingClaim $v.sidecar.staging.size -}}
{{- fail "sidecar.staging.existingClaim and sidecar.staging.size: a claim that is there, or one that is made, not both" -}}
{{- end -}}
{{- if and $v.autoBackup.enabled (not $v.autoBackup.allDatabases) (not $v.autoBackup.databases) -}}
{{- fail "autoBackup.allDatabases is false and autoBackup.databases is empty: nothing would be backed up. Name databases, or set autoBackup.enabled=false" -}}
{{- end -}}
{{- if and $v.operator.enabled (has "*" $v.operator.namespaces) (gt (len $v.operator.namespaces) 1) -}}
{{- fail "operator.namespaces: \"*\" is all namespaces already; leave the others out" -}}
{{- end -}}
{{- if and $v.operator.enabled $v.operator.rbac.create (not $v.operator.serviceAccount.create) (not $v.operator.serviceAccount.name) -}}
{{- fail "operator.rbac.create would give the controller's rights to the account \"default\" of the namespace, and so to every pod that names none: set operator.serviceAccount.name, or serviceAccount.create=true" -}}
{{- end -}}
{{- end -}}
