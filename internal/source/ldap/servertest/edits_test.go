package servertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/rig/servers"
	"rollcall.dev/rollcall/internal/source/ldap"
)

// edit is something that happens in a directory.
type edit struct {
	only string // the one vendor where it can happen; "" is all
	do   func(ctx context.Context, s *servers.Server) error
	sees []sight
	anew bool // a reading of changes may read everything in its place
}

// sight is a row of the table: what the next reading must show, held against
// the first of all.
type sight struct {
	name string
	see  func(was, is *picture) error
	but  map[string]string
}

// oldDN is what happens where the server leaves it to people to mend references.
var oldDN = map[string]string{servers.ApacheDS: "no: they keep the old DN"}

// edits come one after the other; none touches the people of another.
var edits = []edit{
	{
		do: func(_ context.Context, s *servers.Server) error {
			return s.AddPerson("nova", "Zoë", "Nováková, Ing.", "nova@example.org")
		},
		sees: []sight{{name: "Somebody new", see: func(_, is *picture) error { return is.says("nova", account.LastName, "Nováková, Ing.") }}},
	},
	{
		do:   func(_ context.Context, s *servers.Server) error { return s.SetTitle("kgross", "Chefingenieurin") },
		sees: []sight{{name: "An attribute changed", see: func(_, is *picture) error { return is.says("kgross", account.Title, "Chefingenieurin") }}},
	},
	{
		do:   func(_ context.Context, s *servers.Server) error { return s.SetTitle("kgross", "") },
		sees: []sight{{name: "An attribute taken away", see: func(_, is *picture) error { return is.says("kgross", account.Title, "") }}},
	},
	{
		do:   func(_ context.Context, s *servers.Server) error { return s.SetManager("novak", "asmith") },
		sees: []sight{{name: "Another manager", see: func(_, is *picture) error { return is.reports("novak", "asmith") }}},
	},
	{
		do: func(_ context.Context, s *servers.Server) error { return s.Rename("zlefevre", "Zoé Martin-Lefèvre") },
		sees: []sight{
			{name: "Somebody renamed stays the same account", see: func(was, is *picture) error { return is.same(was, "zlefevre", "Martin") }},
			{name: "… and groups and managers follow", but: oldDN, see: func(_, is *picture) error {
				return errors.Join(is.holds("App-Users", "jmueller", "lwisn", "nikos", "zlefevre"), is.reports("helene", "zlefevre"))
			}},
		},
	},
	{
		do: func(_ context.Context, s *servers.Server) error { return s.Move("jmueller", "研究開発") },
		sees: []sight{
			{name: "Somebody moved stays the same account", see: func(was, is *picture) error { return is.same(was, "jmueller", "研究開発") }},
			{name: "… and groups and managers follow them too", but: oldDN, see: func(_, is *picture) error {
				return errors.Join(is.holds("App-Users", "jmueller", "lwisn", "nikos", "zlefevre"), is.reports("zkrol", "jmueller"))
			}},
		},
	},
	{
		do:   func(_ context.Context, s *servers.Server) error { return s.Disable("lwisn") },
		sees: []sight{{name: "Somebody disabled", see: func(_, is *picture) error { return is.disabled("lwisn", servers.DisabledUID) }}},
	},
	{
		do:   func(_ context.Context, s *servers.Server) error { return s.Enable(servers.DisabledUID) },
		sees: []sight{{name: "Somebody enabled again", see: func(_, is *picture) error { return is.disabled("lwisn") }}},
	},
	{
		do:   func(_ context.Context, s *servers.Server) error { return s.Delete("nikos") },
		sees: []sight{{name: "Somebody deleted", see: func(_, is *picture) error { return is.lacks("nikos") }}},
	},
	{
		do:   func(_ context.Context, s *servers.Server) error { return s.MoveOut("sofia") },
		sees: []sight{{name: "Somebody moved out of the base", see: func(_, is *picture) error { return is.lacks("sofia") }}},
	},
	{
		do:   func(_ context.Context, s *servers.Server) error { return s.Move("sofia", "") },
		sees: []sight{{name: "… and back, as the same account", see: func(was, is *picture) error { return is.same(was, "sofia", "") }}},
	},
	{
		do:   func(_ context.Context, s *servers.Server) error { return s.AddMember("App-Admins", "sakura") },
		sees: []sight{{name: "A member more", see: func(_, is *picture) error { return is.holds("App-Admins", "asmith", "sakura", "ysato") }}},
	},
	{
		do:   func(_ context.Context, s *servers.Server) error { return s.RemoveMember("App-Admins", "asmith") },
		sees: []sight{{name: "A member fewer", see: func(_, is *picture) error { return is.holds("App-Admins", "sakura", "ysato") }}},
	},
	{
		do: func(_ context.Context, s *servers.Server) error {
			return errors.Join(s.AddGroup("App-Night", "sakura", "stanaka"), s.NestGroup("App-All", "App-Night"))
		},
		sees: []sight{{name: "A new group in another", see: func(_, is *picture) error {
			return errors.Join(is.holds("App-Night", "sakura", "stanaka"), is.holds("App-All", "[App-Admins]", "[App-Night]", "[App-Users]"))
		}}},
	},
	{
		do:   func(_ context.Context, s *servers.Server) error { return s.EmptyGroup("Büro Köln") },
		sees: []sight{{name: "A group emptied", see: func(_, is *picture) error { return is.holds("Büro Köln") }}},
	},
	{
		do: func(_ context.Context, s *servers.Server) error { return s.RenameGroup("App-Users", "App-Staff") },
		sees: []sight{
			{name: "A group renamed stays the same group", see: func(was, is *picture) error {
				before, err1 := was.group("App-Users")
				after, err2 := is.group("App-Staff")
				if before.id != after.id {
					err1 = fmt.Errorf("it was %s and is %s", before.id, after.id)
				}
				return errors.Join(err1, err2)
			}},
			{name: "… and the groups it is in follow", but: oldDN, see: func(_, is *picture) error { return is.holds("App-All", "[App-Admins]", "[App-Night]", "[App-Staff]") }},
		},
	},
	{
		do: func(_ context.Context, s *servers.Server) error { return s.DeleteGroup("App-Guests") },
		sees: []sight{{name: "A group deleted", see: func(_, is *picture) error {
			if _, err := is.group("App-Guests"); err == nil {
				return errors.New("it is still there")
			}
			return nil
		}}},
	},
	{
		do: func(_ context.Context, s *servers.Server) error { return s.RenameUnit("Qualität", "Quality") },
		sees: []sight{
			{name: "People whose unit is renamed stay the same accounts", see: func(was, is *picture) error {
				return errors.Join(is.same(was, "gpapad", "quality"), is.same(was, "coelho", "quality"))
			}},
			{name: "… and groups and managers follow all of them", but: oldDN, see: func(_, is *picture) error {
				return errors.Join(is.holds("Unit Qualität", "bjork", "cagri", "coelho", "ejaeger", "bkoehler", "eleni", "gpapad", "helene", "nguyen", "santos", "shevch", "szabo", "zoi"),
					is.reports("oguenes", "jmueller"))
			}},
		},
	},
	{
		only: servers.ActiveDirectory,
		do:   func(_ context.Context, s *servers.Server) error { return s.SetPrimaryGroup("park", "Everyone") },
		sees: []sight{{name: "Another primary group", see: func(_, is *picture) error {
			p, err := is.uid("park")
			if err != nil {
				return err
			}
			group, err := is.group("Everyone")
			if k, ok := is.meant(p.record, p.record.Primary); err == nil && (!ok || k != group) {
				err = fmt.Errorf("it is %q", p.record.Primary)
			}
			return err
		}}},
	},
	{
		only: servers.ActiveDirectory,
		do:   func(_ context.Context, s *servers.Server) error { return s.Expire("kim", time.Now().Add(-time.Hour)) },
		sees: []sight{{name: "An account expired", see: func(_, is *picture) error { return is.disabled("kim", "lwisn") }}},
	},
	{
		do: func(_ context.Context, s *servers.Server) error {
			errs := []error{s.AddPerson("extra", "Éva", "Extra", "extra@example.org"), s.AddMember("Idle", "extra"), s.Delete("tran"), s.DeleteGroup("Unit Board")}
			for _, p := range servers.Company()[50:58] {
				if p.UID != "tran" {
					errs = append(errs, s.SetTitle(p.UID, "Someone else"))
				}
			}
			return errors.Join(errs...)
		},
		sees: []sight{{name: "Many changes at once", see: func(_, is *picture) error {
			return errors.Join(is.holds("Idle", "extra"), is.lacks("tran"), is.says("nguyen", account.Title, "Someone else"), is.says("bjork", account.Title, "Someone else"))
		}}},
	},
	{
		do: func(ctx context.Context, s *servers.Server) error {
			return errors.Join(s.SetTitle("weiss", "Retired"), s.Delete("shevch"), s.Rename("petrova", "Ольга Иванова"), s.Restart(ctx))
		},
		sees: []sight{{name: "Changes before a restart of the server", see: func(was, is *picture) error {
			return errors.Join(is.says("weiss", account.Title, "Retired"), is.lacks("shevch"), is.same(was, "petrova", "Ольга Иванова"))
		}}},
	},
	{
		do:   func(ctx context.Context, s *servers.Server) error { return s.Reset(ctx) },
		anew: true,
		// Active Directory's is a copy that lacks changes of its own, and is refused.
		sees: []sight{{name: "The server set up anew", see: func(_, is *picture) error {
			return errors.Join(is.says("weiss", account.Title, "Engineer"), is.disabled(servers.DisabledUID), is.holds("Idle"))
		}}},
	},
}

// says is nil when a field of somebody has a value.
func (p *picture) says(uid string, field account.Field, want string) error {
	got, err := p.uid(uid)
	if err == nil && got.Text[field] != want {
		err = fmt.Errorf("%s of %s is %q, want %q", field, uid, got.Text[field], want)
	}
	return err
}

// same is nil when somebody has the external ID they had, and another DN with a
// certain text in it.
func (p *picture) same(was *picture, uid, in string) error {
	now, err := p.uid(uid)
	if err != nil {
		return err
	}
	before, err := was.uid(uid)
	switch {
	case err != nil:
		return err
	case now.id != before.id:
		return fmt.Errorf("%s was %s and is %s", uid, before.id, now.id)
	case ldap.Refer(now.record.Ref) == ldap.Refer(before.record.Ref), !strings.Contains(ldap.Refer(now.record.Ref), strings.ToLower(in)):
		return fmt.Errorf("%s is still, or now, %s", uid, now.record.Ref)
	}
	return nil
}

// lacks is nil when somebody is not there.
func (p *picture) lacks(uid string) error {
	if _, err := p.uid(uid); err == nil {
		return fmt.Errorf("%s is still there", uid)
	}
	return nil
}
