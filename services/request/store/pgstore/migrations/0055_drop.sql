-- +goose Up
CREATE TABLE drop_batch (
    name   text COLLATE "C" PRIMARY KEY,
    state  text NOT NULL,
    how    text NOT NULL,
    opened bigint NOT NULL,
    closed bigint NOT NULL
);

-- digest is keyed: the platform's hash itself is stored nowhere.
CREATE TABLE drop_item (
    id       text COLLATE "C" PRIMARY KEY,
    list     text NOT NULL,
    digest   bytea,
    batch    text NOT NULL,
    status   bigint NOT NULL,
    reported bigint NOT NULL,
    removed  bigint NOT NULL,
    part     text NOT NULL,
    version  text NOT NULL
);
CREATE INDEX drop_item_digest ON drop_item (digest);
CREATE INDEX drop_item_batch ON drop_item (batch, list, id);
CREATE INDEX drop_item_part ON drop_item (part, id) WHERE part <> '';
CREATE INDEX drop_item_news ON drop_item (list, id) WHERE status <> reported;

CREATE TABLE drop_scan (
    id      text COLLATE "C" PRIMARY KEY,
    batch   text NOT NULL,
    state   text NOT NULL,
    started bigint NOT NULL,
    ended   bigint NOT NULL
);
CREATE TABLE drop_match (
    scan   text COLLATE "C" NOT NULL,
    item   text COLLATE "C" NOT NULL,
    person bytea NOT NULL,
    exempt bigint NOT NULL,
    PRIMARY KEY (scan, item, person)
);
CREATE INDEX drop_match_person ON drop_match (scan, person);
CREATE TABLE drop_filing (
    scan    text COLLATE "C" NOT NULL,
    person  bytea NOT NULL,
    action  text NOT NULL,
    attempt bigint NOT NULL,
    request text NOT NULL,
    outcome text NOT NULL,
    PRIMARY KEY (scan, person, action)
);
CREATE TABLE drop_part (
    name  text COLLATE "C" PRIMARY KEY,
    kind  text NOT NULL,
    state text NOT NULL,
    tried bigint NOT NULL,
    made  bigint NOT NULL
);
CREATE TABLE drop_access (
    at     bigint NOT NULL,
    how    text NOT NULL,
    result text NOT NULL
);

-- +goose Down
DROP TABLE drop_access;
DROP TABLE drop_part;
DROP TABLE drop_filing;
DROP TABLE drop_match;
DROP TABLE drop_scan;
DROP TABLE drop_item;
DROP TABLE drop_batch;
