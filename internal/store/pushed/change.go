package pushed

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/store/db"
)

// Tx is one transaction on the resources of a connection.
type Tx struct {
	p          *Pushed
	ctx        context.Context // of the one request that the transaction is for
	tx         *db.Tx
	connection string
	seq        int64
	now        time.Time
	changed    bool
}

// DB is the transaction of the database, for what is written together with the
// resources.
func (t *Tx) DB() *db.Tx { return t.tx }

// Get gives a resource as it stands in the transaction, or a *scim.Error of status 404.
func (t *Tx) Get(typ scim.Type, id string, members, groups bool) (*Resource, error) {
	return get(t.ctx, t.tx, t.connection, typ, id, members, groups)
}

// keys are the columns a body is found by.
type keys struct{ username, display, external string }

func keysOf(typ scim.Type, body scim.Object) keys {
	k := keys{display: keyOf(text(body, "displayName"), false), external: keyOf(text(body, "externalId"), true)}
	if typ == scim.User {
		k.username = keyOf(text(body, "userName"), false)
	}
	return k
}

// named refuses a body that does not say who it is.
func (k keys) named(typ scim.Type) error {
	switch {
	case typ == scim.User && k.username == "":
		return scim.Bad(scim.InvalidValue, "A user needs a userName.")
	case typ == scim.Group && k.display == "":
		return scim.Bad(scim.InvalidValue, "A group needs a displayName.")
	}
	return nil
}

func taken(body scim.Object) error {
	return &scim.Error{Status: 409, Type: scim.Uniqueness, Detail: fmt.Sprintf("There is another user with the userName %q.", text(body, "userName"))}
}

// Create makes a resource. One that was deleted and comes again, under the same
// externalId and name, has the ID it had: whoever knows it by that knows it again.
// A userName that another user has is a *scim.Error of status 409 (RFC 7644, 3.3).
func (t *Tx) Create(typ scim.Type, body scim.Object) (*Resource, error) {
	k := keysOf(typ, body)
	if err := k.named(typ); err != nil {
		return nil, err
	}
	kept, err := encode(typ, body)
	if err != nil {
		return nil, err
	}
	r := &Resource{Type: typ, Body: body, Version: 1, CreatedAt: t.now, ModifiedAt: t.now, text: kept}
	at := db.Micros(t.now)
	was, err := t.before(typ, k, body)
	if err != nil {
		return nil, err
	}
	if was != nil {
		r.ID, r.Version = was.ID, was.Version+1
		_, err = t.tx.Exec(t.ctx, `UPDATE pushed SET seq = $3, version = $4, created_at = $5, modified_at = $6, gone_at = 0, username_key = $7, display_key = $8, external = $9, body = $10
			WHERE connection = $1 AND `+is(typ)+` AND id = $2`, t.connection, r.ID, t.seq, r.Version, at, at, k.username, k.display, k.external, kept)
	} else {
		r.ID = t.p.newID()
		_, err = t.tx.Exec(t.ctx, `INSERT INTO pushed (connection, kind, id, seq, version, created_at, modified_at, gone_at, username_key, display_key, external, body)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $10, $11)`, t.connection, string(typ), r.ID, t.seq, r.Version, at, at, k.username, k.display, k.external, kept)
	}
	if err != nil {
		return nil, err
	}
	t.changed = true
	return r, t.addValues(r.ID, valuesOf(typ, body))
}

// before gives who was deleted and is made again, or nil. For a user whose name another
// has it is the error: both are found by one question.
func (t *Tx) before(typ scim.Type, k keys, body scim.Object) (*Resource, error) {
	name, of := "username_key", k.username
	if typ == scim.Group {
		name, of = "display_key", k.display
	}
	query := `SELECT 1 AS there, id, version, gone_at FROM pushed WHERE connection = $1 AND ` + is(typ) + ` AND ` + name + ` = $2 AND external = $3 AND gone_at > 0`
	args := []any{t.connection, of, k.external}
	if typ == scim.User {
		query += ` UNION ALL SELECT 2 AS there, id, version, gone_at FROM pushed WHERE connection = $4 AND username_key = $5 AND kind = 'User' AND gone_at = 0`
		args = append(args, t.connection, of)
	}
	var r Resource
	var there int
	var gone int64
	err := t.tx.QueryRowContext(t.ctx, query+` ORDER BY there DESC, gone_at DESC LIMIT 1`, args...).Scan(&there, &r.ID, &r.Version, &gone)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, db.Explain("look for who has the name", err)
	case there == 2:
		return nil, taken(body)
	}
	return &r, nil
}

// free refuses a userName that another user has. Nobody takes it meanwhile: the
// connection's state is locked.
func (t *Tx) free(r *Resource, k keys, body scim.Object) error {
	var id string
	err := t.tx.QueryRowContext(t.ctx, `SELECT id FROM pushed WHERE connection = $1 AND username_key = $2 AND kind = 'User' AND gone_at = 0`, t.connection, k.username).Scan(&id)
	switch {
	case noRows(err) != nil:
		return db.Explain("look for the userName", err)
	case err == nil && id != r.ID:
		return taken(body)
	}
	return nil
}

// Replace puts another body in place of a resource's. Where they are the same,
// nothing is written, and the version stays.
func (t *Tx) Replace(r *Resource, body scim.Object) error {
	k := keysOf(r.Type, body)
	if err := k.named(r.Type); err != nil {
		return err
	}
	kept, err := encode(r.Type, body)
	if err != nil || kept == r.text {
		return err
	}
	was, err := decode(r.text)
	if err != nil {
		return err
	}
	if r.Type == scim.User && keysOf(r.Type, was).username != k.username {
		if err := t.free(r, k, body); err != nil {
			return err
		}
	}
	if _, err := t.tx.Exec(t.ctx, `UPDATE pushed SET seq = $3, version = version + 1, modified_at = $4, username_key = $5, display_key = $6, external = $7, body = $8
		WHERE connection = $1 AND `+is(r.Type)+` AND id = $2`, t.connection, r.ID, t.seq, db.Micros(t.now), k.username, k.display, k.external, kept); err != nil {
		return err
	}
	t.touched(r)
	before, after := valuesOf(r.Type, was), valuesOf(r.Type, body)
	r.Body, r.text = body, kept
	if err := t.dropValues(r.ID, without(before, after)); err != nil {
		return err
	}
	return t.addValues(r.ID, without(after, before))
}

// touched keeps in a resource what a change of it did.
func (t *Tx) touched(r *Resource) {
	r.Version++
	r.ModifiedAt = t.now
	t.changed = true
}

// Delete removes a resource and its memberships, on both sides. What it was is kept
// for a while, in case it comes again.
func (t *Tx) Delete(r *Resource) error {
	at := db.Micros(t.now)
	was, err := decode(r.text)
	if err != nil {
		return err
	}
	if _, err := t.tx.Exec(t.ctx, `UPDATE pushed SET seq = $3, version = version + 1, modified_at = $4, gone_at = $5 WHERE connection = $1 AND `+is(r.Type)+` AND id = $2`,
		t.connection, r.ID, t.seq, at, at); err != nil {
		return err
	}
	t.touched(r)
	if err := t.dropValues(r.ID, valuesOf(r.Type, was)); err != nil {
		return err
	}
	// The groups that hold it are others without it.
	if _, err := t.tx.Exec(t.ctx, `UPDATE pushed SET seq = $3, version = version + 1, modified_at = $4
		WHERE connection = $1 AND kind = 'Group' AND id IN (SELECT grp FROM pushed_members WHERE connection = $5 AND member = $2)`, t.connection, r.ID, t.seq, at, t.connection); err != nil {
		return err
	}
	for _, end := range []string{"member", "grp"} {
		if _, err := t.tx.Exec(t.ctx, `DELETE FROM pushed_members WHERE connection = $1 AND `+end+` = $2`, t.connection, r.ID); err != nil {
			return err
		}
	}
	r.Members, r.Groups = nil, nil
	return nil
}

func without(list, but []value) []value {
	var out []value
next:
	for _, v := range list {
		for _, b := range but {
			if v == b {
				continue next
			}
		}
		out = append(out, v)
	}
	return out
}

func (t *Tx) addValues(id string, list []value) error {
	return t.tx.Insert(t.ctx, "pushed_values", []string{"connection", "attr", "value", "id"}, len(list), func(i int, into []any) {
		into[0], into[1], into[2], into[3] = t.connection, list[i].attr, list[i].key, id
	}, "")
}

func (t *Tx) dropValues(id string, list []value) error {
	for len(list) > 0 {
		n := min(len(list), 50)
		var or strings.Builder
		args := []any{t.connection, id}
		for i, v := range list[:n] {
			if i > 0 {
				or.WriteString(" OR ")
			}
			args = append(args, v.attr, v.key)
			fmt.Fprintf(&or, "attr = $%d AND value = $%d", len(args)-1, len(args))
		}
		if _, err := t.tx.Exec(t.ctx, `DELETE FROM pushed_values WHERE connection = $1 AND id = $2 AND (`+or.String()+`)`, args...); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}
