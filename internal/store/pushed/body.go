package pushed

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"

	"rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/store/db"
)

// encode gives the body of a resource as it is stored, the same for the same body. A
// password is for nobody here, and is not kept (Okta sends one with every user).
func encode(t scim.Type, body scim.Object) (string, error) {
	kept := maps.Clone(body)
	for _, name := range []string{"id", "meta", "password"} {
		delete(kept, name)
	}
	switch t {
	case scim.User:
		delete(kept, "groups")
	case scim.Group:
		delete(kept, "members")
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(kept); err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

func decode(text string) (scim.Object, error) {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	var o scim.Object
	err := d.Decode(&o)
	return o, err
}

// is is the condition of a type. It is written out: with a parameter, SQLite plans the
// query anew for each, to see whether an index of one type alone may do.
func is(t scim.Type) string {
	if t == scim.Group {
		return "kind = 'Group'"
	}
	return "kind = 'User'"
}

// columns of a resource, for scan.
const columns = `kind, id, version, created_at, modified_at, body`

func scan(row interface{ Scan(...any) error }, more ...any) (*Resource, error) {
	var r Resource
	var created, modified int64
	if err := row.Scan(append([]any{&r.Type, &r.ID, &r.Version, &created, &modified, &r.text}, more...)...); err != nil {
		return nil, err
	}
	r.CreatedAt, r.ModifiedAt = db.Time(created), db.Time(modified)
	var err error
	r.Body, err = decode(r.text)
	return &r, err
}

// Object gives the resource whole, as filters see it: with its ID, meta (but the
// location, which the server knows) and what members or groups it holds.
func (r *Resource) Object() scim.Object {
	o := maps.Clone(r.Body)
	o["id"] = r.ID
	o["meta"] = scim.Object{"resourceType": string(r.Type), "created": r.CreatedAt.Format(timeFormat), "lastModified": r.ModifiedAt.Format(timeFormat)}
	if len(r.Members) > 0 {
		o["members"] = objects(r.Members)
	}
	if len(r.Groups) > 0 {
		o["groups"] = objects(r.Groups)
	}
	return o
}

// timeFormat is RFC 3339 to the microsecond, which is what the database keeps.
const timeFormat = "2006-01-02T15:04:05.000000Z"

func objects(list []Member) []any {
	out := make([]any, len(list))
	for i, m := range list {
		o := scim.Object{"value": m.ID, "type": string(m.Type)}
		if m.Display != "" {
			o["display"] = m.Display
		}
		out[i] = o
	}
	return out
}

// noRows makes nothing of an answer without rows.
func noRows(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}
