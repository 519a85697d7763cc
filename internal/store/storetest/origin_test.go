package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/setting"
)

// origin tells of an account's fields and groups in lines.
func (w *World) origin(alias, username string) []string {
	w.T.Helper()
	a := w.Account(username)
	o, err := w.Engine.Origin(w.T.Context(), *w.Conn(alias), a)
	w.must(err)
	var lines []string
	for _, f := range o.Fields {
		if f.Kind == "none" {
			continue
		}
		line := f.Field + ": " + f.Kind + " " + f.Text
		for _, r := range f.Raw {
			line += fmt.Sprintf(" %s=%v", r.Name, r.Values)
		}
		lines = append(lines, line)
	}
	groups, err := w.Store.AccountTable.GroupsByID(w.T.Context(), a.Groups)
	w.must(err)
	var refs []engine.GroupRef
	for _, g := range groups {
		refs = append(refs, engine.GroupRef{ID: g.ID, Key: g.Key})
	}
	paths, err := w.Engine.Paths(w.T.Context(), *w.Conn(alias), o, refs)
	w.must(err)
	for _, g := range groups {
		line := "in " + g.Name + ": " + paths[g.ID].How
		for _, via := range paths[g.ID].Through {
			line += " > " + groups[via.ID].Name + via.Name
		}
		lines = append(lines, line)
	}
	for _, r := range o.Raw() {
		if r.Hidden {
			lines = append(lines, "hidden "+r.Name)
			if len(r.Values) > 0 {
				w.T.Errorf("%s is shown", r.Name)
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func TestWhereAnAccountComesFromIsToldFieldByField(t *testing.T) {
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", func(c *setting.Connection) {
			c.Mapping["department"] = setting.Rule{Value: "Sales"}
			c.Mapping["title"] = setting.Rule{Expr: `upper(title)`}
			c.Mapping["location"] = setting.Rule{None: true}
		})
		w.Holds("hq", Person("boss"), Person("anna", "title=lead", "employeeNumber=7", "manager=boss", "primary=staff", "userPassword={SSHA}x"),
			Group("staff"), Group("inner", "anna"), Group("outer", "@inner", "boss"), Group("top", "@outer", "@ring"), Group("ring", "@top"), Group("all", "anna", "boss"))
		w.Applied("hq")
		same(t, "where anna comes from", w.origin("hq", "anna"),
			"badge: attribute employeeNumber employeeNumber=[7]",
			"department: value Sales",
			"email: attribute mail mail=[anna@example.org]",
			"first_name: attribute givenName givenName=[Anna]",
			"hidden userPassword",
			"in all: direct", "in inner: direct", "in outer: nested > inner", "in ring: nested > inner > outer > top", "in staff: primary", "in top: nested > inner > outer",
			"last_name: attribute sn sn=[Example]",
			"manager: attribute manager manager=[uid=boss,ou=people]",
			"mobile_phone: attribute mobile mobile=[]",
			"role: role employee",
			"status: expr adStatus(userAccountControl, accountExpires) userAccountControl=[] accountExpires=[]",
			"title: expr upper(title) title=[lead]",
			"username: attribute uid uid=[anna]")
		w.Dirs.Of("hq").Away = fmt.Errorf("it is not there")
		if got := w.origin("hq", "boss"); !slices.Contains(got, "in outer: direct") || !strings.Contains(strings.Join(got, "\n"), "in top: nested > outer") {
			t.Errorf("while the directory is away: %s", got)
		}
		w.Dirs.Of("hq").Away = nil
		w.Holds("hq", Person("boss"), Group("staff"), Group("inner", "anna"), Group("outer", "@inner", "boss"), Group("top", "@outer"), Group("all", "boss"))
		w.Applied("hq")
		if got := w.origin("hq", "anna"); !slices.Contains(got, "in all: kept") || w.Account("anna").Status != account.Disabled {
			t.Errorf("who left keeps the groups: %s", got)
		}
	})
}

func TestWhatIsSecretIsNotShown(t *testing.T) {
	for name, want := range map[string]bool{"userPassword": true, "unicodePwd": true, "sambaNTPassword": true, "krbPrincipalKey": true, "supplementalCredentials": true, "ms-Mcs-AdmPwd": true,
		"authPassword": true, "totpSecret": true, "pwdLastSet": false, "badPwdCount": false, "mail": false, "lastPasswordChangeDateTime": false, "employeeNumber": false} {
		if directory.Secret(name) != want {
			t.Errorf("%s is secret: %v", name, !want)
		}
	}
}
