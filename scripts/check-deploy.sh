#!/usr/bin/env bash
# Checks the Helm chart: lints it, renders it with everything switched on, and
# lets a test hold every rendered configuration, secret and mount against the
# program. Then lets each alert see what it is for. Needs helm and promtool (on
# Debian: the package prometheus):
#   GOBIN=$PWD/.bin go install helm.sh/helm/v3/cmd/helm@v3.19.4
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/.bin:$PATH
for program in helm promtool; do
	command -v "$program" >/dev/null || { echo "check-deploy: $program is not installed; see the head of $0" >&2; exit 1; }
done

chart=deploy/helm/habeas
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
helm lint --quiet "$chart"
helm lint --quiet "$chart" -f "$chart/ci-values.yaml"
helm template habeas "$chart" --kube-version 1.31.0 >"$work/plain.yaml"
helm template habeas "$chart" --kube-version 1.31.0 -f "$chart/ci-values.yaml" >"$work/full.yaml"
CGO_ENABLED=0 go build -o "$work/habeas" ./services/cmd/habeas
HABEAS=$work/habeas deploy/make-secrets.sh "$work/secrets" >/dev/null
deploy/helm/secrets.sh "$work/secrets" >"$work/secrets.yaml"
env -u HABEAS_STATE_DIR RENDERED_CHART="$work/full.yaml" RENDERED_SECRETS="$work/secrets.yaml" \
	go test -count=1 -run '^TestChart$' ./services/cmd/habeas
promtool check config --syntax-only deploy/prometheus/prometheus.yaml
promtool test rules deploy/prometheus/alerts.test.yaml
echo "check-deploy: the chart and the alerts hold"
