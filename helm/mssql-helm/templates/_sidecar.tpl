{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/*
The sidecar, for this chart's StatefulSet and for one of your own (docs/guide/own-statefulset.md):

    {{- $ctx := dict "root" (index .Subcharts "mssql-helm") "dataVolume" "data" }}
    initContainers: {{- include "mssql-sidecar.containers" $ctx | nindent 8 }}
    containers:
      - name: mssql
        lifecycle: {{- include "mssql-sidecar.lifecycle" $ctx | nindent 10 }}
        volumeMounts: {{- include "mssql-sidecar.serverMounts" $ctx | nindent 10 }}
      {{- include "mssql-sidecar.ordinary" $ctx | nindent 6 }}
    volumes: {{- include "mssql-sidecar.volumes" $ctx | nindent 8 }}

`root` is the context of this chart. `dataVolume` is the name of the volume that SQL Server's container mounts at /var/opt/mssql.
*/}}

{{/* Init containers: the preparation of the volumes, and where the cluster has native sidecars the sidecar itself. */}}
{{- define "mssql-sidecar.containers" -}}
{{- $v := .root.Values.sidecar -}}
{{- $staging := include "mssql-helm.stagingClaim" .root -}}
- name: prepare-volumes
  image: {{ include "mssql-helm.sidecarImage" .root }}
  imagePullPolicy: {{ $v.image.pullPolicy }}
  args: [--prepare, /volumes/data/mssql-sidecar=0750, {{ printf "/volumes/%s/%s" (ternary "staging" "data" (ne $staging "")) $v.staging.folder }}]
  securityContext: {{- include "mssql-helm.locked" .root | nindent 4 }}
  resources: {{- toYaml $v.resources | nindent 4 }}
  volumeMounts:
    - {name: {{ .dataVolume | quote }}, mountPath: /volumes/data}
    {{- if $staging }}
    - {name: staging, mountPath: /volumes/staging}
    {{- end }}
{{- if include "mssql-helm.native" .root }}
{{ include "mssql-sidecar.container" . }}
  restartPolicy: Always
{{- end }}
{{- end -}}

{{/* The sidecar as an ordinary container, for clusters without native sidecars; else nothing. */}}
{{- define "mssql-sidecar.ordinary" -}}
{{- if not (include "mssql-helm.native" .root) -}}
{{ include "mssql-sidecar.container" . }}
  # Both containers end at the same time here: kubelet lets this one live until the last log backups are taken. Calls join.
  lifecycle: {{- include "mssql-sidecar.lifecycle" . | nindent 4 }}
{{- end -}}
{{- end -}}

{{/* The sidecar itself. It sees the staging folder and its own state, not the database files. */}}
{{- define "mssql-sidecar.container" -}}
{{- $v := .root.Values.sidecar -}}
- name: mssql-sidecar
  image: {{ include "mssql-helm.sidecarImage" .root }}
  imagePullPolicy: {{ $v.image.pullPolicy }}
  # a bad configuration must not end it: SQL Server would not start, and leave its Service
  args: [--config, /etc/mssql-sidecar/config.yaml, --wait-for-config, "0.0.0.0:{{ $v.http.port }}"]
  env:
    - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
    - {name: POD_UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
    - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
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
    {{- if include "mssql-helm.controllerAddress" .root }}
    - {name: sidecar-controller, mountPath: /var/run/secrets/mssql-controller, readOnly: true}
    {{- end }}
    - {name: sidecar-run, mountPath: /run/mssql-sidecar}
    - {name: {{ .dataVolume | quote }}, mountPath: /var/lib/mssql-sidecar, subPath: mssql-sidecar}
    {{- include "mssql-sidecar.serverMounts" . | nindent 4 }}
    - {name: backup-store, mountPath: /backup-store}
{{- end -}}

{{/* The staging folder, at the same path in both containers. */}}
{{- define "mssql-sidecar.serverMounts" -}}
{{- $folder := .root.Values.sidecar.staging.folder -}}
- {name: {{ ternary "staging" .dataVolume (ne (include "mssql-helm.stagingClaim" .root) "") | quote }}, mountPath: /var/opt/mssql/{{ $folder }}, subPath: {{ $folder | quote }}}
{{- end -}}

{{/* kubelet runs this before it stops SQL Server: the last log backups. SQL Server's image needs nothing of ours for it. */}}
{{- define "mssql-sidecar.lifecycle" -}}
preStop:
  httpGet: {path: /prestop, port: {{ .root.Values.sidecar.http.prestopPort }}}
{{- end -}}

{{- define "mssql-sidecar.volumes" -}}
{{- $v := .root.Values.sidecar -}}
- name: sidecar-config
  configMap: {name: {{ include "mssql-helm.sub" (list .root "sidecar") }}}
- name: sidecar-login
  secret:
    secretName: {{ include "mssql-helm.loginSecret" .root | quote }}
    items: [{key: {{ $v.login.passwordKey | quote }}, path: password}]
{{- if $v.login.admin }}
- name: sidecar-admin
  secret:
    secretName: {{ include "mssql-helm.saSecret" .root | quote }}
    items: [{key: {{ .root.Values.mssql.auth.saPasswordKey | quote }}, path: password}]
{{- end }}
{{- if include "mssql-helm.controllerAddress" .root }}
# Who we are for the controller, and whom we trust. The pod starts without it.
- name: sidecar-controller
  projected:
    sources:
      - serviceAccountToken: {audience: {{ $v.controller.audience | quote }}, expirationSeconds: 3600, path: token}
      - configMap: {name: {{ $v.controller.caBundle | default (printf "%s-ca" (include "mssql-helm.wellKnown" .root)) | quote }}, optional: true, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
- name: sidecar-run
  emptyDir: {medium: Memory, sizeLimit: 4Mi}
{{- with include "mssql-helm.stagingClaim" .root }}
- name: staging
  persistentVolumeClaim: {claimName: {{ . | quote }}}
{{- end }}
- name: backup-store
  {{- if .root.Values.autoBackup.enabled }}
  persistentVolumeClaim: {claimName: {{ include "mssql-helm.backupClaim" .root | quote }}}
  {{- else }}
  # no backups are taken here; a restore may bring its own
  emptyDir: {sizeLimit: 16Mi}
  {{- end }}
{{- end -}}
