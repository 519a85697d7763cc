-- +goose Up
CREATE TABLE organizations (
	id            text PRIMARY KEY,
	name          text NOT NULL,
	licence_limit bigint NOT NULL DEFAULT 0,
	created_at    bigint NOT NULL
);

-- What Rollcall remembers of a connection. Its settings live in the
-- configuration; "rules" is the fingerprint of those last carried out.
CREATE TABLE connections (
	alias         text PRIMARY KEY,
	organization  text NOT NULL,
	kind          text NOT NULL,
	rules         text NOT NULL DEFAULT '',
	rules_text    text NOT NULL DEFAULT '',
	attention     text NOT NULL DEFAULT '',
	generation    bigint NOT NULL DEFAULT 0,
	planned       bigint NOT NULL DEFAULT 0,
	complete      boolean NOT NULL DEFAULT false,
	reading       text NOT NULL DEFAULT '',
	users         bigint NOT NULL DEFAULT 0,
	groups        bigint NOT NULL DEFAULT 0,
	cursor        BYTES,
	last_full_at  bigint NOT NULL DEFAULT 0,
	lease_owner   text NOT NULL DEFAULT '',
	lease_until   bigint NOT NULL DEFAULT 0,
	fence         bigint NOT NULL DEFAULT 0
);

-- The latest full picture of each connection. A row belongs to the generation
-- of the reading that brought it; rows above connections.generation belong to a
-- reading that has not ended, and count for nothing.
CREATE TABLE mirror (
	connection  text NOT NULL,
	key         BYTES NOT NULL,
	generation  bigint NOT NULL,
	kind        smallint NOT NULL,
	gone        bigint NOT NULL DEFAULT 0,
	external_id text NOT NULL,
	ref         BYTES NOT NULL,
	hash        BYTES NOT NULL,
	primary_ref BYTES,
	name        text NOT NULL,
	refs        BYTES,
	record      BYTES NOT NULL,
	secret      text NOT NULL DEFAULT '',
	PRIMARY KEY (connection, key, generation)
);
CREATE INDEX mirror_generation ON mirror (connection, generation);
CREATE INDEX mirror_gone ON mirror (connection, gone) WHERE gone > 0;
CREATE INDEX mirror_ref ON mirror (connection, ref);
CREATE INDEX mirror_groups ON mirror (connection, key) WHERE kind = 2;
CREATE INDEX mirror_primary ON mirror (connection, primary_ref) WHERE primary_ref IS NOT NULL;

-- What a ref meant to rows of a generation below "until", since readings of
-- changes do not bring the entries that hold it: the entry with this key.
CREATE TABLE former (
	connection  text NOT NULL,
	ref         BYTES NOT NULL,
	until       bigint NOT NULL,
	key         BYTES NOT NULL,
	PRIMARY KEY (connection, ref, until)
);

-- What the last plan could not settle: problems, disputes, refused changes,
-- warnings, and rows to look at again at a given time. Always planned again.
CREATE TABLE standing (
	connection  text NOT NULL,
	key         BYTES NOT NULL,
	kind        text NOT NULL,
	name        text NOT NULL,
	external_id text NOT NULL,
	account     BYTES,
	text        text NOT NULL,
	due_at      bigint NOT NULL DEFAULT 0
);
CREATE INDEX standing_key ON standing (connection, key);

-- Entries that two connections claim.
CREATE TABLE claims (
	organization     text NOT NULL,
	account          BYTES NOT NULL,
	owner            text NOT NULL,
	owner_key        BYTES NOT NULL,
	claimant         text NOT NULL,
	claimant_key     BYTES NOT NULL,
	claimant_name    text NOT NULL,
	PRIMARY KEY (claimant, claimant_key)
);
CREATE INDEX claims_owner ON claims (owner, owner_key);

CREATE TABLE accounts (
	id           BYTES PRIMARY KEY,
	organization text NOT NULL,
	connection   text NOT NULL,
	key          BYTES,
	external_id  text NOT NULL DEFAULT '',
	username_key text NOT NULL,
	email_key    text NOT NULL,
	username     text NOT NULL,
	email        text NOT NULL,
	first_name   text NOT NULL,
	last_name    text NOT NULL,
	display_name text NOT NULL,
	mobile_phone text NOT NULL,
	phone        text NOT NULL,
	language     text NOT NULL,
	title        text NOT NULL,
	department   text NOT NULL,
	location     text NOT NULL,
	role         text NOT NULL,
	manager      BYTES,
	status       text NOT NULL,
	cause        text NOT NULL,
	attributes   text NOT NULL,
	version      bigint NOT NULL,
	created_at   bigint NOT NULL,
	updated_at   bigint NOT NULL,
	deleted_at   bigint NOT NULL DEFAULT 0
) WITHOUT_ROWID;
CREATE UNIQUE INDEX accounts_link ON accounts (connection, key) WHERE key IS NOT NULL;
CREATE INDEX accounts_purge ON accounts (connection, deleted_at) WHERE deleted_at > 0;
CREATE INDEX accounts_username ON accounts (organization, username_key);
CREATE INDEX accounts_email ON accounts (organization, email_key);
CREATE INDEX accounts_manager ON accounts (manager) WHERE manager IS NOT NULL;

-- How many accounts each connection has: counting a million takes a while.
-- "here" leaves out the deleted and those disabled by absence; "changed_at" is
-- when the last change to any was written.
CREATE TABLE tallies (
	organization text NOT NULL,
	connection   text NOT NULL,
	here         bigint NOT NULL,
	active       bigint NOT NULL,
	changed_at   bigint NOT NULL,
	PRIMARY KEY (organization, connection)
);

CREATE TABLE credentials (
	account     BYTES PRIMARY KEY,
	hash        text NOT NULL,
	updated_at  bigint NOT NULL
);

CREATE TABLE groups (
	id           BYTES PRIMARY KEY,
	organization text NOT NULL,
	connection   text NOT NULL,
	key          BYTES NOT NULL,
	external_id  text NOT NULL,
	name         text NOT NULL,
	status       text NOT NULL,
	version      bigint NOT NULL,
	created_at   bigint NOT NULL,
	updated_at   bigint NOT NULL
);
CREATE UNIQUE INDEX groups_link ON groups (connection, key);

CREATE TABLE memberships (
	group_id   BYTES NOT NULL,
	account_id BYTES NOT NULL,
	PRIMARY KEY (group_id, account_id)
) WITHOUT_ROWID;
CREATE INDEX memberships_account ON memberships (account_id);

CREATE TABLE plans (
	id           text PRIMARY KEY,
	organization text NOT NULL,
	connection   text NOT NULL,
	run          text NOT NULL DEFAULT '',
	state        text NOT NULL,
	verdict      text NOT NULL DEFAULT '',
	hash         text NOT NULL DEFAULT '',
	held_because text NOT NULL DEFAULT '[]',
	summary      text NOT NULL DEFAULT '{}',
	basis        text NOT NULL DEFAULT '{}',
	chunks       bigint NOT NULL DEFAULT 0,
	applied      bigint NOT NULL DEFAULT 0,
	decided_by   text NOT NULL DEFAULT '',
	created_at   bigint NOT NULL
);
CREATE INDEX plans_connection ON plans (connection, created_at);

CREATE TABLE plan_chunks (
	plan  text NOT NULL,
	part  text NOT NULL,
	seq   bigint NOT NULL,
	first bigint NOT NULL,
	body  BYTES NOT NULL,
	PRIMARY KEY (plan, part, seq)
);

CREATE TABLE plan_excluded (
	plan text NOT NULL,
	seq  bigint NOT NULL,
	PRIMARY KEY (plan, seq)
);

CREATE TABLE runs (
	id           text PRIMARY KEY,
	organization text NOT NULL,
	connection   text NOT NULL,
	trigger_by   text NOT NULL,
	actor        text NOT NULL,
	state        text NOT NULL,
	fence        bigint NOT NULL,
	reading      text NOT NULL DEFAULT '',
	summary      text NOT NULL DEFAULT '',
	plan         text NOT NULL DEFAULT '',
	reverts      text NOT NULL DEFAULT '',
	error        text NOT NULL DEFAULT '',
	started_at   bigint NOT NULL,
	finished_at  bigint NOT NULL DEFAULT 0
);
CREATE INDEX runs_connection ON runs (connection, started_at);

CREATE TABLE counters (
	name  text PRIMARY KEY,
	value bigint NOT NULL
);
INSERT INTO counters (name, value) VALUES ('event', 0);

CREATE TABLE events (
	id           ROWID PRIMARY KEY,
	span         bigint NOT NULL,
	members      BYTES,
	type         text NOT NULL,
	organization text NOT NULL,
	connection   text NOT NULL,
	run          text NOT NULL,
	account      BYTES,
	group_id     BYTES,
	at           bigint NOT NULL,
	actor        text NOT NULL,
	before       text NOT NULL,
	after        text NOT NULL,
	why          text NOT NULL
);
CREATE INDEX events_account ON events (account, id) WHERE account IS NOT NULL;
CREATE INDEX events_group ON events (group_id) WHERE members IS NOT NULL;

-- +goose Down
DROP TABLE events;
DROP TABLE counters;
DROP TABLE runs;
DROP TABLE plan_excluded;
DROP TABLE plan_chunks;
DROP TABLE plans;
DROP TABLE memberships;
DROP TABLE groups;
DROP TABLE credentials;
DROP TABLE tallies;
DROP TABLE accounts;
DROP TABLE claims;
DROP TABLE standing;
DROP TABLE former;
DROP TABLE mirror;
DROP TABLE connections;
DROP TABLE organizations;
