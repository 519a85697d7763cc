-- +goose Up
-- Connections made through the API: their settings as JSON in the form of
-- rollcall.yaml, without secrets.
CREATE TABLE declarations (
	alias        text PRIMARY KEY,
	organization text NOT NULL,
	scheduled    boolean NOT NULL,
	body         text NOT NULL,
	version      bigint NOT NULL,
	created_at   bigint NOT NULL,
	updated_at   bigint NOT NULL,
	updated_by   text NOT NULL
);
CREATE INDEX declarations_organization ON declarations (organization, alias);

-- Sealed texts, by what they belong to ("connection hq") and their name there.
CREATE TABLE secrets (
	owner      text NOT NULL,
	name       text NOT NULL,
	sealed     BYTES NOT NULL,
	updated_at bigint NOT NULL,
	PRIMARY KEY (owner, name)
);

-- The last files given to a connection through the API, sealed: tables of people
-- hold their passwords.
CREATE TABLE uploads (
	id           text PRIMARY KEY,
	organization text NOT NULL,
	connection   text NOT NULL,
	name         text NOT NULL,
	size         bigint NOT NULL,
	sum          BYTES NOT NULL,
	body         BYTES NOT NULL,
	actor        text NOT NULL,
	at           bigint NOT NULL
);
CREATE INDEX uploads_connection ON uploads (connection, at);

-- IDs of organizations that were deleted. What is kept of them (events, runs) is
-- found by their ID, so nobody else is ever given it.
CREATE TABLE retired (
	organization text PRIMARY KEY,
	at           bigint NOT NULL
);

-- +goose Down
DROP TABLE retired;
DROP TABLE uploads;
DROP TABLE secrets;
DROP TABLE declarations;
