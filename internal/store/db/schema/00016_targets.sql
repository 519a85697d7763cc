-- +goose Up
-- Applications whose accounts are kept in step over SCIM. "connections" is JSON, []
-- for all of the organization. "secret" is sealed. "cursor" is the last event that
-- was looked at; "loaded" false has everything looked at instead. "claim" is whose
-- turn it is, until "claimed_until".
CREATE TABLE targets (
	id            text PRIMARY KEY,
	organization  text NOT NULL,
	name          text NOT NULL,
	url           text NOT NULL,
	auth          text NOT NULL,
	client_id     text NOT NULL,
	token_url     text NOT NULL,
	oauth_scope   text NOT NULL,
	secret        BYTES NOT NULL,
	connections   text NOT NULL,
	push_groups   boolean NOT NULL,
	leavers       text NOT NULL,
	enabled       boolean NOT NULL,
	cursor        bigint NOT NULL,
	loaded        boolean NOT NULL,
	failures      bigint NOT NULL DEFAULT 0,
	failing_since bigint NOT NULL DEFAULT 0,
	paused_until  bigint NOT NULL DEFAULT 0,
	error         text NOT NULL DEFAULT '',
	claim         text NOT NULL DEFAULT '',
	claimed_until bigint NOT NULL DEFAULT 0,
	created_at    bigint NOT NULL,
	updated_at    bigint NOT NULL
);
CREATE INDEX targets_organization ON targets (organization, id);

-- What an account or group is at a target: "remote" its identifier there, "sent" the
-- digest of what we want there, "seen" that of what it was there after it was sent.
-- "next_at" is when it is looked at again, 0 for not before it changes; "version"
-- grows whenever it is asked for, so that nothing is lost while it is sent.
CREATE TABLE target_links (
	target     text NOT NULL,
	kind       text NOT NULL,
	id         BYTES NOT NULL,
	remote     text NOT NULL DEFAULT '',
	etag       text NOT NULL DEFAULT '',
	sent       BYTES,
	seen       BYTES,
	state      text NOT NULL,
	attempts   bigint NOT NULL DEFAULT 0,
	error      text NOT NULL DEFAULT '',
	next_at    bigint NOT NULL,
	version    bigint NOT NULL DEFAULT 0,
	updated_at bigint NOT NULL,
	PRIMARY KEY (target, kind, id)
) WITHOUT_ROWID;
CREATE INDEX target_links_due ON target_links (target, kind, next_at) WHERE next_at > 0;
CREATE INDEX target_links_remote ON target_links (target, kind, remote) WHERE remote <> '';
CREATE INDEX target_links_state ON target_links (target, state);

-- Who was put into which group there.
CREATE TABLE target_members (
	target     text NOT NULL,
	group_id   BYTES NOT NULL,
	account_id BYTES NOT NULL,
	remote     text NOT NULL,
	PRIMARY KEY (target, group_id, account_id)
) WITHOUT_ROWID;
CREATE INDEX target_members_account ON target_members (target, account_id);

-- +goose Down
DROP TABLE target_members;
DROP TABLE target_links;
DROP TABLE targets;
