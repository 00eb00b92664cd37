-- +goose Up
-- Identifiers kept for one purpose: to do again what a connector's system
-- forgets when it is restored from a backup.
CREATE TABLE kept_subject (
    request_id  text NOT NULL,
    connector   text NOT NULL,
    wrapped_key blob NOT NULL,
    sealed      blob NOT NULL,
    keep_until  integer NOT NULL,
    PRIMARY KEY (request_id, connector)
) STRICT, WITHOUT ROWID;
CREATE INDEX kept_subject_end ON kept_subject (keep_until);

CREATE TABLE replay (
    id         text PRIMARY KEY,
    connector  text NOT NULL,
    since      integer NOT NULL,
    by_whom    text NOT NULL,
    created_at integer NOT NULL,
    after_job  text NOT NULL,
    planned    integer NOT NULL,
    lost       integer NOT NULL,
    released   integer NOT NULL,
    planned_at integer
) STRICT;
CREATE UNIQUE INDEX replay_once ON replay (connector, since) WHERE planned_at IS NULL;
CREATE INDEX request_run ON request (json_extract(details, '$.run')) WHERE json_extract(details, '$.run') IS NOT NULL;

CREATE TABLE incident (
    id         text PRIMARY KEY,
    kind       text NOT NULL,
    connector  text NOT NULL,
    store      text NOT NULL,
    request_id text NOT NULL,
    parent_id  text NOT NULL,
    records    integer NOT NULL,
    opened_at  integer NOT NULL,
    closed_at  integer,
    by_whom    text NOT NULL,
    note       text NOT NULL
) STRICT;
CREATE INDEX incident_listing ON incident (opened_at DESC, id DESC);
CREATE INDEX incident_open ON incident (opened_at DESC, id DESC) WHERE closed_at IS NULL;

-- +goose Down
DROP TABLE incident;
DROP INDEX request_run;
DROP TABLE replay;
DROP TABLE kept_subject;
