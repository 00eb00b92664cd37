#!/usr/bin/env bash
# Has Tessera's own tools (fsck, hammer, integration test) check our log on
# PostgreSQL and SQLite. The argument is how many leaves the hammer writes; the
# few that make test writes are not worth a night's run.
set -euo pipefail
cd "$(dirname "$0")/.."

HABEAS_HAMMER_LEAVES=${1:-100000} \
	scripts/postgres-for-tests.sh go test -count=1 -timeout 60m -run TestConformance -v ./services/audit/ledger
