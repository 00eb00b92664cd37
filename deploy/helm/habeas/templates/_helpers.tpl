{{- define "habeas.labels" -}}
app.kubernetes.io/name: habeas
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "habeas.selector" -}}
app.kubernetes.io/name: habeas
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "habeas.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* What Pod Security "restricted" asks for, and a read-only disk. */}}
{{- define "habeas.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "habeas.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "habeas.probes" -}}
ports: [{name: http, containerPort: 8400}]
livenessProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 10
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 5
  failureThreshold: 2
{{- end }}

{{/* A room's configuration: what all have, what this one needs, what values say. */}}
{{- define "habeas.config" -}}
{{- $secrets := "/run/habeas/secrets" -}}
{{- $c := dict "state_dir" "/var/lib/habeas" "log" .root.Values.log
    "http" (dict "addr" "0.0.0.0:8400" "token_file" (printf "%s/api.token" $secrets))
    "nats" (dict "url" .root.Values.nats.url "user" .room "password_file" (printf "%s/nats-%s.password" $secrets .room) "replicas" .root.Values.nats.replicas)
    "keys" (dict "dir" $secrets "public" "/run/habeas/public") -}}
{{- if eq .room "audit" -}}
{{- $_ := set $c "audit" (dict "store" (dict "dsn_file" (printf "%s/pg-audit.dsn" $secrets)) "state_dir" "/var/lib/habeas/log") -}}
{{- if .root.Values.witnesses -}}
{{- $_ := set $c.audit "witness_policy" "/etc/habeas/witnesses.policy" -}}
{{- end -}}
{{- /* This room works on neither of these and has no right to the real ones. */ -}}
{{- $_ := set $c "store" (dict "dsn" "sqlite:/var/lib/habeas/unused.db") -}}
{{- $_ := set $c "vault" (dict "key" "/var/lib/habeas/unused.key") -}}
{{- else -}}
{{- $_ := set $c "store" (dict "dsn_file" (printf "%s/pg-rooms.dsn" $secrets)) -}}
{{- $_ := set $c "vault" (dict "key" (printf "%s/master.key" $secrets)) -}}
{{- end -}}
{{- if eq .room "console" -}}
{{- $_ := set $c "audit" (dict "url" (printf "http://%s-audit:8400/log" .root.Release.Name)) -}}
{{- $_ := set $c "delivery" (dict "url" (printf "http://%s-delivery:8400" .root.Release.Name)) -}}
{{- end -}}
{{- if eq .room "delivery" -}}
{{- $_ := set $c "delivery" (dict "packages" "/var/lib/habeas/packages" "spool_dir" "/var/lib/habeas/spool") -}}
{{- end -}}
{{- if and .root.Values.company (has .room (list "intake" "coordinator" "delivery" "console")) -}}
{{- $_ := set $c "intake" (dict "tenant" "/etc/habeas/company.yaml") -}}
{{- end -}}
{{- mergeOverwrite $c (deepCopy .values.config) | toYaml -}}
{{- end }}
