-- +goose Up
CREATE TABLE connector_pause (
    connector text NOT NULL,
    since     integer NOT NULL,
    who       text NOT NULL,
    reason    text NOT NULL,
    until_at  integer,
    ended_by  text NOT NULL
) STRICT;
CREATE UNIQUE INDEX connector_pause_now ON connector_pause (connector) WHERE until_at IS NULL;
CREATE INDEX connector_pause_past ON connector_pause (connector, since DESC);
CREATE INDEX job_paused ON job (connector, request_id) WHERE code = 'paused';
CREATE INDEX job_dead ON job (updated_at, id) WHERE state IN ('failed', 'over_limit', 'plan_changed');

-- +goose Down
DROP INDEX job_dead;
DROP INDEX job_paused;
DROP TABLE connector_pause;
