#!/usr/bin/env bash
# Makes everything secret that a deployment needs, in a folder, where it is
# missing; what is there is left alone, so that it may be run again after adding
# a connector.
#
#   deploy/make-secrets.sh DIR [CONNECTOR…]
#
# DIR gets the rooms' keys (by "habeas keys"), the bus users' and database roles'
# passwords, DSN files, the API token and a certificate authority for the bus.
# HABEAS is the program, by default .bin/habeas. POSTGRES is the server's
# host:port as the rooms see it, NATS_NAMES what the bus is called.
set -euo pipefail
umask 077

dir=${1:?usage: deploy/make-secrets.sh DIR [CONNECTOR…]}
shift
connectors=("$@")
[ ${#connectors[@]} -gt 0 ] || connectors=(billing crm analytics adtech)
habeas=${HABEAS:-.bin/habeas}
postgres=${POSTGRES:-postgres:5432}
names=${NATS_NAMES:-nats,localhost}
mkdir -p "$dir/tls" "$dir/postgres" "$dir/nats"

# once FILE COMMAND…: writes a file unless it is there.
once() {
	local file=$dir/$1
	shift
	[ -s "$file" ] || { "$@" >"$file.new" && mv "$file.new" "$file"; }
}
line() { printf '%s\n' "$1"; }
hex() { openssl rand -hex 24; }

# The rooms' keys.
HABEAS_STATE_DIR=$dir HABEAS_KEYS_DIR=$dir/keys HABEAS_KEYS_PUBLIC=$dir/keys/public \
	HABEAS_AUDIT_STATE_DIR=$dir HABEAS_DELIVERY_SPOOL_DIR=$dir "$habeas" keys >/dev/null
once keys/master.key bash -c "openssl rand -base64 32 | tr '+/' '-_'"
once keys/intake.pepper.key openssl rand -hex 32
# Two rooms publish a key of their own at their start, each into its own copy.
for room in delivery audit; do
	mkdir -p "$dir/public-$room"
	cp -n "$dir"/keys/public/*.pub "$dir/public-$room/"
done

# The API token, and the password of PostgreSQL's superuser.
once api.token hex
once postgres/superuser.password hex

# Database roles: their passwords for roles.sql, their DSNs for the rooms.
dsn() {
	local file=$1 role=$2 database=$3
	once "postgres/pg-$file.password" hex
	once "pg-$file.dsn" line "postgres://$role:$(cat "$dir/postgres/pg-$file.password")@$postgres/$database?sslmode=${PGSSLMODE:-prefer}"
}
dsn rooms-owner habeas_owner habeas
dsn rooms habeas_rooms habeas
dsn audit-owner habeas_audit_owner habeas_audit
dsn audit habeas_audit habeas_audit

# Bus users: a password for each, and all of them for the server.
for user in intake coordinator delivery audit console drop sys "${connectors[@]}"; do
	once "nats-$user.password" hex
done
for file in "$dir"/nats-*.password; do
	user=${file##*/nats-}
	user=${user%.password}
	variable=$(tr 'a-z-' 'A-Z_' <<<"$user")
	printf 'HABEAS_PASSWORD_%s = "%s"\n' "$variable" "$(cat "$file")"
done >"$dir/nats/passwords.conf"

# TLS for the bus, by an authority of its own. Bring your own instead: put
# tls.crt, tls.key and ca.crt there first.
if [ ! -s "$dir/tls/tls.crt" ]; then
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=Habeas bus authority" \
		-keyout "$dir/tls/ca.key" -out "$dir/tls/ca.crt" 2>/dev/null
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=${names%%,*}" \
		-keyout "$dir/tls/tls.key" -out "$dir/tls/tls.csr" 2>/dev/null
	openssl x509 -req -in "$dir/tls/tls.csr" -CA "$dir/tls/ca.crt" -CAkey "$dir/tls/ca.key" -CAcreateserial -days 825 \
		-extfile <(printf 'subjectAltName=DNS:%s\nextendedKeyUsage=serverAuth,clientAuth\n' "${names//,/,DNS:}") \
		-out "$dir/tls/tls.crt" 2>/dev/null
	rm -f "$dir/tls/tls.csr"
fi

# Whom the containers run as: the owner of these files.
printf 'HABEAS_UID=%s\nHABEAS_GID=%s\n' "$(id -u)" "$(id -g)" >"$dir/compose.env"
printf 'secrets in %s; keep tls/ca.key and keys/ somewhere safe as well\n' "$dir"
