-- +goose Up
ALTER TABLE onward ADD COLUMN note text NOT NULL DEFAULT '';
CREATE INDEX onward_all ON onward (deadline, id);
CREATE INDEX onward_recipient ON onward (recipient, deadline, id);
CREATE INDEX onward_acknowledged ON onward (acknowledged_at, recipient) WHERE state = 'acknowledged';

-- +goose Down
DROP INDEX onward_acknowledged;
DROP INDEX onward_recipient;
DROP INDEX onward_all;
ALTER TABLE onward DROP COLUMN note;
