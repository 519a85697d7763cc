-- +goose Up
-- What is looked at for one organization alone must not cost what all of them did.
CREATE INDEX runs_organization ON runs (organization, started_at, id);

-- Who is on the other side of what the last plan could not settle: JSON.
ALTER TABLE standing ADD COLUMN about text NOT NULL DEFAULT '';

-- How many changes the newest plan refused and how many disputes it named: few
-- connections have any. Of earlier plans it is not known, so they are looked at.
ALTER TABLE connections ADD COLUMN undecided bigint NOT NULL DEFAULT 0;
UPDATE connections SET undecided = 1 WHERE planned > 0;
CREATE INDEX connections_undecided ON connections (alias, organization) WHERE undecided > 0;

-- Few plans wait for a person, of many that there were.
CREATE INDEX plans_waiting ON plans (organization, created_at) WHERE state IN ('ready', 'held');

-- +goose Down
DROP INDEX plans_waiting;
DROP INDEX connections_undecided;
ALTER TABLE connections DROP COLUMN undecided;
ALTER TABLE standing DROP COLUMN about;
DROP INDEX runs_organization;
