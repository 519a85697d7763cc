package ldap

import (
	"slices"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/rig/servers"
	"rollcall.dev/rollcall/internal/setting"
)

// edits are what happens in a directory, one after the other, in the words all
// servers share.
var edits = []struct {
	name string
	edit func(s *servers.Server) error
}{
	{"nothing", func(s *servers.Server) error { return nil }},
	{"a person is changed", func(s *servers.Server) error { return s.SetTitle(s.People()[1].UID, "Changed") }},
	{"a title is taken away", func(s *servers.Server) error { return s.SetTitle(s.People()[1].UID, "") }},
	{"a person comes", func(s *servers.Server) error { return s.AddPerson("new", "Nina", "New", "nina.new@example.org") }},
	{"a person is renamed", func(s *servers.Server) error { return s.Rename(s.People()[2].UID, "Renamed, Person") }},
	{"a person is moved", func(s *servers.Server) error { return s.Move(s.People()[3].UID, "Board") }},
	{"a person is disabled", func(s *servers.Server) error { return s.Disable(s.People()[4].UID) }},
	{"a person is enabled", func(s *servers.Server) error { return s.Enable(s.People()[4].UID) }},
	{"a person is deleted", func(s *servers.Server) error { return s.Delete(s.People()[7].UID) }},
	{"a person leaves the base", func(s *servers.Server) error { return s.MoveOut(s.People()[8].UID) }},
	{"a group comes", func(s *servers.Server) error { return s.AddGroup("Fresh", s.People()[9].UID) }},
	{"a group is put into another", func(s *servers.Server) error { return s.NestGroup("Fresh", servers.Groups()[0].Name) }},
	{"a group is given a member", func(s *servers.Server) error { return s.AddMember("Fresh", s.People()[10].UID) }},
	{"a group loses a member", func(s *servers.Server) error { return s.RemoveMember("Fresh", s.People()[10].UID) }},
	{"a group is renamed", func(s *servers.Server) error { return s.RenameGroup("Fresh", "Stale") }},
	{"a group is emptied", func(s *servers.Server) error { return s.EmptyGroup(servers.Groups()[1].Name) }},
	{"a group is deleted", func(s *servers.Server) error { return s.DeleteGroup("Stale") }},
}

func serverSettings(s *servers.Server, more setting.Values) setting.Values {
	v := setting.Values{"addr": []string{s.TLSURL}, "tls.ca_file": s.CAFile, "bind_dn": s.ReaderDN, "bind_password": s.ReaderPassword,
		"base_dn": s.PeopleBase, "groups.base_dn": s.GroupsBase}
	for k, x := range more {
		v[k] = x
	}
	return v
}

// followed are the ways of reading each server has.
var followed = []struct {
	vendor  string
	methods []string
	best    string // what is taken when nothing is set
}{
	{servers.ActiveDirectory, []string{methodDirSync, methodUSN, methodStamp}, methodDirSync},
	{servers.DirectoryServer, []string{methodSync, methodStamp}, methodSync},
	{servers.ApacheDS, []string{methodStamp}, methodStamp},
	{servers.OpenLDAP, []string{methodSync, methodStamp}, methodSync},
}

func TestChangesOfEveryServerAreFollowed(t *testing.T) {
	for _, vendor := range followed {
		t.Run(vendor.vendor, func(t *testing.T) {
			s := theServer(t, vendor.vendor)
			wanted := []string{"uid", "sAMAccountName", "mail", "sn", "cn", "givenName", "title", "manager", "userAccountControl", "accountExpires", "nsAccountLock", "pwdAccountLockedTime", "shadowExpire"}
			var all []*follower
			for _, m := range append(vendor.methods, methodAuto) {
				f := follow(t, serverSettings(s, setting.Values{"sync.method": m}), wanted...)
				if got := f.read(); !got.Full || !got.Complete || got.Next == nil || got.Users < 50 || len(got.Notes) > 0 {
					t.Errorf("%s: %s", m, show(got))
				}
				all = append(all, f)
			}
			for _, e := range edits {
				t.Run(e.name, func(t *testing.T) {
					if err := e.edit(s); err != nil {
						t.Fatal(err)
					}
					for i, f := range all {
						method := slices.Concat(vendor.methods, []string{vendor.best})[i]
						t.Run(f.v.String("sync.method"), func(t *testing.T) {
							f.t = t
							f.now = f.now.Add(time.Hour)
							got := f.follows(method)
							t.Log(show(got), f.whole)
						})
					}
				})
			}
		})
	}
}
