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

-- When a reading last saw everything, by whatever method.
ALTER TABLE connections ADD COLUMN complete_at bigint NOT NULL DEFAULT 0;
UPDATE connections SET complete_at = last_full_at;

-- The rules of the newest plan, the source's starting ones included: where a field
-- comes from is told without asking the directory.
ALTER TABLE connections ADD COLUMN mapping text NOT NULL DEFAULT '';

-- What happened to one group.
CREATE INDEX events_of_group ON events (group_id, id) WHERE group_id IS NOT NULL;

-- The first page tells of ten thousand connections at once: by these it reads what
-- it needs of the many, and otherwise only of those that are not well.
CREATE INDEX connections_read ON connections (alias) WHERE generation > 0;
CREATE INDEX connections_unwell ON connections (alias) WHERE generation > 0 AND NOT complete OR attention <> '';
CREATE INDEX connections_size ON connections (organization, users, groups);
CREATE INDEX declarations_listed ON declarations (alias, organization, scheduled);
CREATE INDEX secrets_taken ON secrets (owner) WHERE length(sealed) = 0;
CREATE INDEX deliveries_dead ON deliveries (webhook) WHERE state = 'dead';

-- +goose Down
DROP INDEX deliveries_dead;
DROP INDEX secrets_taken;
DROP INDEX declarations_listed;
DROP INDEX connections_size;
DROP INDEX connections_unwell;
DROP INDEX connections_read;
DROP INDEX events_of_group;
ALTER TABLE connections DROP COLUMN mapping;
ALTER TABLE connections DROP COLUMN complete_at;
DROP INDEX plans_waiting;
DROP INDEX connections_undecided;
ALTER TABLE connections DROP COLUMN undecided;
ALTER TABLE standing DROP COLUMN about;
DROP INDEX runs_organization;
