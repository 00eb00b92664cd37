-- +goose Up
CREATE TABLE api_token (
    id         text PRIMARY KEY CHECK (id <> ''),
    name       text NOT NULL CHECK (name <> ''),
    digest     blob NOT NULL UNIQUE,
    scopes     text NOT NULL CHECK (scopes <> ''),
    created_at integer NOT NULL,
    created_by text NOT NULL,
    expires_at integer NOT NULL,
    used_at    integer,
    revoked_at integer,
    revoked_by text NOT NULL
) STRICT;

-- +goose Down
DROP TABLE api_token;
