-- +goose Up
-- People who are signed in: one row for each browser. "hash" is the SHA-256 of what
-- its cookie holds; "methods" is how they proved who they are (RFC 8176), with
-- blanks between.
CREATE TABLE logins (
	id           text PRIMARY KEY,
	hash         BYTES NOT NULL UNIQUE,
	organization text NOT NULL,
	connection   text NOT NULL,
	account      BYTES NOT NULL,
	methods      text NOT NULL,
	address      text NOT NULL,
	agent        text NOT NULL,
	created_at   bigint NOT NULL,
	seen_at      bigint NOT NULL
);
CREATE INDEX logins_account ON logins (account, created_at);
CREATE INDEX logins_seen ON logins (seen_at);

-- +goose Down
DROP TABLE logins;
