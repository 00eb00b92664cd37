#!/usr/bin/env bash
# Prints the Secrets and the ConfigMap that the chart needs, from the folder
# that deploy/make-secrets.sh made: each room and connector gets its own files
# and nothing else.
#
#   deploy/helm/secrets.sh DIR [PREFIX] | kubectl apply -n NAMESPACE -f -
set -euo pipefail

dir=${1:?usage: deploy/helm/secrets.sh DIR [PREFIX]}
prefix=${2:-habeas}

# object KIND NAME FILE…: one object whose keys are the files' names.
object() {
	local kind=$1 name=$2 field=data file
	shift 2
	[ "$kind" = Secret ] || field=binaryData
	printf -- '---\napiVersion: v1\nkind: %s\nmetadata: {name: %s-%s}\n%s:\n' "$kind" "$prefix" "$name" "$field"
	for file in "$@"; do
		[ -s "$dir/$file" ] || { echo "secrets.sh: $dir/$file is missing: run deploy/make-secrets.sh $dir" >&2; exit 1; }
		printf '  %s: %s\n' "${file##*/}" "$(base64 <"$dir/$file" | tr -d '\n')"
	done
}
room() {
	local name=$1
	shift
	object Secret "$name" api.token "nats-$name.password" tls/ca.crt "$@"
}

room intake pg-rooms.dsn keys/master.key keys/intake.evidence.key keys/intake.seal.key keys/intake.pepper.key
room coordinator pg-rooms.dsn keys/master.key keys/coordinator.evidence.key keys/coordinator.seal.key
room delivery pg-rooms.dsn keys/master.key keys/delivery.age.key
room console pg-rooms.dsn keys/master.key keys/intake.evidence.key keys/intake.pepper.key keys/console.seal.key
room audit pg-audit.dsn keys/audit.evidence.key
object Secret migrate pg-rooms-owner.dsn pg-audit-owner.dsn
for file in "$dir"/nats-*.password; do
	name=${file##*/nats-}
	name=${name%.password}
	case $name in
	intake | coordinator | delivery | audit | console | sys) ;;
	*) object Secret "connector-$name" "nats-$name.password" tls/ca.crt ;;
	esac
done
object ConfigMap public keys/public/{intake,coordinator,audit}.evidence.pub keys/public/delivery.age.pub
