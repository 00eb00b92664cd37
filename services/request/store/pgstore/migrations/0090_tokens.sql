-- +goose Up
CREATE TABLE api_token (
    id         text PRIMARY KEY CHECK (id <> ''),
    name       text NOT NULL CHECK (name <> ''),
    digest     bytea NOT NULL UNIQUE,
    scopes     text NOT NULL CHECK (scopes <> ''),
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    revoked_at timestamptz,
    revoked_by text NOT NULL
);

-- +goose Down
DROP TABLE api_token;
