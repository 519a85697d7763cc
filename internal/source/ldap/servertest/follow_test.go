package servertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/rig/servers"
	"rollcall.dev/rollcall/internal/setting"
)

// method is a way of reading changes, and where it is to work.
type method struct {
	name    string // of the setting sync.method
	title   string
	vendors []string
	more    func(s *servers.Server) setting.Values // settings besides
}

func (m method) row() string { return "Changes read by " + m.title }

// chosen is the row with the method taken where none is set.
const chosen = "Chosen unless set otherwise"

var methods = []method{
	{name: "dirsync", title: "the DirSync control (`dirsync`)", vendors: []string{servers.ActiveDirectory}},
	{name: "usn", title: "`uSNChanged` (`usn`)", vendors: []string{servers.ActiveDirectory}},
	{name: "usn", title: "`uSNChanged`, by an account that sees deleted objects", vendors: []string{servers.ActiveDirectory},
		more: func(s *servers.Server) setting.Values {
			return setting.Values{"bind_dn": s.AdminDN, "bind_password": s.AdminPassword}
		}},
	{name: "syncrepl", title: "content sync, RFC 4533 (`syncrepl`)", vendors: []string{servers.OpenLDAP, servers.DirectoryServer}},
	{name: "modify-timestamp", title: "`modifyTimestamp` (`modify-timestamp`)", vendors: []string{servers.OpenLDAP, servers.DirectoryServer, servers.ApacheDS}},
	{name: "auto", title: "what is chosen, where a filter looks at `memberOf`", vendors: []string{servers.ActiveDirectory, servers.OpenLDAP, servers.DirectoryServer},
		more: func(s *servers.Server) setting.Values {
			return setting.Values{"sync.filter": fmt.Sprintf("(&(objectClass=person)(|(memberOf=%s)(memberOf=%s)))", s.GroupDN("App-Admins"), s.GroupDN("App-Night"))}
		}},
	{name: "auto", title: "what is chosen, in pages of three", vendors: servers.Vendors,
		more: func(*servers.Server) setting.Values { return setting.Values{"sync.page_size": 3} }},
}

// follower keeps a picture by reading changes.
type follower struct {
	method
	*picture
	failed bool
}

// begin has everything read for each method that is to work on a server.
func begin(t *testing.T, s *servers.Server, results *table) []*follower {
	var out []*follower
	for _, m := range methods {
		if !slices.Contains(m.vendors, s.Vendor) {
			results.put(m.row(), s.Vendor, "–")
			continue
		}
		more := setting.Values{"sync.method": m.name}
		if m.more != nil {
			maps.Copy(more, m.more(s))
		}
		p, err := full(t.Context(), s, more)
		if err == nil && p.next == nil {
			err = fmt.Errorf("the full reading gives nothing from which to go on: %q", p.last.Notes)
		}
		if err != nil {
			t.Errorf("%s: %v", m.title, err)
			continue
		}
		out = append(out, &follower{method: m, picture: p})
	}
	return out
}

// follow makes every edit. After each it reads everything, looks for what was
// edited, and reads the changes by every method: what is known then must be what
// a full reading says.
func follow(t *testing.T, s *servers.Server, results *table) {
	was, err := full(t.Context(), s, off)
	if err != nil {
		t.Error(err)
		return
	}
	followers := begin(t, s, results)
	for _, e := range edits {
		t.Run(e.sees[0].name, func(t *testing.T) {
			if e.only != "" && e.only != s.Vendor {
				for _, see := range e.sees {
					results.put(see.name, s.Vendor, "–")
				}
				return
			}
			if err := e.do(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			is, err := full(t.Context(), s, off)
			if err != nil {
				t.Fatal(err)
			}
			for _, see := range e.sees {
				c := check{name: see.name, but: see.but, run: func(context.Context, *servers.Server) error { return see.see(was, is) }}
				c.verify(t, s, results)
			}
			for _, f := range followers {
				f.keepUp(t, e, is)
			}
		})
	}
	by := map[string]bool{}
	for _, f := range followers {
		cell := "yes"
		if f.failed {
			cell = "**fails**"
		}
		results.put(f.row(), s.Vendor, cell)
		if f.name == "auto" {
			by["`"+f.by+"`"] = true
		}
	}
	results.put(chosen, s.Vendor, strings.Join(slices.Sorted(maps.Keys(by)), ", "))
}

// refused makes sure that nothing was read from a domain controller that lost changes,
// and reads everything as rollcall sync --full does.
func (f *follower) refused(ctx context.Context, err error) error {
	if err == nil || !strings.Contains(err.Error(), "and the last reading was of change ") {
		return errors.Join(errors.New("a server that lost changes was read"), err)
	}
	f.next = nil
	err = f.read(ctx)
	f.anew = err == nil
	return err
}

var off = setting.Values{"sync.method": "off"}

// keepUp reads the changes after an edit and holds what is known then against a
// picture of everything.
func (f *follower) keepUp(t *testing.T, e edit, is *picture) {
	t.Helper()
	if f.more != nil {
		more := f.more(f.server)
		maps.Copy(more, off)
		var err error
		if is, err = full(t.Context(), f.server, more); err != nil {
			t.Fatal(err)
		}
	}
	err := f.read(t.Context())
	if e.anew && f.server.Vendor == servers.ActiveDirectory {
		err = f.refused(t.Context(), err)
	}
	switch {
	case err != nil:
	case f.anew && !e.anew:
		err = errors.New("everything was read in place of the changes")
	case !f.anew && f.name != "auto" && f.last.Method != f.name:
		err = errors.New("the reading says it was by another method")
	}
	err = errors.Join(err, f.differs(is))
	if err == nil {
		return
	}
	f.failed = true
	t.Errorf("changes read by %s (%s, notes %q): %v", f.title, f.last.Method, f.last.Notes, err)
	// One fault is told once.
	f.publish(maps.Clone(is.records), is.generation, true)
}
