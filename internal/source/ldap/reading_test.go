package ldap

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/openldap"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// ldapsearch counts what another client finds.
func ldapsearch(t *testing.T, filter string) int {
	t.Helper()
	out, err := exec.Command("ldapsearch", "-x", "-LLL", "-H", rig.URL, "-D", rig.ReaderDN, "-y", filepath.Join(rig.Dir, "reader.pw"),
		"-b", rig.Suffix, "-E", "pr=500/noprompt", filter, "1.1").Output()
	if err != nil {
		t.Fatalf("ldapsearch: %v", err)
	}
	return len(regexp.MustCompile(`(?m)^dn:`).FindAll(out, -1))
}

func TestEverybodyIsReadOverManyPages(t *testing.T) {
	s := mustOpen(t, rigSettings(rig, setting.Values{"sync.page_size": 100, "groups.base_dn": "ou=groups," + rig.Suffix}))
	got := mustRead(t, s, "uid", "mail", "manager", "description", "jpegPhoto", "*", "+")
	if !got.Complete || !got.Full || got.Reason != "" {
		t.Errorf("the reading: %+v", got.Reading)
	}
	if want := ldapsearch(t, "(objectClass=inetOrgPerson)"); got.Users != want || want != rigPeople {
		t.Errorf("%d people, ldapsearch finds %d", got.Users, want)
	}
	if want := ldapsearch(t, "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames))"); got.Groups != want {
		t.Errorf("%d groups, ldapsearch finds %d", got.Groups, want)
	}
	ids := map[directory.ExternalID]bool{}
	groups := false
	for _, r := range got.records {
		if !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(string(r.ID)) || ids[r.ID] || r.Problem != "" {
			t.Fatalf("the external ID of %+v", r)
		}
		ids[r.ID] = true
		if groups = groups || r.Kind == directory.Group; groups && r.Kind == directory.User {
			t.Fatalf("%s comes after a group", r.Name)
		}
	}
	one := got.find(t, "uid=u0007,ou=people,dc=example,dc=org")
	if want := []string{"u0007@example.org", "user7@example.com"}; !slices.Equal(one.Get("mail"), want) {
		t.Errorf("mail is %q, want %q", one.Get("mail"), want)
	}
	if n := len(one.First("description")); n != bigValue {
		t.Errorf("the long description has %d bytes, want %d", n, bigValue)
	}
	if len(one.Attributes) != 4 || one.Ref != one.Name {
		t.Errorf("more or less than was asked for: %d attributes, ref %q", len(one.Attributes), one.Ref)
	}
	all := got.find(t, "cn=All,ou=groups,dc=example,dc=org")
	if len(all.Members) != rigPeople || all.Attributes[0].Name != "cn" || all.Attributes[0].Values[0] != "All" {
		t.Errorf("the group of all: %d members, %v", len(all.Members), all.Attributes)
	}
	if u := got.find(t, "cn=Unique,ou=groups,dc=example,dc=org"); !slices.Equal(u.Members, []string{"uid=u0002,ou=people,dc=example,dc=org"}) {
		t.Errorf("members of a groupOfUniqueNames: %q", u.Members)
	}
}

func TestWhoIsReadFollowsTheSettings(t *testing.T) {
	for _, c := range []struct {
		name          string
		v             setting.Values
		users, groups int
	}{
		{"no group setting reads no groups", nil, rigPeople, 0},
		{"a filter without brackets", setting.Values{"sync.filter": "uid=u00*"}, 100, 0},
		{"one level below a place with nobody directly in it", setting.Values{"scope": "one"}, 0, 0},
		{"one level below the people", setting.Values{"scope": "one", "base_dn": "ou=people," + rig.Suffix}, rigPeople, 0},
		{"one person as the base", setting.Values{"scope": "base", "base_dn": "uid=u0001,ou=people," + rig.Suffix}, 1, 0},
		{"groups by name", setting.Values{"groups.include": "^App-"}, rigPeople, 2},
		{"groups by filter", setting.Values{"groups.filter": "(cn=Unique)"}, rigPeople, 1},
		{"members only wants all groups", setting.Values{"groups.members_only": true}, rigPeople, 4},
		{"a page as long as the answer", setting.Values{"sync.page_size": rigPeople}, rigPeople, 0},
		{"a page longer than the answer", setting.Values{"sync.page_size": 5000}, rigPeople, 0},
		{"a flag in an extensible match", setting.Values{"sync.filter": "(&(objectClass=person)(ou:dn:=people))"}, rigPeople, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := mustRead(t, mustOpen(t, rigSettings(rig, c.v)), "uid")
			if got.Users != c.users || got.Groups != c.groups || !got.Complete {
				t.Errorf("%+v, want %d people and %d groups", got.Reading, c.users, c.groups)
			}
		})
	}
}

func TestTheBaseIsFoundWhereTheServerHasOne(t *testing.T) {
	v := rigSettings(rig, nil)
	delete(v, "base_dn")
	if got := mustRead(t, mustOpen(t, v), "uid"); got.Users != rigPeople {
		t.Errorf("%d people, want %d", got.Users, rigPeople)
	}
}

func TestAnyAttributeCanBeTheExternalID(t *testing.T) {
	got := mustRead(t, mustOpen(t, rigSettings(rig, setting.Values{"sync.anchor": "employeenumber"})), "uid")
	one := got.find(t, "uid=u0012,ou=people,dc=example,dc=org")
	if one.ID != "12" || len(one.Attributes) != 1 {
		t.Errorf("known by employeeNumber: %+v", one)
	}
	got = mustRead(t, mustOpen(t, rigSettings(rig, setting.Values{"sync.anchor": "mail"})), "mail")
	one = got.find(t, "uid=u0012,ou=people,dc=example,dc=org")
	if one.ID != "" || !strings.Contains(one.Problem, "2 values of mail") || len(one.Get("mail")) != 2 {
		t.Errorf("two anchors: %+v", one)
	}
	got = mustRead(t, mustOpen(t, rigSettings(rig, setting.Values{"sync.anchor": "employeeType"})))
	one = got.find(t, "uid=u0012,ou=people,dc=example,dc=org")
	if one.ID != "" || !strings.Contains(one.Problem, "no employeeType") || !got.Complete {
		t.Errorf("no anchor: %+v", one)
	}
}

func TestMembersOfAPosixGroupAreHandedOnAsDNs(t *testing.T) {
	got := mustRead(t, mustOpen(t, rigSettings(rig, setting.Values{"groups.filter": "(objectClass=posixGroup)", "groups.member_attribute": "memberUid"})), "mail")
	posix := got.find(t, "cn=Posix,ou=groups,dc=example,dc=org")
	if want := []string{"uid=u0003,ou=people,dc=example,dc=org", "nobody"}; !slices.Equal(posix.Members, want) {
		t.Errorf("%q, want %q", posix.Members, want)
	}
	if one := got.find(t, "uid=u0003,ou=people,dc=example,dc=org"); len(one.Attributes) != 1 {
		t.Errorf("more than was asked for: %+v", one.Attributes)
	}
}

func TestThePresetIsTheServersWithWhatIsSet(t *testing.T) {
	p, err := mustOpen(t, rigSettings(rig, nil)).Preset(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p.Vendor != "OpenLDAP" || p.Anchor != "entryUUID" || p.Filter != "(objectClass=inetOrgPerson)" || p.Mapping["username"].Expr != "firstOf(uid, mail)" {
		t.Errorf("%+v", p)
	}
	p, err = mustOpen(t, rigSettings(rig, setting.Values{"sync.filter": "(mail=*)", "sync.anchor": "uid"})).Preset(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p.Anchor != "uid" || p.Filter != "(mail=*)" {
		t.Errorf("%+v", p)
	}
}

func TestTLSIsUsedAndTheServerProved(t *testing.T) {
	noTLS := strings.Replace(rig.URL, "ldap://", "ldaps://", 1)
	byNumber := strings.Replace(rig.TLSURL, "localhost", "127.0.0.1", 1)
	other, err := openldap.Start(t.Context(), openldap.Options{ClientCA: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := other.Stop(); err != nil {
			t.Error(err)
		}
	}()
	otherCA := other.CAFile
	for _, c := range []struct {
		name       string
		server     *openldap.Server
		v          setting.Values
		want, hint string // of the error; "" reads well
	}{
		{"ldaps", rig, setting.Values{"addr": []string{rig.TLSURL}, "tls.ca_file": rig.CAFile}, "", ""},
		{"ldaps by number", rig, setting.Values{"addr": []string{byNumber}, "tls.ca_file": rig.CAFile}, "", ""},
		{"StartTLS", rig, setting.Values{"tls.ca_file": rig.CAFile, "tls.start_tls": true}, "", ""},
		{"an unknown CA", rig, setting.Values{"addr": []string{rig.TLSURL}}, "signed by CN=Rollcall rig CA, which is not trusted", "tls.ca_file"},
		{"another CA", rig, setting.Values{"addr": []string{rig.TLSURL}, "tls.ca_file": otherCA}, "not trusted", "tls.ca_file"},
		{"another CA with StartTLS", rig, setting.Values{"tls.start_tls": true, "tls.ca_file": otherCA}, "not trusted", "tls.ca_file"},
		{"a name that is not in the certificate", rig, setting.Values{"addr": []string{rig.TLSURL}, "tls.ca_file": rig.CAFile, "tls.server_name": "dc1.example.org"},
			"the certificate is for localhost, 127.0.0.1, not dc1.example.org", "Set tls.server_name to localhost"},
		{"a name set to that in the certificate", rig, setting.Values{"addr": []string{byNumber}, "tls.ca_file": rig.CAFile, "tls.server_name": "localhost"}, "", ""},
		{"TLS on a clear port", rig, setting.Values{"addr": []string{noTLS}, "tls.ca_file": rig.CAFile}, "in place of beginning TLS", "tls.start_tls"},
		{"a wrong pin", rig, setting.Values{"addr": []string{rig.TLSURL}, "tls.pinned_sha256": strings.Repeat("ab", 32)}, "not the pinned one", "tls.pinned_sha256"},
		{"a client certificate", other, setting.Values{"addr": []string{other.TLSURL}, "tls.ca_file": other.CAFile,
			"tls.cert_file": other.ClientCert, "tls.key_file": other.ClientKey}, "", ""},
		{"no client certificate where one is wanted", other, setting.Values{"addr": []string{other.TLSURL}, "tls.ca_file": other.CAFile}, "certificate", "tls.cert_file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := read(t.Context(), mustOpen(t, rigSettings(c.server, c.v)), "uid")
			if c.want == "" {
				if err != nil {
					t.Errorf("%v (%s)", err, fault.HintOf(err))
				}
				return
			}
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(fault.HintOf(err), c.hint) {
				t.Errorf("%v\nhint: %s\nwant %q and a hint at %q", err, fault.HintOf(err), c.want, c.hint)
			}
		})
	}
}

func TestThePinDoctorPrintsIsTaken(t *testing.T) {
	steps := check(t, rigSettings(rig, setting.Values{"addr": []string{rig.TLSURL}, "tls.ca_file": rig.CAFile}))
	_, pin, _ := strings.Cut(find(t, steps, "TLS").Detail, "public key SHA-256 ")
	pin, _, _ = strings.Cut(pin, "\n")
	got := mustRead(t, mustOpen(t, rigSettings(rig, setting.Values{"addr": []string{rig.TLSURL}, "tls.pinned_sha256": pin})), "uid")
	if got.Users != rigPeople {
		t.Errorf("%d people, want %d", got.Users, rigPeople)
	}
}

func TestMistakesSayWhatToDo(t *testing.T) {
	for _, c := range []struct {
		name       string
		v          setting.Values
		kind       fault.Kind
		want, hint string
	}{
		{"a wrong password", setting.Values{"bind_password": "wrong"}, fault.Denied, "invalid credentials", "bind_password"},
		{"a wrong password is not tried on the next server", setting.Values{"bind_password": "wrong", "addr": []string{rig.URL, "ldap://127.0.0.1:1"}}, fault.Denied, "invalid credentials", "bind_password"},
		{"an account that is no DN", setting.Values{"bind_dn": "reader"}, fault.Invalid, "invalid DN", "dc=example"},
		{"a wrong base", setting.Values{"base_dn": "ou=nowhere,dc=example,dc=org"}, fault.Invalid, "no such object", `nearest one above it is "dc=example,dc=org"`},
		{"a base that is no DN", setting.Values{"base_dn": "people"}, fault.Invalid, "invalid DN", "dc=example"},
		{"nobody signed in", setting.Values{"bind_dn": "", "bind_password": ""}, fault.Invalid, "no such object", "may not see"},
		{"nothing listens", setting.Values{"addr": []string{"ldap://127.0.0.1:1"}}, fault.Unavailable, "nothing listens", "port"},
		{"no such host", setting.Values{"addr": []string{"ldap://nowhere.invalid"}}, fault.Unavailable, "cannot be resolved", "DNS"},
		{"no server of two", setting.Values{"addr": []string{"ldap://127.0.0.1:1", "ldap://nowhere.invalid"}}, fault.Unavailable, "none of 2 servers", "port"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := read(t.Context(), mustOpen(t, rigSettings(rig, c.v)), "uid")
			if err == nil || fault.KindOf(err) != c.kind || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(c.want)) || !strings.Contains(fault.HintOf(err), c.hint) {
				t.Errorf("kind %d: %v\nhint: %s", fault.KindOf(err), err, fault.HintOf(err))
			}
			if err != nil && strings.Contains(err.Error()+fault.HintOf(err), rig.ReaderPassword) {
				t.Error("the password is in the error")
			}
		})
	}
}

func TestTheNextServerIsTakenWhenTheFirstIsDown(t *testing.T) {
	v := rigSettings(rig, setting.Values{"addr": []string{"ldap://127.0.0.1:1", "ldaps://" + strings.TrimPrefix(rig.URL, "ldap://"), rig.URL}})
	if got := mustRead(t, mustOpen(t, v), "uid"); got.Users != rigPeople || !got.Complete {
		t.Errorf("%+v", got.Reading)
	}
}

func TestASizeLimitMakesTheReadingIncomplete(t *testing.T) {
	limited, err := openldap.Start(t.Context(), openldap.Options{SizeLimit: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := limited.Stop(); err != nil {
			t.Error(err)
		}
	}()
	var b bytes.Buffer
	for _, uid := range []string{"a", "b", "c", "d", "e"} {
		b.WriteString("dn: uid=" + uid + ",ou=people,dc=example,dc=org\nchangetype: add\nobjectClass: inetOrgPerson\nuid: " + uid + "\ncn: x\nsn: x\n\n")
	}
	if err := limited.Modify(b.String()); err != nil {
		t.Fatal(err)
	}
	for _, page := range []int{1, 2, 1000} {
		got := mustRead(t, mustOpen(t, rigSettings(limited, setting.Values{"sync.page_size": page})), "uid")
		if got.Complete || !strings.Contains(got.Reason, "limit") || got.Users > 3 {
			t.Errorf("page size %d: %+v", page, got.Reading)
		}
	}
	v := rigSettings(limited, setting.Values{"bind_dn": limited.AdminDN, "bind_password": limited.AdminPassword, "sync.page_size": 2})
	if got := mustRead(t, mustOpen(t, v), "uid"); !got.Complete || got.Users != 5 {
		t.Errorf("without a limit: %+v", got.Reading)
	}
}

func TestAnErrorOfTheReceiverEndsTheReadingAsItIs(t *testing.T) {
	full := errors.New("full")
	n := 0
	_, err := mustOpen(t, rigSettings(rig, nil)).Read(t.Context(), source.Request{}, func(*directory.Record) error {
		if n++; n == 300 {
			return full
		}
		return nil
	})
	if !errors.Is(err, full) || err.Error() != full.Error() || n != 300 {
		t.Errorf("%v after %d", err, n)
	}
}

func TestACancelledReadingIsAnError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	_, err := mustOpen(t, rigSettings(rig, setting.Values{"sync.page_size": 50})).Read(ctx, source.Request{}, func(*directory.Record) error {
		if n++; n == 10 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || n >= rigPeople {
		t.Errorf("%v after %d", err, n)
	}
}

func TestProgressIsReported(t *testing.T) {
	var seen [][2]int
	_, err := mustOpen(t, rigSettings(rig, setting.Values{"groups.include": "."})).Read(t.Context(),
		source.Request{Progress: func(u, g int) { seen = append(seen, [2]int{u, g}) }}, func(*directory.Record) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if want := [][2]int{{500, 0}, {1000, 0}, {rigPeople, 4}}; !slices.Equal(seen, want) {
		t.Errorf("%v, want %v", seen, want)
	}
}
