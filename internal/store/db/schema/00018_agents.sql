-- +goose Up
-- Agents in customers' networks. "hash" is the SHA-256 of the secret, the "secret"-th
-- it has; "hash_before" is the one before, good until "before_until". "kind" and
-- "policy" (JSON, '' before the first time) are what it last reported. "told" is
-- whether the feed says that it is connected, "told_at" since when.
CREATE TABLE agents (
	id           text PRIMARY KEY,
	organization text NOT NULL,
	connection   text NOT NULL,
	name         text NOT NULL,
	hash         BYTES NOT NULL,
	hash_before  BYTES,
	before_until bigint NOT NULL DEFAULT 0,
	secret       bigint NOT NULL DEFAULT 1,
	kind         text NOT NULL DEFAULT '',
	policy       text NOT NULL DEFAULT '',
	version      text NOT NULL DEFAULT '',
	seen_at      bigint NOT NULL DEFAULT 0,
	told         boolean NOT NULL DEFAULT false,
	told_at      bigint NOT NULL DEFAULT 0,
	created_by   text NOT NULL,
	created_at   bigint NOT NULL,
	rotated_at   bigint NOT NULL DEFAULT 0,
	revoked_at   bigint NOT NULL DEFAULT 0,
	revoked_by   text NOT NULL DEFAULT ''
);
CREATE INDEX agents_connection ON agents (connection, id);
CREATE INDEX agents_organization ON agents (organization, id);

-- Which nodes an agent is connected to, by the database's clock. "latency" is in
-- microseconds.
CREATE TABLE agent_presences (
	agent   text NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
	node    text NOT NULL,
	address text NOT NULL,
	version text NOT NULL,
	since   bigint NOT NULL,
	seen_at bigint NOT NULL,
	latency bigint NOT NULL,
	problem text NOT NULL,
	PRIMARY KEY (agent, node)
) WITHOUT_ROWID;

-- +goose Down
DROP TABLE agent_presences;
DROP TABLE agents;
