{{- define "bapsang-operator.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "bapsang-operator.selector" -}}
app.kubernetes.io/name: bapsang-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "bapsang-operator.labels" -}}
{{ include "bapsang-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: bapsang
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "bapsang-operator.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- /* Whether something cluster-wide is made: as its value says, or by default where the whole cluster is watched. */}}
{{- define "bapsang-operator.clusterWide" -}}
{{- if kindIs "bool" .create }}{{ if .create }}yes{{ end }}{{ else if not .watchNamespaces }}yes{{ end -}}
{{- end -}}
