-- +goose Up
ALTER TABLE request ADD COLUMN assignee text NOT NULL DEFAULT '';
CREATE INDEX request_assignee ON request (assignee, created_at DESC, id DESC) WHERE assignee <> '';
CREATE INDEX request_facets ON request (state, consumer_right, channel, regime, created_at DESC, id DESC);
CREATE INDEX job_unfinished ON job (connector, request_id) WHERE state NOT IN ('done', 'no_match', 'retained', 'cancelled');
CREATE INDEX job_answered ON job (connector, updated_at DESC) WHERE state IN ('done', 'no_match', 'retained', 'partial', 'needs_identifier', 'not_supported');

CREATE TABLE saved_filter (
    who        text NOT NULL CHECK (who <> ''),
    name       text NOT NULL CHECK (name <> ''),
    query      text NOT NULL,
    PRIMARY KEY (who, name)
) STRICT;

-- How many requests there are, so that nobody counts them.
CREATE TABLE request_tally (
    state          text NOT NULL,
    consumer_right text NOT NULL,
    channel        text NOT NULL,
    regime         text NOT NULL,
    attention      integer NOT NULL,
    n              integer NOT NULL,
    PRIMARY KEY (state, consumer_right, channel, regime, attention)
) STRICT, WITHOUT ROWID;
CREATE TABLE request_day (
    day     integer PRIMARY KEY,
    arrived integer NOT NULL,
    closed  integer NOT NULL,
    late    integer NOT NULL,
    taken   integer NOT NULL,
    spare   integer NOT NULL
) STRICT;

-- +goose StatementBegin
CREATE TRIGGER request_counted_in AFTER INSERT ON request
BEGIN
    INSERT INTO request_tally VALUES (new.state, new.consumer_right, new.channel, new.regime, new.attention <> '', 1) ON CONFLICT DO UPDATE SET n = n + 1;
    INSERT INTO request_day VALUES (new.created_at / 86400000000, 1, 0, 0, 0, 0) ON CONFLICT DO UPDATE SET arrived = arrived + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER request_counted_on AFTER UPDATE OF state, attention ON request
WHEN new.state <> old.state OR (new.attention <> '') <> (old.attention <> '')
BEGIN
    UPDATE request_tally SET n = n - 1 WHERE state = old.state AND consumer_right = old.consumer_right AND channel = old.channel AND regime = old.regime AND attention = (old.attention <> '');
    INSERT INTO request_tally VALUES (new.state, new.consumer_right, new.channel, new.regime, new.attention <> '', 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER request_counted_out AFTER DELETE ON request
BEGIN
    UPDATE request_tally SET n = n - 1 WHERE state = old.state AND consumer_right = old.consumer_right AND channel = old.channel AND regime = old.regime AND attention = (old.attention <> '');
    UPDATE request_day SET arrived = arrived - 1 WHERE day = old.created_at / 86400000000;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER request_closed_in AFTER INSERT ON request WHEN new.closed_at IS NOT NULL
BEGIN
    INSERT INTO request_day VALUES (new.closed_at / 86400000000, 0, 1, new.closed_at > new.respond_by, (new.closed_at - new.created_at) / 1000000, CASE WHEN new.respond_by < 7258118400000000 THEN (new.respond_by - new.closed_at) / 1000000 ELSE 0 END)
        ON CONFLICT DO UPDATE SET closed = closed + 1, late = late + excluded.late, taken = taken + excluded.taken, spare = spare + excluded.spare;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER request_closed_on AFTER UPDATE OF closed_at ON request WHEN new.closed_at IS NOT NULL AND old.closed_at IS NULL
BEGIN
    INSERT INTO request_day VALUES (new.closed_at / 86400000000, 0, 1, new.closed_at > new.respond_by, (new.closed_at - new.created_at) / 1000000, CASE WHEN new.respond_by < 7258118400000000 THEN (new.respond_by - new.closed_at) / 1000000 ELSE 0 END)
        ON CONFLICT DO UPDATE SET closed = closed + 1, late = late + excluded.late, taken = taken + excluded.taken, spare = spare + excluded.spare;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER request_closed_out AFTER DELETE ON request WHEN old.closed_at IS NOT NULL
BEGIN
    UPDATE request_day SET closed = closed - 1, late = late - (old.closed_at > old.respond_by),
        taken = taken - (old.closed_at - old.created_at) / 1000000, spare = spare - CASE WHEN old.respond_by < 7258118400000000 THEN (old.respond_by - old.closed_at) / 1000000 ELSE 0 END
        WHERE day = old.closed_at / 86400000000;
END;
-- +goose StatementEnd

INSERT INTO request_tally SELECT state, consumer_right, channel, regime, attention <> '', count(*) FROM request GROUP BY 1, 2, 3, 4, 5;
INSERT INTO request_day SELECT day, sum(arrived), sum(closed), sum(late), sum(taken), sum(spare) FROM (
        SELECT created_at / 86400000000 AS day, 1 AS arrived, 0 AS closed, 0 AS late, 0 AS taken, 0 AS spare FROM request
        UNION ALL SELECT closed_at / 86400000000, 0, 1, closed_at > respond_by, (closed_at - created_at) / 1000000, CASE WHEN respond_by < 7258118400000000 THEN (respond_by - closed_at) / 1000000 ELSE 0 END FROM request WHERE closed_at IS NOT NULL
    ) GROUP BY day;

-- +goose Down
DROP TRIGGER request_closed_out;
DROP TRIGGER request_closed_on;
DROP TRIGGER request_closed_in;
DROP TRIGGER request_counted_out;
DROP TRIGGER request_counted_on;
DROP TRIGGER request_counted_in;
DROP TABLE request_day;
DROP TABLE request_tally;
DROP TABLE saved_filter;
DROP INDEX job_answered;
DROP INDEX job_unfinished;
DROP INDEX request_facets;
DROP INDEX request_assignee;
ALTER TABLE request DROP COLUMN assignee;
