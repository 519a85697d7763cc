package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/endpoint/login"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/rig/company"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/rig/people"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/simulator"
	entries "rollcall.dev/rollcall/internal/simulator/tree"
)

// doors is a world in which sun has directories that people sign in through: a
// company's ("company"), an Active Directory ("ad"), and one that is gone ("dead").
type doors struct {
	*world
	company *company.Company
	ad      *simulator.Server
	from    int
}

func openDoors(t *testing.T, w *world) *doors {
	t.Helper()
	d := &doors{world: w}
	var err error
	if d.company, err = company.Start(people.Options{People: 20, Groups: 2}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.must(d.company.Close()) })
	const suffix = "DC=example,DC=org"
	if d.ad, err = simulator.Start(simulator.Options{Personality: &simulator.ActiveDirectory{Suffix: suffix}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.must(d.ad.Close()) })
	_, err = d.ad.Tree.Add("OU=Staff,"+suffix, "objectClass", "organizationalUnit")
	d.must(err)
	for _, name := range []string{"petra", "quinn"} {
		_, err := d.ad.Tree.Add("CN="+name+",OU=Staff,"+suffix, "objectClass", "user", "sAMAccountName", name, "givenName", name, "sn", "Person", "mail", name+"@ad.example", "userPassword", company.Everybodys)
		d.must(err)
	}
	d.works("ivy", "title", "Baker")
	dead := httptest.NewServer(nil)
	gone := strings.Replace(dead.URL, "http://", "ldap://", 1)
	dead.Close()
	backend := func(addr, bind, password, base string) map[string]any {
		return map[string]any{"ldap": map[string]any{"addr": addr, "bind_dn": bind, "bind_password": password, "base_dn": base}}
	}
	for _, c := range []map[string]any{
		{"alias": "company", "backend": backend(d.company.URL, d.company.BindDN, d.company.Password, "ou=people,"+d.company.Suffix), "scope": []string{"title != 'Visitor'"}},
		{"alias": "ad", "backend": backend(d.ad.URL, "CN=Administrator,CN=Users,"+suffix, "Passw0rd!", "OU=Staff,"+suffix)},
		{"alias": "dead", "backend": backend(gone, "cn=x", "secret", "dc=example,dc=org")},
	} {
		c["organization"] = "sun"
		if a := w.ask("operator", "POST", "/connections", c); a.Code != http.StatusCreated {
			t.Fatal(a.Code, a.Body)
		}
	}
	for _, alias := range []string{"company", "ad"} {
		if a := w.ask("operator", "POST", "/connections/"+alias+"/sync?wait=true", map[string]any{}); a.Code >= 300 {
			t.Fatal(a.Code, a.Body)
		}
	}
	return d
}

func (d *doors) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// works puts somebody into the company's directory.
func (d *doors) works(name string, more ...string) {
	d.t.Helper()
	_, err := d.company.Tree.Add("uid="+name+",ou=people,"+d.company.Suffix, append([]string{"objectClass", "inetOrgPerson", "uid", name, "cn", name, "givenName", name, "sn", "Person", "mail", name + "@company.example", "userPassword", company.Everybodys}, more...)...)
	d.must(err)
}

// try is an application's, always from elsewhere.
func (d *doors) try(connection, login, password string) (int, client.Problem, client.Account) {
	d.t.Helper()
	d.from++
	a := d.ask("organization:sun", "POST", "/authenticate", map[string]any{"connection": connection, "login": login, "password": password, "address": fmt.Sprintf("192.0.2.%d", d.from)})
	var p client.Problem
	var who client.Account
	if a.Code == http.StatusOK {
		d.must(json.Unmarshal(a.Body.Bytes(), &who))
	} else {
		d.must(json.Unmarshal(a.Body.Bytes(), &p))
	}
	return a.Code, p, who
}

// refusedFor expects a reason.
func (d *doors) refusedFor(connection, login, password string, want string) {
	d.t.Helper()
	if code, p, _ := d.try(connection, login, password); code != http.StatusUnauthorized && code != http.StatusForbidden || p.Reason != want {
		d.t.Errorf("%s at %s: %d %+v, want %s", login, connection, code, p, want)
	}
}

// told gives the last event of a type, and what began its run.
func (d *doors) told(what event.Type) (out event.Event, trigger string) {
	d.t.Helper()
	d.must(d.app.Store.EventTable.After(d.t.Context(), "", 0, 100_000, func(e event.Event) error {
		if e.Type == what {
			out = e
		}
		return nil
	}))
	if out.Run != nil {
		run, err := d.app.Store.RunTable.Get(d.t.Context(), *out.Run)
		d.must(err)
		trigger = run.Trigger
	}
	return out, trigger
}

func TestPeopleSignInByTheirDirectory(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		d := openDoors(t, w)
		// Who is known, by username and by address.
		for _, login := range []string{"ivy", "IVY@company.example"} {
			if code, p, who := d.try("company", login, company.Everybodys); code != http.StatusOK || *who.Username != "ivy" || *who.Title != "Baker" || who.Connection != "company" {
				t.Fatalf("%d %+v %+v", code, p, who)
			}
		}
		if e, _ := d.told(event.AccountUpdated); e.Account != nil {
			t.Errorf("who has not changed was changed: %+v", e)
		}
		// Who has another title meanwhile.
		d.must(d.company.Tree.Modify("uid=ivy,ou=people,"+d.company.Suffix, entries.Replace("title", "Miller")))
		if code, p, who := d.try("company", "ivy", company.Everybodys); code != http.StatusOK || *who.Title != "Miller" {
			t.Errorf("%d %+v %+v", code, p, who)
		}
		if e, trigger := d.told(event.AccountUpdated); trigger != "sign-in" || !strings.Contains(string(e.After), "Miller") || e.Actor != "sign-in" {
			t.Errorf("%q %+v", trigger, e)
		}
		// Who is new.
		d.works("joe")
		code, p, who := d.try("company", "joe", company.Everybodys)
		if code != http.StatusOK || *who.Username != "joe" || who.Status != string(account.Active) {
			t.Errorf("%d %+v %+v", code, p, who)
		}
		if e, trigger := d.told(event.AccountCreated); trigger != "sign-in" || e.Account == nil || e.Account.String() != who.ID {
			t.Errorf("%q %+v", trigger, e)
		}
		if e, _ := d.told(event.AccountSignedIn); e.Account == nil || e.Account.String() != who.ID {
			t.Errorf("%+v", e)
		}
		// Who is not let in.
		d.works("vic", "title", "Visitor")
		d.refusedFor("company", "joe", "a guess", "invalid_credentials")
		d.refusedFor("company", "nobody", company.Everybodys, "invalid_credentials")
		d.refusedFor("company", "vic", company.Everybodys, "not_in_scope")
		d.refusedFor("company", "vic", "a guess", "invalid_credentials")
		d.must(d.ad.Tree.Modify("CN=petra,OU=Staff,DC=example,DC=org", entries.Replace("userAccountControl", "514")))
		d.refusedFor("ad", "petra", company.Everybodys, "disabled")
		d.refusedFor("ad", "petra", "a guess", "invalid_credentials")
		if code, p, _ := d.try("ad", "quinn", company.Everybodys); code != http.StatusOK {
			t.Errorf("%d %+v", code, p)
		}
		// A full licence keeps the next one out, and nobody who has a seat.
		d.works("kim")
		d.must(w.app.Store.Declare(t.Context(), []setting.Organization{{ID: "sun", Name: "Sun", LicenceLimit: 1}, {ID: "moon", Name: "Moon"}}))
		d.refusedFor("company", "kim", company.Everybodys, "licence_full")
		if code, p, _ := d.try("company", "ivy", company.Everybodys); code != http.StatusOK {
			t.Errorf("%d %+v", code, p)
		}
		if strings.Contains(w.log.String(), company.Everybodys) || strings.Contains(w.log.String(), "a guess") {
			t.Error("a password is in the log")
		}
	})
}

func TestADirectoryThatIsGoneHoldsUpNobodyElse(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		d := openDoors(t, w)
		for n := range 5 {
			if code, p, _ := d.try("dead", "ivy", company.Everybodys); code != http.StatusServiceUnavailable || p.Reason != "" {
				t.Errorf("%d: %d %+v", n, code, p)
			}
			if code, p, _ := d.try("company", "ivy", company.Everybodys); code != http.StatusOK {
				t.Errorf("%d: another connection: %d %+v", n, code, p)
			}
		}
		// Nobody waits for it any more.
		if shut := w.app.SignIn.Shut(); len(shut) != 1 || shut[0] != "dead" {
			t.Errorf("not asked at the moment: %v", shut)
		}
		if e, _ := d.told(event.AccountSignInFailed); e.Account != nil {
			t.Errorf("somebody is told to have failed: %+v", e)
		}
	})
}

var (
	sealed = regexp.MustCompile(`name="form" value="([^"]+)"`)
	alert  = regexp.MustCompile(`(?s)role="alert".*?</`)
)

func TestPeopleSignInAtThePageByTheirDirectory(t *testing.T) {
	d := openDoors(t, open(t, databases.SQLite(t)))
	pages, err := login.New(login.Deps{SignIn: d.app.SignIn, Logins: d.app.Store.LoginTable, Ring: d.app.Ring, PublicURL: "http://localhost"})
	d.must(err)
	site := httptest.NewServer(pages)
	defer site.Close()
	post := func(connection, who, password string) (int, string, string) {
		t.Helper()
		jar, err := cookiejar.New(nil)
		d.must(err)
		browser := &http.Client{Jar: jar}
		at := site.URL + "/login/" + connection
		read := func(r *http.Response, err error) (int, string, string) {
			t.Helper()
			d.must(err)
			defer r.Body.Close() //nolint:errcheck // it was read
			text, err := io.ReadAll(r.Body)
			d.must(err)
			return r.StatusCode, r.Request.URL.Path, string(text)
		}
		_, _, text := read(browser.Get(at)) //nolint:bodyclose // read closes it
		form := sealed.FindStringSubmatch(text)
		if form == nil {
			t.Fatalf("no form in\n%s", text)
		}
		return read(browser.PostForm(at, url.Values{"form": {form[1]}, "login": {who}, "password": {password}})) //nolint:bodyclose // read closes it
	}
	d.works("joe")
	d.works("vic", "title", "Visitor")
	for _, who := range []string{"ivy", "joe"} {
		if code, path, text := post("company", who, company.Everybodys); code != http.StatusOK || path != "/login/done" || !strings.Contains(text, who) {
			t.Errorf("%s: %d at %s\n%s", who, code, path, text)
		}
	}
	for _, c := range []struct{ who, password, want string }{
		{"ivy", "a guess", "The name or the password is wrong"}, {"nobody", "a guess", "The name or the password is wrong"}, {"vic", company.Everybodys, "You may not use this application"},
	} {
		if code, path, text := post("company", c.who, c.password); code != http.StatusUnauthorized || path != "/login/company" || !strings.Contains(alert.FindString(text), c.want) {
			t.Errorf("%s: %d at %s\n%s", c.who, code, path, text)
		}
	}
	if code, _, text := post("dead", "ivy", company.Everybodys); code != http.StatusServiceUnavailable || !strings.Contains(text, "cannot be reached") {
		t.Errorf("%d\n%s", code, text)
	}
}
