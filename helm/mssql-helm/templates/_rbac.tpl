{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/* What the controller may do where it looks after instances. Exactly what it calls; a test compares. */}}
{{- define "mssql-helm.rules" -}}
- apiGroups: [dbaas.cozy.io]
  resources: [mssqlinstances, mssqlbackuppolicies, mssqlbackups, mssqlrestorerequests, mssqlrestorejobs]
  verbs: [get, list, watch]
# an instance makes its policy, a request its job
- {apiGroups: [dbaas.cozy.io], resources: [mssqlbackuppolicies, mssqlrestorejobs], verbs: [create, patch]}
# finished ones, when their time is over
- {apiGroups: [dbaas.cozy.io], resources: [mssqlbackups, mssqlrestorerequests, mssqlrestorejobs], verbs: [delete]}
- apiGroups: [dbaas.cozy.io]
  resources: [mssqlinstances/status, mssqlbackuppolicies/status, mssqlbackups/status, mssqlrestorerequests/status, mssqlrestorejobs/status]
  verbs: [patch]
# whose sidecar is it, and does its token belong to that pod?
- {apiGroups: [""], resources: [pods, services], verbs: [get, list, watch]}
# those that an object names, one at a time; never a list of them
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
  {{- with .Values.operator.rbac.secretNames }}
  resourceNames: {{ toJson . }}
  {{- end }}
- {apiGroups: [""], resources: [persistentvolumeclaims], verbs: [get, create, patch]}
- {apiGroups: [""], resources: [events], verbs: [create, patch]}
{{- if .Values.operator.rbac.provision }}
# restore targets and drills
- {apiGroups: [apps], resources: [statefulsets], verbs: [get, create, patch, delete]}
- {apiGroups: [""], resources: [services], verbs: [create, patch, delete]}
- {apiGroups: [""], resources: [persistentvolumeclaims], verbs: [delete]}
- {apiGroups: [""], resources: [secrets, configmaps], verbs: [create]}
{{- end }}
{{- if .Values.operator.rbac.upgradePods }}
# another image of the sidecar in a running pod
- {apiGroups: [""], resources: [pods], verbs: [patch]}
{{- end }}
{{- end -}}

{{- define "mssql-helm.rulesOwn" -}}
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]}
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, update], resourceNames: [{{ include "mssql-helm.wellKnown" . }}]}
{{- end -}}

{{/* Objects without a namespace are told apart by release and namespace. */}}
{{- define "mssql-helm.clusterName" -}}{{ printf "%s-%s" .Release.Namespace (include "mssql-helm.operator" .) }}{{- end -}}
