-- +goose Up
-- Identifiers kept for one purpose: to do again what a connector's system
-- forgets when it is restored from a backup.
CREATE TABLE kept_subject (
    request_id  text NOT NULL,
    connector   text NOT NULL,
    wrapped_key bytea NOT NULL,
    sealed      bytea NOT NULL,
    keep_until  timestamptz NOT NULL,
    PRIMARY KEY (request_id, connector)
);
CREATE INDEX kept_subject_end ON kept_subject (keep_until);

CREATE TABLE replay (
    id         text PRIMARY KEY,
    connector  text NOT NULL,
    since      timestamptz NOT NULL,
    by_whom    text NOT NULL,
    created_at timestamptz NOT NULL,
    after_job  text NOT NULL,
    planned    bigint NOT NULL,
    lost       bigint NOT NULL,
    released   bigint NOT NULL,
    planned_at timestamptz
);
CREATE UNIQUE INDEX replay_once ON replay (connector, since) WHERE planned_at IS NULL;
CREATE INDEX request_run ON request ((details ->> 'run')) WHERE details ->> 'run' IS NOT NULL;

CREATE TABLE incident (
    id         text PRIMARY KEY,
    kind       text NOT NULL,
    connector  text NOT NULL,
    store      text NOT NULL,
    request_id text NOT NULL,
    parent_id  text NOT NULL,
    records    bigint NOT NULL,
    opened_at  timestamptz NOT NULL,
    closed_at  timestamptz,
    by_whom    text NOT NULL,
    note       text NOT NULL
);
CREATE INDEX incident_listing ON incident (opened_at DESC, id DESC);
CREATE INDEX incident_open ON incident (opened_at DESC, id DESC) WHERE closed_at IS NULL;

-- +goose Down
DROP TABLE incident;
DROP INDEX request_run;
DROP TABLE replay;
DROP TABLE kept_subject;
