-- +goose Up
-- When a plan was applied, rejected or superseded, and whether its rows went
-- since: 0 no, 1 some, 2 all. The head stays for as long as its run.
ALTER TABLE plans ADD COLUMN ended_at bigint NOT NULL DEFAULT 0;
ALTER TABLE plans ADD COLUMN pruned smallint NOT NULL DEFAULT 0;
UPDATE plans SET ended_at = COALESCE((SELECT r.finished_at FROM runs r WHERE r.id = plans.run AND r.finished_at > 0), created_at)
	WHERE state IN ('applied', 'rejected', 'superseded');
CREATE INDEX plans_ended ON plans (ended_at) WHERE ended_at > 0 AND pruned < 2;
CREATE INDEX plans_heads ON plans (ended_at) WHERE pruned = 2 AND run = '';
CREATE INDEX plans_run ON plans (run) WHERE run <> '';
CREATE INDEX runs_finished ON runs (finished_at) WHERE finished_at > 0;

-- Events up to the one of this number are no longer kept; all of them were
-- written before this time.
INSERT INTO counters (name, value) VALUES ('pruned', 0), ('pruned_before', 0);

-- +goose Down
DELETE FROM counters WHERE name IN ('pruned', 'pruned_before');
DROP INDEX runs_finished;
DROP INDEX plans_run;
DROP INDEX plans_heads;
DROP INDEX plans_ended;
ALTER TABLE plans DROP COLUMN pruned;
ALTER TABLE plans DROP COLUMN ended_at;
