-- +goose Up
-- Each event's digest over the one before and over its row: the chain by which
-- a later change is noticed. Of the counters, "event" holds that of the last
-- event and "pruned" that of the last one no longer kept, each sealed with the
-- installation's key. Events up to "chained" were written without.
ALTER TABLE events ADD COLUMN chain BYTES;
ALTER TABLE counters ADD COLUMN chain BYTES;
ALTER TABLE counters ADD COLUMN seal BYTES;
INSERT INTO counters (name, value) SELECT 'chained', value FROM counters WHERE name = 'event';

-- Where events go. "cursor" is the last event that was made into deliveries.
-- Secrets are sealed; the one before stays valid for a while.
CREATE TABLE webhooks (
	id               text PRIMARY KEY,
	organization     text NOT NULL,
	url              text NOT NULL,
	description      text NOT NULL,
	types            text NOT NULL,
	enabled          boolean NOT NULL,
	disabled_because text NOT NULL DEFAULT '',
	cursor           bigint NOT NULL,
	secret           BYTES NOT NULL,
	secret_before    BYTES,
	secret_until     bigint NOT NULL DEFAULT 0,
	failures         bigint NOT NULL DEFAULT 0,
	failing_since    bigint NOT NULL DEFAULT 0,
	paused_until     bigint NOT NULL DEFAULT 0,
	created_at       bigint NOT NULL,
	updated_at       bigint NOT NULL
);
CREATE INDEX webhooks_organization ON webhooks (organization, id);
CREATE INDEX webhooks_cursor ON webhooks (cursor) WHERE enabled;

-- One event for one webhook. "body" is that of a test, which has no event;
-- "step" how far it is in the schedule of attempts; "claim" whose turn it is.
CREATE TABLE deliveries (
	id         text PRIMARY KEY,
	webhook    text NOT NULL,
	event      bigint NOT NULL,
	type       text NOT NULL,
	body       text NOT NULL DEFAULT '',
	state      text NOT NULL,
	attempts   bigint NOT NULL DEFAULT 0,
	step       bigint NOT NULL DEFAULT 0,
	status     bigint NOT NULL DEFAULT 0,
	error      text NOT NULL DEFAULT '',
	next_at    bigint NOT NULL,
	give_up_at bigint NOT NULL,
	claim      text NOT NULL DEFAULT '',
	created_at bigint NOT NULL,
	ended_at   bigint NOT NULL DEFAULT 0
);
CREATE INDEX deliveries_due ON deliveries (webhook, next_at) WHERE state = 'pending';
CREATE INDEX deliveries_listed ON deliveries (webhook, id);
CREATE INDEX deliveries_stated ON deliveries (webhook, state, id);
CREATE INDEX deliveries_open ON deliveries (event) WHERE state = 'pending';
CREATE INDEX deliveries_hopeless ON deliveries (give_up_at) WHERE state = 'pending';
CREATE INDEX deliveries_ended ON deliveries (ended_at) WHERE ended_at > 0;

CREATE TABLE delivery_attempts (
	delivery text NOT NULL,
	number   bigint NOT NULL,
	at       bigint NOT NULL,
	took     bigint NOT NULL,
	status   bigint NOT NULL,
	error    text NOT NULL,
	answer   BYTES,
	PRIMARY KEY (delivery, number)
);

-- What people were told of. One that has not ended is told of once, and once
-- more when it has. "told" lists the fingerprints they had, "done" the ways a
-- message that is under way has been sent by.
CREATE TABLE notices (
	id           text PRIMARY KEY,
	organization text NOT NULL,
	connection   text NOT NULL,
	reason       text NOT NULL,
	subject      text NOT NULL,
	fingerprint  text NOT NULL,
	text         text NOT NULL,
	event        bigint NOT NULL DEFAULT 0,
	first_at     bigint NOT NULL,
	sent_at      bigint NOT NULL DEFAULT 0,
	ended_at     bigint NOT NULL DEFAULT 0,
	end_sent_at  bigint NOT NULL DEFAULT 0,
	end_text     text NOT NULL DEFAULT '',
	attempts     bigint NOT NULL DEFAULT 0,
	next_at      bigint NOT NULL,
	error        text NOT NULL DEFAULT '',
	claim        text NOT NULL DEFAULT '',
	told         text NOT NULL DEFAULT '',
	done         text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX notices_open ON notices (organization, connection, reason, subject) WHERE ended_at = 0;
CREATE INDEX notices_due ON notices (next_at) WHERE next_at > 0;
CREATE INDEX notices_ended ON notices (ended_at) WHERE ended_at > 0;

-- When what connections sign in with runs out, as far as anybody knows.
CREATE TABLE expiries (
	connection   text NOT NULL,
	name         text NOT NULL,
	organization text NOT NULL,
	expires_at   bigint NOT NULL,
	PRIMARY KEY (connection, name)
);

-- The last event people were told of, if it was worth it.
INSERT INTO counters (name, value) SELECT 'noticed', value FROM counters WHERE name = 'event';

-- +goose Down
DELETE FROM counters WHERE name IN ('chained', 'noticed');
DROP TABLE expiries;
DROP TABLE notices;
DROP TABLE delivery_attempts;
DROP TABLE deliveries;
DROP TABLE webhooks;
ALTER TABLE counters DROP COLUMN seal;
ALTER TABLE counters DROP COLUMN chain;
ALTER TABLE events DROP COLUMN chain;
