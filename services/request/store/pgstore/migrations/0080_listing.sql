-- +goose Up
ALTER TABLE request ADD COLUMN assignee text NOT NULL DEFAULT '';
CREATE INDEX request_assignee ON request (assignee, created_at DESC, id DESC) WHERE assignee <> '';

-- What a listing is narrowed by, in the order of both listings: by arrival, and
-- of open requests by deadline.
CREATE INDEX request_facets ON request (state, consumer_right, channel, regime, created_at DESC, id DESC);
CREATE INDEX request_facets_due ON request (state, consumer_right, channel, regime, respond_by, id) WHERE state <> 'closed';
DROP INDEX request_by_right;
DROP INDEX request_by_regime;

-- What open requests wait for, and how fast each system answers.
CREATE INDEX job_unfinished ON job (connector, request_id) WHERE state NOT IN ('done', 'no_match', 'retained', 'cancelled');
CREATE INDEX job_answered ON job (connector, updated_at DESC) WHERE state IN ('done', 'no_match', 'retained', 'partial', 'needs_identifier', 'not_supported');

CREATE TABLE saved_filter (
    who        text NOT NULL CHECK (who <> ''),
    name       text NOT NULL CHECK (name <> ''),
    query      text NOT NULL,
    PRIMARY KEY (who, name)
);

-- How many requests there are, so that nobody counts them. Writers add rows of
-- what they changed and wait for nobody; the rows are put together from time to
-- time. A sum of rows is the count.
CREATE TABLE request_tally (
    state          text NOT NULL,
    consumer_right text NOT NULL,
    channel        text NOT NULL,
    regime         text NOT NULL,
    attention      bigint NOT NULL,
    n              bigint NOT NULL
);
CREATE TABLE request_day (
    day     timestamptz NOT NULL,
    arrived bigint NOT NULL,
    closed  bigint NOT NULL,
    late    bigint NOT NULL,
    taken   bigint NOT NULL,
    spare   bigint NOT NULL
);

-- +goose StatementBegin
CREATE FUNCTION request_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO request_tally SELECT state, consumer_right, channel, regime, (attention <> '')::int, count(*) FROM fresh GROUP BY 1, 2, 3, 4, 5;
        INSERT INTO request_day SELECT date_trunc('day', created_at, 'UTC'), count(*), 0, 0, 0, 0 FROM fresh GROUP BY 1;
        INSERT INTO request_day SELECT date_trunc('day', closed_at, 'UTC'), 0, count(*), count(*) FILTER (WHERE closed_at > respond_by),
                sum(extract(epoch FROM closed_at - created_at))::bigint, coalesce(sum(extract(epoch FROM respond_by - closed_at)) FILTER (WHERE respond_by < '2200-01-01 00:00+00'), 0)::bigint
            FROM fresh WHERE closed_at IS NOT NULL GROUP BY 1;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO request_tally SELECT state, consumer_right, channel, regime, (attention <> '')::int, -count(*) FROM gone GROUP BY 1, 2, 3, 4, 5;
        INSERT INTO request_day SELECT date_trunc('day', created_at, 'UTC'), -count(*), 0, 0, 0, 0 FROM gone GROUP BY 1;
        INSERT INTO request_day SELECT date_trunc('day', closed_at, 'UTC'), 0, -count(*), -count(*) FILTER (WHERE closed_at > respond_by),
                -sum(extract(epoch FROM closed_at - created_at))::bigint, -coalesce(sum(extract(epoch FROM respond_by - closed_at)) FILTER (WHERE respond_by < '2200-01-01 00:00+00'), 0)::bigint
            FROM gone WHERE closed_at IS NOT NULL GROUP BY 1;
    ELSE
        INSERT INTO request_tally SELECT state, consumer_right, channel, regime, flag, sum(n) FROM (
                SELECT state, consumer_right, channel, regime, (attention <> '')::int AS flag, 1 AS n FROM fresh
                UNION ALL SELECT state, consumer_right, channel, regime, (attention <> '')::int, -1 FROM gone
            ) AS each GROUP BY 1, 2, 3, 4, 5 HAVING sum(n) <> 0;
        INSERT INTO request_day SELECT date_trunc('day', closed_at, 'UTC'), 0, sum(n), coalesce(sum(n) FILTER (WHERE closed_at > respond_by), 0),
                sum(n * extract(epoch FROM closed_at - created_at))::bigint, coalesce(sum(n * extract(epoch FROM respond_by - closed_at)) FILTER (WHERE respond_by < '2200-01-01 00:00+00'), 0)::bigint
            FROM (
                SELECT closed_at, created_at, respond_by, 1 AS n FROM fresh WHERE closed_at IS NOT NULL
                UNION ALL SELECT closed_at, created_at, respond_by, -1 FROM gone WHERE closed_at IS NOT NULL
            ) AS each GROUP BY 1 HAVING sum(n) <> 0;
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER request_counted_in AFTER INSERT ON request REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION request_counted();
CREATE TRIGGER request_counted_on AFTER UPDATE ON request REFERENCING OLD TABLE AS gone NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION request_counted();
CREATE TRIGGER request_counted_out AFTER DELETE ON request REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION request_counted();

INSERT INTO request_tally SELECT state, consumer_right, channel, regime, (attention <> '')::int, count(*) FROM request GROUP BY 1, 2, 3, 4, 5;
INSERT INTO request_day SELECT date_trunc('day', created_at, 'UTC'), count(*), 0, 0, 0, 0 FROM request GROUP BY 1;
INSERT INTO request_day SELECT date_trunc('day', closed_at, 'UTC'), 0, count(*), count(*) FILTER (WHERE closed_at > respond_by),
        sum(extract(epoch FROM closed_at - created_at))::bigint, coalesce(sum(extract(epoch FROM respond_by - closed_at)) FILTER (WHERE respond_by < '2200-01-01 00:00+00'), 0)::bigint
    FROM request WHERE closed_at IS NOT NULL GROUP BY 1;

-- +goose Down
DROP TRIGGER request_counted_out ON request;
DROP TRIGGER request_counted_on ON request;
DROP TRIGGER request_counted_in ON request;
DROP FUNCTION request_counted();
DROP TABLE request_day;
DROP TABLE request_tally;
DROP TABLE saved_filter;
DROP INDEX job_answered;
DROP INDEX job_unfinished;
CREATE INDEX request_by_right ON request (consumer_right, created_at DESC, id DESC);
CREATE INDEX request_by_regime ON request (regime, created_at DESC, id DESC);
DROP INDEX request_facets_due;
DROP INDEX request_facets;
DROP INDEX request_assignee;
ALTER TABLE request DROP COLUMN assignee;
