-- +goose Up
CREATE TABLE onward (
    id              text PRIMARY KEY,
    request_id      text NOT NULL REFERENCES request (id),
    recipient       text NOT NULL CHECK (recipient <> ''),
    role            text NOT NULL,
    contract        text NOT NULL,
    letters         text NOT NULL,
    basis           text NOT NULL,
    channel         text NOT NULL,
    state           text NOT NULL CHECK (state IN ('waiting', 'told', 'acknowledged', 'excused')),
    code            text NOT NULL,
    explanation     text NOT NULL,
    decided_at      timestamptz NOT NULL,
    deadline        timestamptz NOT NULL,
    told_at         timestamptz,
    shown_at        timestamptz,
    acknowledged_at timestamptz,
    acknowledged_by text NOT NULL,
    reminders       bigint NOT NULL,
    tries           bigint NOT NULL,
    failed          text NOT NULL,
    next_at         timestamptz,
    UNIQUE (request_id, recipient)
);
CREATE INDEX onward_due ON onward (next_at) WHERE state IN ('waiting', 'told') AND next_at IS NOT NULL;
CREATE INDEX onward_deadline ON onward (deadline) WHERE state IN ('waiting', 'told');

-- +goose Down
DROP TABLE onward;
