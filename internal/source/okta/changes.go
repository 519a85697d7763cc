package okta

import (
	"bytes"
	"slices"
	"time"

	"rollcall.dev/rollcall/internal/directory"
)

// chunk is how many people are asked for by ID at a time, so that the address stays
// short.
const chunk = 40

// changes reads what was updated since the last reading, and when it is time names
// everybody. It moves the bookmark on.
func (p *pass) changes(b *bookmark) error {
	since := b.Mark.Add(-p.set.overlap)
	// Assignments of an application leave no trace in people: they are all named.
	sweep := p.req.Sweep || p.set.people == peopleApp || due(b.SweptAt, p.req.Now, p.set.sweepEvery)
	c := &updates{pass: p, since: since, sweep: sweep}
	if err := c.groups(b); err != nil {
		return err
	}
	var err error
	switch p.set.people {
	case peopleGroups:
		err = c.ofGroups()
	case peopleApp:
		err = c.ofApp()
	default:
		err = c.ofAll()
	}
	if err != nil {
		return err
	}
	if err := c.tellGroups(); err != nil {
		return err
	}
	if p.out.Swept = c.sweep; c.sweep {
		b.SweptAt = p.req.Now
	}
	return nil
}

// updates is a reading of changes.
type updates struct {
	*pass
	since time.Time
	sweep bool

	selected []*entry // groups: all that are, in a sweep; else those updated
	dropped  []*entry // updated groups that are not selected
	refs     [][]string
	whole    bool // refs are of all in selected
}

// groups finds the groups that were updated, or all where they are named.
func (c *updates) groups(b *bookmark) error {
	if !c.set.selects() {
		return nil
	}
	// Where groups decide who is read they are listed each time: one that went, or is
	// called otherwise, takes its people along.
	all := c.sweep || c.set.people == peopleGroups
	filter := ""
	if !all {
		filter = `lastUpdated gt "` + stamp(c.since) + `" or lastMembershipUpdated gt "` + stamp(c.since) + `"`
	}
	there := map[string]bool{}
	err := c.list(groups, c.set.groupsRef(filter), func(e *entry) error {
		if there[e.id] {
			return nil
		}
		there[e.id] = true
		if c.set.selected(e.id, e.text("name")) {
			c.selected = append(c.selected, e)
		} else if !all {
			c.dropped = append(c.dropped, e)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if all {
		c.missing(c.selected)
	}
	if c.set.people == peopleGroups {
		now := digest(c.selected)
		// Who left a group is only seen when the members of all are known.
		c.sweep = c.sweep || !bytes.Equal(now, b.Groups) || slices.ContainsFunc(c.selected, c.updated)
		b.Groups = now
	}
	return nil
}

// updated is true of an entry that changed since the last reading, and of one that does
// not say.
func (c *updates) updated(e *entry) bool {
	for _, name := range []string{"lastUpdated", "lastMembershipUpdated"} {
		text, _ := e.fields[name].(string)
		if at, err := time.Parse(time.RFC3339, text); err != nil || at.After(c.since) {
			return true
		}
	}
	return false
}

// ofAll reads changes of all people. What was updated is asked for after everybody was
// named, so that who moves between the two lists meanwhile is in it.
func (c *updates) ofAll() error {
	var unknown []string
	if c.sweep {
		n := 0
		err := c.everybody("id,status", func(e *entry) error {
			if e.status == deprovisioned && !c.set.deprovisioned {
				return nil
			}
			n++
			return c.present(directory.User, e.id, &unknown)
		})
		if err != nil {
			return err
		}
		if n == 0 {
			c.incomplete("Okta lists nobody: may the role of the app or administrator see them?")
		}
	}
	if err := c.people(func(*entry) bool { return true }); err != nil {
		return err
	}
	return c.fetch(unknown)
}

// ofApp reads changes of those whom the application is assigned to, who are all named
// each time.
func (c *updates) ofApp() error {
	assigned, err := c.assigned()
	if err != nil {
		return err
	}
	var unknown []string
	for id := range assigned {
		if err := c.present(directory.User, id, &unknown); err != nil {
			return err
		}
	}
	if err := c.people(func(e *entry) bool { return assigned[e.id] }); err != nil {
		return err
	}
	slices.Sort(unknown)
	return c.fetch(unknown)
}

// ofGroups reads changes of the members of the groups selected: their own, and where
// memberships changed all of them.
func (c *updates) ofGroups() error {
	if !c.sweep {
		return c.people(func(*entry) bool { return true })
	}
	var err error
	c.whole = true
	if c.refs, err = c.members(c.selected, c.person); err == nil && c.out.Users == 0 {
		c.incomplete("Okta lists nobody (%s): may the role of the app or administrator see them?", c.set.who())
	}
	return err
}

// people hands on who was updated and is read; who is not read any more is gone.
func (c *updates) people(read func(*entry) bool) error {
	return c.list(users, c.set.usersRef(`lastUpdated gt "`+stamp(c.since)+`"`, ""), func(e *entry) error {
		known, err := c.known(directory.User, e.id)
		if err != nil {
			return err
		}
		outside := !read(e) || e.status == deprovisioned && !c.set.deprovisioned
		switch {
		case outside && known:
			return c.emit(&directory.Record{Kind: directory.User, ID: directory.ExternalID(e.id), Gone: true})
		case outside, c.set.people == peopleGroups && !known:
			return nil // who is not known comes by a membership
		}
		return c.person(e)
	})
}

func (c *updates) known(k directory.Kind, id string) (bool, error) {
	if c.req.Known == nil {
		return false, nil
	}
	return c.req.Known(k, directory.ExternalID(id))
}

// present names an entry, or keeps it to be read as a whole where it is not known.
func (c *updates) present(k directory.Kind, id string, unknown *[]string) error {
	known, err := c.known(k, id)
	if err != nil {
		return err
	}
	if !known {
		*unknown = append(*unknown, id)
		return nil
	}
	return c.emit(&directory.Record{Kind: k, ID: directory.ExternalID(id), Present: true})
}

// fetch hands on the whole records of people by ID. Who went meanwhile is not there.
func (c *updates) fetch(ids []string) error {
	ids = slices.DeleteFunc(ids, func(id string) bool { return c.told[directory.Sum([]byte(id))] })
	for part := range slices.Chunk(ids, chunk) {
		if err := c.list(users, c.set.usersRef(idFilter(part), ""), c.person); err != nil {
			return err
		}
	}
	return nil
}

// tellGroups hands on the groups.
func (c *updates) tellGroups() error {
	for _, g := range c.dropped {
		known, err := c.known(directory.Group, g.id)
		if err != nil {
			return err
		}
		if known {
			if err := c.emit(&directory.Record{Kind: directory.Group, ID: directory.ExternalID(g.id), Gone: true}); err != nil {
				return err
			}
		}
	}
	if c.set.people == peopleGroups && !c.sweep {
		return nil
	}
	if !c.whole {
		var read []*entry
		for _, g := range c.selected {
			known, err := c.known(directory.Group, g.id)
			if err != nil {
				return err
			}
			if !known || c.updated(g) {
				read = append(read, g)
			} else if err := c.emit(&directory.Record{Kind: directory.Group, ID: directory.ExternalID(g.id), Present: true}); err != nil {
				return err
			}
		}
		var err error
		c.selected = read
		if c.refs, err = c.members(read, nil); err != nil {
			return err
		}
	}
	for i, g := range c.selected {
		if err := c.group(g, c.refs[i]); err != nil {
			return err
		}
	}
	return nil
}
