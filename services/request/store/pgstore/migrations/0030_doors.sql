-- +goose Up
CREATE TABLE verification_case (
    request_id  text COLLATE "C" PRIMARY KEY,
    wrapped_key bytea,
    sealed      bytea,
    next_at     timestamptz,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    purged_at   timestamptz,
    version     bigint NOT NULL
);
CREATE INDEX verification_case_due ON verification_case (next_at) WHERE next_at IS NOT NULL;

CREATE TABLE kept_document (
    request_id  text COLLATE "C" NOT NULL,
    kind        text NOT NULL,
    wrapped_key bytea NOT NULL,
    sealed      bytea NOT NULL,
    keep_until  timestamptz NOT NULL,
    PRIMARY KEY (request_id, kind)
);
CREATE INDEX kept_document_end ON kept_document (keep_until);

CREATE TABLE attempt (
    bucket     bytea PRIMARY KEY,
    began_at   timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL,
    n          bigint NOT NULL
);
CREATE INDEX attempt_end ON attempt (ends_at);

CREATE TABLE package_download (
    request_id text COLLATE "C" PRIMARY KEY,
    claim      text NOT NULL,
    claimed_at timestamptz NOT NULL,
    done       bigint NOT NULL
);

CREATE TABLE choice_profile (
    id           text COLLATE "C" PRIMARY KEY,
    opted_out_at timestamptz
);

CREATE TABLE choice (
    digest     bytea PRIMARY KEY,
    profile    text COLLATE "C" NOT NULL REFERENCES choice_profile (id),
    carried_by text NOT NULL
);
CREATE INDEX choice_by_profile ON choice (profile);

-- +goose Down
DROP TABLE choice;
DROP TABLE choice_profile;
DROP TABLE package_download;
DROP TABLE attempt;
DROP TABLE kept_document;
DROP TABLE verification_case;
