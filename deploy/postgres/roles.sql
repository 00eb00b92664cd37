-- Roles and databases of a production deployment. Run once by psql as a
-- superuser, and again without harm:
--
--   HABEAS_SECRETS=deploy/secrets/postgres psql -X -v ON_ERROR_STOP=1 -d postgres -f deploy/postgres/roles.sql
--
-- Two databases and four roles. The rooms' role can't even connect to the log's
-- database, nor the log's role to the rooms'. Tables belong to the owners, as
-- whom "habeas migrate" runs, so that no room can change or drop one.
--
--   habeas_owner        owns the tables of the rooms
--   habeas_rooms        intake, coordinator, delivery, console: reads and writes rows
--   habeas_audit_owner  owns the tables of the log
--   habeas_audit        the audit room: reads and writes rows
--
-- Passwords are read from $HABEAS_SECRETS/pg-*.password, which
-- deploy/make-secrets.sh writes.

\set rooms_owner_password `cat "$HABEAS_SECRETS/pg-rooms-owner.password"`
\set rooms_password `cat "$HABEAS_SECRETS/pg-rooms.password"`
\set audit_owner_password `cat "$HABEAS_SECRETS/pg-audit-owner.password"`
\set audit_password `cat "$HABEAS_SECRETS/pg-audit.password"`

SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['habeas_owner', 'habeas_rooms', 'habeas_audit_owner', 'habeas_audit']) AS name
WHERE name NOT IN (SELECT rolname FROM pg_roles)
\gexec

ALTER ROLE habeas_owner PASSWORD :'rooms_owner_password' NOSUPERUSER NOCREATEDB NOCREATEROLE;
ALTER ROLE habeas_rooms PASSWORD :'rooms_password' NOSUPERUSER NOCREATEDB NOCREATEROLE;
ALTER ROLE habeas_audit_owner PASSWORD :'audit_owner_password' NOSUPERUSER NOCREATEDB NOCREATEROLE;
ALTER ROLE habeas_audit PASSWORD :'audit_password' NOSUPERUSER NOCREATEDB NOCREATEROLE;

SELECT format('CREATE DATABASE %I', name)
FROM unnest(ARRAY['habeas', 'habeas_audit']) AS name
WHERE name NOT IN (SELECT datname FROM pg_database)
\gexec

REVOKE ALL ON DATABASE habeas, habeas_audit FROM PUBLIC;
GRANT CONNECT ON DATABASE habeas TO habeas_owner, habeas_rooms;
GRANT CONNECT ON DATABASE habeas_audit TO habeas_audit_owner, habeas_audit;

\connect habeas
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO habeas_owner;
GRANT USAGE ON SCHEMA public TO habeas_rooms;
SET ROLE habeas_owner;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO habeas_rooms;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO habeas_rooms;
RESET ROLE;

\connect habeas_audit
REVOKE ALL ON SCHEMA public FROM PUBLIC;
SELECT 'CREATE SCHEMA habeas_audit' WHERE to_regnamespace('habeas_audit') IS NULL
\gexec
GRANT USAGE, CREATE ON SCHEMA habeas_audit TO habeas_audit_owner;
GRANT USAGE ON SCHEMA habeas_audit TO habeas_audit;
SET ROLE habeas_audit_owner;
ALTER DEFAULT PRIVILEGES IN SCHEMA habeas_audit GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO habeas_audit;
ALTER DEFAULT PRIVILEGES IN SCHEMA habeas_audit GRANT USAGE, SELECT ON SEQUENCES TO habeas_audit;
RESET ROLE;
