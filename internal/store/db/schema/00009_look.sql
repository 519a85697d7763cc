-- +goose Up
-- What is looked at for one organization alone must not cost what all of them did.
CREATE INDEX runs_organization ON runs (organization, started_at, id);

-- +goose Down
DROP INDEX runs_organization;
