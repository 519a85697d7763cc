-- +goose Up
-- How far the clients of a connection are. "seq" counts transactions that changed
-- something; "pending" says that a run has to take note of some; the last was
-- put in line at "taken_at". Tombstones up to
-- "pruned" are gone. "epoch" is another one when the row was made anew.
CREATE TABLE pushed_state (
	connection text PRIMARY KEY,
	epoch      text NOT NULL,
	seq        bigint NOT NULL,
	pruned     bigint NOT NULL,
	pending    boolean NOT NULL,
	pending_at bigint NOT NULL,
	taken_at   bigint NOT NULL,
	changed_at bigint NOT NULL
);
CREATE INDEX pushed_state_pending ON pushed_state (pending_at) WHERE pending;

-- What clients pushed: "body" is JSON, as it was sent. IDs grow with time. "seq" is
-- of the last change; "gone_at" 0 while the resource is there. Keys are folded and
-- never long; "external" is short, but for its case, in the same way.
CREATE TABLE pushed (
	connection   text NOT NULL,
	kind         text NOT NULL,
	id           EXACT NOT NULL,
	seq          bigint NOT NULL,
	version      bigint NOT NULL,
	created_at   bigint NOT NULL,
	modified_at  bigint NOT NULL,
	gone_at      bigint NOT NULL,
	username_key EXACT NOT NULL,
	display_key  EXACT NOT NULL,
	external     EXACT NOT NULL,
	body         text NOT NULL,
	PRIMARY KEY (connection, kind, id)
);
CREATE UNIQUE INDEX pushed_username ON pushed (connection, username_key) WHERE kind = 'User' AND gone_at = 0;
CREATE INDEX pushed_display ON pushed (connection, kind, display_key) WHERE display_key <> '';
CREATE INDEX pushed_external ON pushed (connection, kind, external) WHERE external <> '';
CREATE INDEX pushed_seq ON pushed (connection, kind, seq, id);
CREATE INDEX pushed_gone ON pushed (connection, kind, username_key, display_key) WHERE gone_at > 0;

-- Values that filters ask for besides, by the name of the attribute, folded.
CREATE TABLE pushed_values (
	connection text NOT NULL,
	attr       text NOT NULL,
	value      EXACT NOT NULL,
	id         EXACT NOT NULL,
	PRIMARY KEY (connection, attr, value, id)
) WITHOUT_ROWID;

-- Members of groups, in the words of the client. A member need not be a resource.
CREATE TABLE pushed_members (
	connection text NOT NULL,
	grp        EXACT NOT NULL,
	member     EXACT NOT NULL,
	display    text NOT NULL,
	kind       text NOT NULL,
	PRIMARY KEY (connection, grp, member)
) WITHOUT_ROWID;
CREATE INDEX pushed_members_member ON pushed_members (connection, member, grp);

-- What was applied a moment ago counts against the limits of what comes next.
CREATE INDEX runs_ended ON runs (connection, finished_at) WHERE finished_at > 0;

-- +goose Down
DROP INDEX runs_ended;
DROP TABLE pushed_members;
DROP TABLE pushed_values;
DROP TABLE pushed;
DROP TABLE pushed_state;
