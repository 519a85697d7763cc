package csv

import (
	"fmt"
	"strings"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
)

// managers knows by which name rows call others their managers: by the key, or,
// where that is another column, by the username.
type managers struct {
	username, manager int                       // columns, -1 where there is nothing to find out
	key               int                       // column
	called            map[directory.Digest]bool // what stands in the manager column
	usernames         map[directory.Digest]int  // how many rows have one; at last those only by which one row is called
	both              string                    // somebody who is called by both
}

func (c *columns) managers() managers {
	if c.username < 0 || c.manager < 0 || c.username == c.key {
		return managers{username: -1}
	}
	return managers{username: c.username, manager: c.manager, key: c.key, called: map[directory.Digest]bool{}, usernames: map[directory.Digest]int{}}
}

func folded(value string) directory.Digest { return directory.RefOf(account.Fold(value)) }

// add takes note of a row.
func (m *managers) add(r *row) {
	if m.username < 0 || r.bad != "" || r.cut {
		return
	}
	if manager := r.fields[m.manager]; strings.TrimSpace(manager) != "" {
		m.called[folded(manager)] = true
	}
	m.usernames[folded(r.fields[m.username])]++
}

// settle leaves the usernames by which a row is called that no other row has, and
// that are no row's key: a key goes before a username.
func (m *managers) settle(keys map[directory.Digest]int32) {
	for name, rows := range m.usernames {
		if _, key := keys[name]; key || rows > 1 || !m.called[name] {
			delete(m.usernames, name)
		}
	}
}

// ref is what other rows call the one with this key.
func (m *managers) ref(r *row, key string) string {
	if m.username < 0 || r.bad != "" {
		return key
	}
	name := strings.TrimSpace(r.fields[m.username])
	switch {
	case m.usernames[folded(name)] == 0, badKey(name) != "":
		return key
	case m.called[folded(key)]:
		if m.both == "" {
			m.both = fmt.Sprintf("row %d (%s)", r.line, key)
		}
		return key
	}
	return name
}
