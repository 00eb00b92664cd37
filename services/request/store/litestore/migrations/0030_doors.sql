-- +goose Up
CREATE TABLE verification_case (
    request_id  text PRIMARY KEY,
    wrapped_key blob,
    sealed      blob,
    next_at     integer,
    created_at  integer NOT NULL,
    updated_at  integer NOT NULL,
    purged_at   integer,
    version     integer NOT NULL
) STRICT;
CREATE INDEX verification_case_due ON verification_case (next_at) WHERE next_at IS NOT NULL;

CREATE TABLE kept_document (
    request_id  text NOT NULL,
    kind        text NOT NULL,
    wrapped_key blob NOT NULL,
    sealed      blob NOT NULL,
    keep_until  integer NOT NULL,
    PRIMARY KEY (request_id, kind)
) STRICT;
CREATE INDEX kept_document_end ON kept_document (keep_until);

CREATE TABLE attempt (
    bucket     blob PRIMARY KEY,
    began_at   integer NOT NULL,
    ends_at    integer NOT NULL,
    n          integer NOT NULL
) STRICT;
CREATE INDEX attempt_end ON attempt (ends_at);

CREATE TABLE package_download (
    request_id text PRIMARY KEY,
    claim      text NOT NULL,
    claimed_at integer NOT NULL,
    done       integer NOT NULL
) STRICT;

CREATE TABLE choice_profile (
    id           text PRIMARY KEY,
    opted_out_at integer
) STRICT;

CREATE TABLE choice (
    digest     blob PRIMARY KEY,
    profile    text NOT NULL REFERENCES choice_profile (id),
    carried_by text NOT NULL
) STRICT;
CREATE INDEX choice_by_profile ON choice (profile);

-- +goose Down
DROP TABLE choice;
DROP TABLE choice_profile;
DROP TABLE package_download;
DROP TABLE attempt;
DROP TABLE kept_document;
DROP TABLE verification_case;
