{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/* The fields that the sidecar's policy and the MSSQLInstance share, from autoBackup. Gives YAML. */}}
{{- define "mssql-helm.policy" -}}
{{- $a := .Values.autoBackup -}}
{{- $p := dict "allDatabases" $a.allDatabases "retentionDays" (int $a.retentionDays) "fullBackupSchedule" $a.fullBackupSchedule "logBackupIntervalMinutes" (int $a.logBackupIntervalMinutes) "mode" $a.mode "dryRun" $a.dryRun -}}
{{- with $a.databases }}{{ $_ := set $p "databases" . }}{{ end -}}
{{- with $a.excludeDatabases }}{{ $_ := set $p "excludeDatabases" . }}{{ end -}}
{{- with $a.timeZone }}{{ $_ := set $p "timeZone" . }}{{ end -}}
{{- with $a.differentialBackupSchedule }}{{ $_ := set $p "differentialBackup" (dict "enabled" true "schedule" .) }}{{ end -}}
{{- $t := dict -}}
{{- with $a.targets.rpoTarget }}{{ $_ := set $t "rpoTarget" . }}{{ end -}}
{{- with $a.targets.rtoTarget }}{{ $_ := set $t "rtoTarget" . }}{{ end -}}
{{- if $t }}{{ $_ := set $p "targets" $t }}{{ end -}}
{{- toYaml (mergeOverwrite $p (deepCopy $a.policy)) -}}
{{- end -}}

{{/* One claim of storage.*: without what is empty. */}}
{{- define "mssql-helm.claim" -}}
{{- $c := dict -}}
{{- range $k, $v := . }}{{ if $v }}{{ $_ := set $c $k $v }}{{ end }}{{ end -}}
{{- toYaml $c -}}
{{- end -}}
