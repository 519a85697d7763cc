-- +goose Up
-- When somebody proved who they are; 0 where only their company's provider knows.
ALTER TABLE logins ADD COLUMN auth_at bigint NOT NULL DEFAULT 0;
UPDATE logins SET auth_at = created_at WHERE methods <> 'sso';

-- +goose Down
ALTER TABLE logins DROP COLUMN auth_at;
