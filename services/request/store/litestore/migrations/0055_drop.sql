-- +goose Up
CREATE TABLE drop_batch (
    name   text PRIMARY KEY,
    state  text NOT NULL,
    how    text NOT NULL,
    opened integer NOT NULL,
    closed integer NOT NULL
) STRICT;

-- digest is keyed: the platform's hash itself is stored nowhere.
CREATE TABLE drop_item (
    id       text PRIMARY KEY,
    list     text NOT NULL,
    digest   blob,
    batch    text NOT NULL,
    status   integer NOT NULL,
    reported integer NOT NULL,
    removed  integer NOT NULL,
    part     text NOT NULL,
    version  text NOT NULL
) STRICT;
CREATE INDEX drop_item_digest ON drop_item (digest);
CREATE INDEX drop_item_batch ON drop_item (batch, list, id);
CREATE INDEX drop_item_part ON drop_item (part, id) WHERE part <> '';
CREATE INDEX drop_item_news ON drop_item (list, id) WHERE status <> reported;

CREATE TABLE drop_scan (
    id      text PRIMARY KEY,
    batch   text NOT NULL,
    state   text NOT NULL,
    started integer NOT NULL,
    ended   integer NOT NULL
) STRICT;
CREATE TABLE drop_match (
    scan   text NOT NULL,
    item   text NOT NULL,
    person blob NOT NULL,
    exempt integer NOT NULL,
    PRIMARY KEY (scan, item, person)
) STRICT;
CREATE INDEX drop_match_person ON drop_match (scan, person);
CREATE TABLE drop_filing (
    scan    text NOT NULL,
    person  blob NOT NULL,
    action  text NOT NULL,
    attempt integer NOT NULL,
    request text NOT NULL,
    outcome text NOT NULL,
    PRIMARY KEY (scan, person, action)
) STRICT;
CREATE TABLE drop_part (
    name  text PRIMARY KEY,
    kind  text NOT NULL,
    state text NOT NULL,
    tried integer NOT NULL,
    made  integer NOT NULL
) STRICT;
CREATE TABLE drop_access (
    at     integer NOT NULL,
    how    text NOT NULL,
    result text NOT NULL
) STRICT;

-- +goose Down
DROP TABLE drop_access;
DROP TABLE drop_part;
DROP TABLE drop_filing;
DROP TABLE drop_match;
DROP TABLE drop_scan;
DROP TABLE drop_item;
DROP TABLE drop_batch;
