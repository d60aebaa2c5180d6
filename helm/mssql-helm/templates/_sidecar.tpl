{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/*
The sidecar, for this chart's StatefulSet and for one of your own:

    initContainers: {{ include "mssql-sidecar.containers" (dict "root" . "dataVolume" "data") | nindent 8 }}
    volumes: {{ include "mssql-sidecar.volumes" (dict "root" . "dataVolume" "data") | nindent 8 }}
    # in SQL Server's container
    volumeMounts: {{ include "mssql-sidecar.serverMounts" (dict "root" . "dataVolume" "data") | nindent 12 }}
    lifecycle: {{ include "mssql-sidecar.lifecycle" (dict "root" .) | nindent 12 }}

`dataVolume` is the name of the volume that SQL Server's container mounts at /var/opt/mssql.
*/}}

{{/* The native sidecar as an init container; without native sidecars only the preparation (see mssql-sidecar.container). */}}
{{- define "mssql-sidecar.containers" -}}
{{- $v := .root.Values.sidecar -}}
- name: prepare-volumes
  image: {{ include "mssql-helm.sidecarImage" .root }}
  imagePullPolicy: {{ $v.image.pullPolicy }}
  args: [--prepare, /volumes/data/mssql-sidecar=0750, {{ if $v.staging.existingClaim }}/volumes/staging/{{ $v.staging.folder }}{{ else }}/volumes/data/{{ $v.staging.folder }}{{ end }}]
  securityContext: {{- include "mssql-helm.locked" .root | nindent 4 }}
  resources: {{- toYaml $v.resources | nindent 4 }}
  volumeMounts:
    - {name: {{ .dataVolume }}, mountPath: /volumes/data}
    {{- if $v.staging.existingClaim }}
    - {name: staging, mountPath: /volumes/staging}
    {{- end }}
{{- if include "mssql-helm.native" .root }}
{{ include "mssql-sidecar.container" . }}
  restartPolicy: Always
{{- end }}
{{- end -}}

{{/* The sidecar itself. It sees the staging folder and its own state, not the database files. */}}
{{- define "mssql-sidecar.container" -}}
{{- $v := .root.Values.sidecar -}}
- name: mssql-sidecar
  image: {{ include "mssql-helm.sidecarImage" .root }}
  imagePullPolicy: {{ $v.image.pullPolicy }}
  args: [--config, /etc/mssql-sidecar/config.yaml]
  env:
    - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
    {{- with $v.env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports:
    - {name: http-sidecar, containerPort: {{ $v.http.port }}}
  # They say that the process serves; neither SQL Server nor the store decides over them.
  livenessProbe:
    httpGet: {path: /healthz, port: http-sidecar}
    periodSeconds: 20
    timeoutSeconds: 5
    failureThreshold: 6
  securityContext: {{- include "mssql-helm.locked" .root | nindent 4 }}
  resources: {{- toYaml $v.resources | nindent 4 }}
  volumeMounts:
    - {name: sidecar-config, mountPath: /etc/mssql-sidecar, readOnly: true}
    - {name: sidecar-login, mountPath: /var/run/secrets/mssql-login, readOnly: true}
    {{- if $v.login.admin }}
    - {name: sidecar-admin, mountPath: /var/run/secrets/mssql-admin, readOnly: true}
    {{- end }}
    - {name: sidecar-run, mountPath: /run/mssql-sidecar}
    - {name: {{ .dataVolume }}, mountPath: /var/lib/mssql-sidecar, subPath: mssql-sidecar}
    {{- include "mssql-sidecar.serverMounts" . | nindent 4 }}
    {{- if eq .root.Values.autoBackup.mode "local_pvc" }}
    - {name: backup-store, mountPath: /backup-store}
    {{- end }}
{{- end -}}

{{/* The staging folder, at the same path in both containers. */}}
{{- define "mssql-sidecar.serverMounts" -}}
{{- $s := .root.Values.sidecar.staging -}}
- {name: {{ if $s.existingClaim }}staging{{ else }}{{ .dataVolume }}{{ end }}, mountPath: /var/opt/mssql/{{ $s.folder }}, subPath: {{ $s.folder }}}
{{- end -}}

{{/* kubelet runs this before it stops SQL Server: the last log backups. SQL Server's image needs nothing of ours for it. */}}
{{- define "mssql-sidecar.lifecycle" -}}
preStop:
  httpGet: {path: /prestop, port: {{ .root.Values.sidecar.http.port }}}
{{- end -}}

{{- define "mssql-sidecar.volumes" -}}
{{- $root := .root -}}
{{- $v := .root.Values.sidecar -}}
- name: sidecar-config
  configMap: {name: {{ include "mssql-helm.sub" (list .root "sidecar") }}}
- name: sidecar-login
  secret:
    secretName: {{ include "mssql-helm.loginSecret" .root }}
    items: [{key: {{ $v.login.passwordKey }}, path: password}]
{{- if $v.login.admin }}
- name: sidecar-admin
  secret:
    secretName: {{ include "mssql-helm.saSecret" .root }}
    items: [{key: {{ .root.Values.mssql.auth.saPasswordKey }}, path: password}]
{{- end }}
- name: sidecar-run
  emptyDir: {medium: Memory, sizeLimit: 4Mi}
{{- if $v.staging.existingClaim }}
- name: staging
  persistentVolumeClaim: {claimName: {{ $v.staging.existingClaim }}}
{{- end }}
{{- if eq .root.Values.autoBackup.mode "local_pvc" }}
- name: backup-store
  {{- if $root.Values.autoBackup.enabled }}
  persistentVolumeClaim: {claimName: {{ include "mssql-helm.backupClaim" .root }}}
  {{- else }}
  # no backups are taken here; a restore may bring its own
  emptyDir: {sizeLimit: 16Mi}
  {{- end }}
{{- end }}
{{- end -}}
