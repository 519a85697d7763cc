package ldap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/simulator"
	"rollcall.dev/rollcall/internal/simulator/tree"
	"rollcall.dev/rollcall/internal/simulator/wire"
	"rollcall.dev/rollcall/internal/source"
)

// witness sees everything that is asked of simulated servers.
type witness struct {
	reader string

	mu       sync.Mutex
	binds    []string // names, without the reader's
	searches int
	readers  map[string]bool // connections of the account that reads
	others   map[string]bool // connections that were bound as others
	wrong    []string
}

func (w *witness) hook(at string, twist func(c *simulator.Call) *simulator.Twist) simulator.Hook {
	return func(c *simulator.Call) *simulator.Twist {
		conn := fmt.Sprint(at, c.Conn)
		w.mu.Lock()
		switch op := c.Request.Op.(type) {
		case *wire.Bind:
			if op.Name == w.reader {
				w.readers[conn] = true
			} else {
				w.binds, w.others[conn] = append(w.binds, op.Name), true
			}
			if op.Name == "" || op.Password == "" {
				w.wrong = append(w.wrong, "a bind without name or password")
			}
		case *wire.Search:
			if w.searches++; w.others[conn] || c.DN != w.reader {
				w.wrong = append(w.wrong, "a search on a connection of "+c.DN)
			}
		}
		if w.readers[conn] && w.others[conn] {
			w.wrong = append(w.wrong, "a connection of the account that reads was bound as another")
		}
		w.mu.Unlock()
		if twist == nil {
			return nil
		}
		return twist(c)
	}
}

// took gives the binds since the last time.
func (w *witness) took(t *testing.T) []string {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, what := range w.wrong {
		t.Error(what)
	}
	out := w.binds
	w.binds, w.wrong = nil, nil
	return out
}

const typed = "Typed-by-somebody-1"

// signInCompany is a company of which some people can sign in, and a witness.
func signInCompany(t *testing.T, p simulator.Personality) (*company, *witness) {
	t.Helper()
	c := foundCompany(t, p, 3)
	login := "uid"
	if c.ad {
		login = "sAMAccountName"
	}
	for _, name := range []string{"anna", "bo", "twin1", "twin2"} {
		mail := name + "@example.org"
		if strings.HasPrefix(name, "twin") {
			mail = "twins@example.org"
		}
		c.add("cn="+name+",ou=Staff,"+c.suffix, "objectClass", c.class(), "sn", "S", login, name, "mail", mail, "userPassword", typed)
	}
	c.add("cn=device,ou=Staff,"+c.suffix, "objectClass", "account", login, "device", "userPassword", typed)
	w := &witness{reader: c.reader, readers: map[string]bool{}, others: map[string]bool{}}
	c.SetHook(w.hook("", nil))
	return c, w
}

func (c *company) values(more setting.Values) setting.Values {
	v := setting.Values{"addr": []string{c.URL}, "bind_dn": c.reader, "bind_password": "reads", "base_dn": "ou=Staff," + c.suffix}
	for k, x := range more {
		v[k] = x
	}
	return v
}

func mustAuthenticate(t *testing.T, v setting.Values, now func() time.Time) *authenticator {
	t.Helper()
	set, err := decode(v, source.Env{})
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthenticator(set, now)
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		for _, p := range []*pool{a.searches, a.binds} {
			if len(p.slots) > 0 || len(p.idle) > 0 {
				t.Errorf("%d connections are lent and %d idle after the end", len(p.slots), len(p.idle))
			}
		}
	})
	return a
}

func TestThereIsOneBindForEachSignIn(t *testing.T) {
	c, w := signInCompany(t, &simulator.OpenLDAP{})
	a := mustAuthenticate(t, c.values(nil), time.Now)
	staff := ",ou=Staff," + c.suffix
	for _, try := range []struct {
		name, login, password string
		want                  source.Standing
		right                 bool
		dn                    string // "" is somebody who is not there
	}{
		{"right", "anna", typed, source.Proved, true, "cn=anna" + staff},
		{"by address", "ANNA@example.org", typed, source.Proved, true, "cn=anna" + staff},
		{"wrong", "anna", "x", source.Wrong, false, "cn=anna" + staff},
		{"nobody", "nobody", typed, source.Nobody, false, ""},
		{"two of an address", "twins@example.org", typed, source.Several, false, ""},
		{"not read, right", "device", typed, source.NotReadable, true, "cn=device" + staff},
		{"not read, wrong", "device", "x", source.Wrong, false, "cn=device" + staff},
		{"a star", "*", typed, source.Nobody, false, ""},
		{"the end of the filter", "anna)(uid=*", typed, source.Nobody, false, ""},
		{"another filter", "x)(|(uid=*", typed, source.Nobody, false, ""},
		{"an escaped star", `\2a`, typed, source.Nobody, false, ""},
		{"an escaped letter", `\61nna`, typed, source.Nobody, false, ""},
		{"a DN", "cn=anna" + staff, typed, source.Nobody, false, ""},
		{"everything a filter is made of", `()&|!=~<>:*\/ "'`, typed, source.Nobody, false, ""},
	} {
		t.Run(try.name, func(t *testing.T) {
			p, err := a.Prove(t.Context(), try.login, try.password, []string{"mail"})
			if err != nil || p.Standing != try.want || p.Right != try.right {
				t.Fatalf("%+v, %v", p, err)
			}
			if read := try.want == source.Proved || try.want == source.Wrong && try.login == "anna"; (p.Record != nil) != read {
				t.Errorf("the record is %+v", p.Record)
			}
			binds := w.took(t)
			if len(binds) != 1 || try.dn != "" && binds[0] != try.dn || try.dn == "" && c.Tree.Find(binds[0]) != nil {
				t.Errorf("binds of %q", binds)
			}
		})
	}
	if len(w.readers) != 1 || len(w.others) != 1 {
		t.Errorf("%d connections that read, and %d that bind", len(w.readers), len(w.others))
	}
}

func TestWhatWasTypedIsSentForNobodyElse(t *testing.T) {
	c, _ := signInCompany(t, &simulator.OpenLDAP{})
	a := mustAuthenticate(t, c.values(nil), time.Now)
	c.SetHook(func(call *simulator.Call) *simulator.Twist {
		if b, ok := call.Request.Op.(*wire.Bind); ok && b.Password == typed {
			t.Errorf("%q was tried", b.Name)
		}
		return nil
	})
	for _, login := range []string{"nobody", "twins@example.org"} {
		if _, err := a.Prove(t.Context(), login, typed, nil); err != nil {
			t.Error(err)
		}
	}
}

func TestWhatCannotBeRightIsRefusedBeforeAnythingIsSent(t *testing.T) {
	c, _ := signInCompany(t, &simulator.ActiveDirectory{}) // it takes an empty password for nobody's, and lets nobody in
	a := mustAuthenticate(t, c.values(nil), time.Now)
	c.SetHook(func(call *simulator.Call) *simulator.Twist {
		t.Errorf("%T was sent", call.Request.Op)
		return nil
	})
	for _, try := range [][2]string{
		{"anna", ""}, {"anna", "\x00"}, {"anna", typed + "\x00"}, {"", typed}, {"an\x00na", typed}, {"ann\xff", typed},
		{strings.Repeat("a", longestLogin+1), typed}, {"anna", strings.Repeat("a", longestPassword+1)},
	} {
		p, err := a.Prove(t.Context(), try[0], try[1], nil)
		if fault.KindOf(err) != fault.Invalid || p.Right || strings.Contains(fmt.Sprint(err), typed) {
			t.Errorf("%.20q, %.20q: %+v, %v", try[0], try[1], p, err)
		}
	}
}

func TestTheReasonsOfActiveDirectory(t *testing.T) {
	c, w := signInCompany(t, &simulator.ActiveDirectory{MaxPasswordAge: 24 * time.Hour, LockoutThreshold: 1})
	a := mustAuthenticate(t, c.values(nil), time.Now)
	dn := "cn=anna,ou=Staff," + c.suffix
	old, recent := "125911584000000000", fmt.Sprint((time.Now().Unix()+11644473600)*10_000_000)
	usual := []tree.Mod{tree.Replace("userAccountControl", "512"), tree.Replace("accountExpires", "0"), tree.Replace("lockoutTime", "0"), tree.Replace("pwdLastSet", recent),
		tree.Replace("logonHours"), tree.Replace("userWorkstations")}
	for _, s := range []struct {
		name, attribute, value string
		password               string
		want                   source.Standing
		right                  bool
	}{
		{"as usual", "title", "T", typed, source.Proved, true},
		{"disabled (533)", "userAccountControl", "514", typed, source.Disabled, true},
		{"disabled, wrong password (52e)", "userAccountControl", "514", "x", source.Wrong, false},
		{"ended (701)", "accountExpires", old, typed, source.Ended, true},
		{"locked (775)", "lockoutTime", old, typed, source.Locked, false},
		{"at no hour (530)", "logonHours", strings.Repeat("\x00", 21), typed, source.NotHere, true},
		{"elsewhere (531)", "userWorkstations", "OTHER", typed, source.NotHere, true},
		{"must change (773)", "pwdLastSet", "0", typed, source.MustChange, true},
		{"expired (532)", "pwdLastSet", old, typed, source.Expired, true},
		{"expired, wrong password (52e)", "pwdLastSet", old, "x", source.Wrong, false},
	} {
		t.Run(s.name, func(t *testing.T) {
			c.must(c.Tree.Modify(dn, usual...))
			c.must(c.Tree.Modify(dn, tree.Replace(s.attribute, s.value)))
			p, err := a.Prove(t.Context(), "anna", s.password, nil)
			if err != nil || p.Standing != s.want || p.Right != s.right || p.Record == nil {
				t.Errorf("%+v, %v", p, err)
			}
			if b := w.took(t); len(b) != 1 {
				t.Errorf("binds of %q", b)
			}
		})
	}
	if p, err := a.Prove(t.Context(), "nobody", typed, nil); err != nil || p.Standing != source.Nobody { // 525
		t.Errorf("%+v, %v", p, err)
	}
}

func TestEveryAnswerToABindHasItsMeaning(t *testing.T) {
	policyOf := func(code int) []wire.Control {
		return []wire.Control{{OID: oidPasswordPolicy, Value: new(string(policyValue(code, -1, -1)))}}
	}
	const none = source.Standing("")
	for _, s := range []struct {
		name   string
		result wire.Result
		want   source.Standing // none is an error
		right  bool
		kind   fault.Kind
	}{
		{"success", wire.Result{}, source.Proved, true, 0},
		{"success, to be changed", wire.Result{Controls: policyOf(policyMustChange)}, source.MustChange, true, 0},
		{"success, said the old way to have expired", wire.Result{Controls: []wire.Control{{OID: oidPasswordExpired}}}, source.MustChange, true, 0},
		{"expired", wire.Result{Code: 49, Controls: policyOf(policyExpired)}, source.Expired, true, 0},
		{"locked", wire.Result{Code: 49, Controls: policyOf(policyLocked)}, source.Locked, false, 0},
		{"a policy nobody knows", wire.Result{Code: 49, Controls: policyOf(77)}, source.Wrong, false, 0},
		{"wrong", wire.Result{Code: 49}, source.Wrong, false, 0},
		{"a code of Active Directory nobody knows", wire.Result{Code: 49, Text: "AcceptSecurityContext error, data dead, v1"}, source.Wrong, false, 0},
		{"a restriction of the account", wire.Result{Code: 49, Text: "AcceptSecurityContext error, data 52f, v1"}, source.NotHere, false, 0},
		{"no password", wire.Result{Code: 48}, source.Wrong, false, 0},
		{"gone meanwhile", wire.Result{Code: 32}, source.Wrong, false, 0},
		{"389's lock", wire.Result{Code: 19, Text: "Exceed password retry limit. Please try later."}, source.Locked, false, 0},
		{"389's disabled", wire.Result{Code: 53, Text: "Account inactivated. Contact system administrator."}, source.Disabled, false, 0},
		{"another constraint", wire.Result{Code: 19}, none, false, fault.Unavailable},
		{"unwilling", wire.Result{Code: 53}, none, false, fault.Denied},
		{"a referral", wire.Result{Code: 10, Referrals: []string{"ldap://attacker.example.org/"}}, none, false, fault.Unavailable},
		{"busy", wire.Result{Code: 51}, none, false, fault.Unavailable},
		{"unavailable", wire.Result{Code: 52}, none, false, fault.Unavailable},
		{"TLS wanted", wire.Result{Code: 13}, none, false, fault.Invalid},
		{"half of a dialogue", wire.Result{Code: 14}, none, false, fault.Unavailable},
		{"garbage in the control", wire.Result{Controls: []wire.Control{{OID: oidPasswordPolicy, Value: new("\x30\x7f\xa0")}}}, none, false, fault.Unavailable},
	} {
		t.Run(s.name, func(t *testing.T) {
			c, w := signInCompany(t, &simulator.OpenLDAP{})
			a := mustAuthenticate(t, c.values(setting.Values{"addr": []string{c.URL, c.URL}}), time.Now)
			c.SetHook(w.hook("", func(call *simulator.Call) *simulator.Twist {
				if b, ok := call.Request.Op.(*wire.Bind); ok && b.Name != c.reader {
					return &simulator.Twist{Instead: &s.result}
				}
				return nil
			}))
			p, err := a.Prove(t.Context(), "anna", typed, nil)
			if p.Standing != s.want || p.Right != s.right || (err != nil) != (s.want == none) || err != nil && fault.KindOf(err) != s.kind {
				t.Errorf("%+v, %v", p, err)
			}
			if b := w.took(t); len(b) != 1 {
				t.Errorf("binds of %q", b)
			}
		})
	}
}

// policyValue is the value of the control a server answers with.
func policyValue(code, expires, grace int) []byte {
	var w writer
	w.begin(tagSequence)
	if expires >= 0 || grace >= 0 {
		w.begin(0xa0)
		if expires >= 0 {
			w.integer(0x80, expires)
		} else {
			w.integer(0x81, grace)
		}
		w.end()
	}
	if code >= 0 {
		w.integer(0x81, code)
	}
	w.end()
	return w.b
}

func TestPasswordPolicyIsReadAsItIsWritten(t *testing.T) {
	for _, want := range []policy{{error: -1, expires: -1, grace: -1}, {error: 2, expires: -1, grace: -1}, {error: -1, expires: 86400, grace: -1}, {error: 0, expires: -1, grace: 3}} {
		var w writer
		w.controls([]control{{oid: oidPasswordPolicy, value: policyValue(want.error, want.expires, want.grace)}})
		c := cursor(w.b)
		list, err := c.take(0xa0)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodePolicy(list); err != nil || got != want {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add(string(policyValue(2, 60, -1)))
	f.Add("\x30\x00")
	f.Fuzz(func(t *testing.T, value string) {
		var w writer
		w.controls([]control{{oid: oidPasswordPolicy, value: []byte(value)}})
		c := cursor(w.b)
		list, err := c.take(0xa0)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := decodePolicy(list); err == nil && p.says() != clean(p.says()) {
			t.Errorf("%+v", p)
		}
	})
}

// No login makes another filter: what is compiled has the same shape, and one value
// in which the login is what was typed.
func FuzzLogin(f *testing.F) {
	for _, s := range []string{"anna", "*", "a)(uid=*", "\x00", `\2a`, "Zoë", "", "rollcallTypedLogin"} {
		f.Add(s)
	}
	var filters []loginFilter
	for _, text := range []string{"(&(objectClass=inetOrgPerson)(mail=%s))", "(|(mail=%s@example.org)(uid=a*b))", "(cn:caseExactMatch:=%s)", "(!(mail=a*%s*b))", "(uid>=%s)"} {
		template, err := compileTemplate(text)
		if err != nil {
			f.Fatal(err)
		}
		filters = append(filters, loginFilter{template: template})
	}
	filters = append(filters, loginFilter{attribute: "mail"}, loginFilter{usual: []string{"uid", "mail"}})
	f.Fuzz(func(t *testing.T, login string) {
		for _, filter := range filters {
			got, usual := filter.of(login), filter.of("x")
			if a, b := shape(cursor(got)), shape(cursor(usual)); a != b {
				t.Errorf("%q makes %s, and not %s", login, a, b)
			}
			n := 0
			values(cursor(got), func(v cursor) {
				if strings.Contains(string(v), login) {
					n++
				}
			})
			if n == 0 {
				t.Errorf("%q is not in the filter", login)
			}
		}
	})
}

// shape is a filter with nothing but its operators and attributes.
func shape(c cursor) string {
	var b strings.Builder
	for len(c) > 0 {
		tag, content, err := c.next()
		if err != nil {
			return err.Error()
		}
		fmt.Fprintf(&b, "%x", tag)
		if tag&0x20 != 0 {
			b.WriteString("(" + shape(content) + ")")
		}
	}
	return b.String() + fmt.Sprint(filterAttributes([]byte(c)))
}

func TestATemplateHasItsPlaceInAValue(t *testing.T) {
	for template, want := range map[string]bool{
		"(mail=%s)": true, "mail=%s": true, "(&(objectClass=user)(|(mail=*)(uid=%s)))": true, "(mail=%s@example.org)": true, "(mail=*%s)": true, "(cn:=%s)": true, "(cn:dn:2.5.13.5:=%s)": true,
		"(%s=x)": false, "(%s)": false, "(%s=*)": false, "(cn:%s:=x)": false, "(%s:=x)": false, "(%s:dn:=x)": false, "%s": false, "(mail=" + marker + "%s)": false,
	} {
		if _, err := compileTemplate(template); (err == nil) != want || err != nil && (fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "") {
			t.Errorf("%s: %v", template, err)
		}
	}
}

func TestADirectoryThatBreaksOff(t *testing.T) {
	garbage := func(deed simulator.Deed, at int) *simulator.Twist { return &simulator.Twist{Deed: deed, At: at} }
	for _, s := range []struct {
		name  string
		twist *simulator.Twist
		hangs bool
	}{
		{"nothing comes", garbage(simulator.Silence, 0), true},
		{"it ends", garbage(simulator.CutBefore, simulator.Last), false},
		{"it is reset", &simulator.Twist{Deed: simulator.CutBefore, At: simulator.Last, Reset: true}, false},
		{"it ends in the middle", &simulator.Twist{CutByte: 5}, false},
		{"garbage", garbage(simulator.Garbage, simulator.Last), false},
		{"a message of 2 GiB", garbage(simulator.OverLong, simulator.Last), false},
		{"a notice of disconnection", garbage(simulator.Goodbye, simulator.Last), false},
	} {
		for _, at := range []string{"search", "bind"} {
			t.Run(s.name+" at the "+at, func(t *testing.T) {
				c, w := signInCompany(t, &simulator.OpenLDAP{})
				a := mustAuthenticate(t, c.values(nil), time.Now)
				if p, err := a.Prove(t.Context(), "anna", typed, nil); err != nil || !p.Right {
					t.Fatalf("%+v, %v", p, err)
				}
				w.took(t)
				ctx, cancel := context.WithCancel(t.Context())
				c.SetHook(w.hook("", func(call *simulator.Call) *simulator.Twist {
					b, isBind := call.Request.Op.(*wire.Bind)
					q := call.Search()
					if isBind && b.Name != c.reader && at == "bind" || q != nil && q.Base != "" && at == "search" {
						if s.hangs {
							cancel()
						}
						return s.twist
					}
					return nil
				}))
				p, err := a.Prove(ctx, "anna", typed, nil)
				cancel()
				if fault.KindOf(err) != fault.Unavailable || p.Right || strings.Contains(fmt.Sprint(err, fault.HintOf(err)), typed) {
					t.Errorf("%+v, %v", p, err)
				}
				most := 0
				if at == "bind" {
					most = 1
				}
				if b := w.took(t); len(b) != most {
					t.Errorf("binds of %q", b)
				}
				c.SetHook(w.hook("", nil))
				if p, err := a.Prove(t.Context(), "anna", typed, nil); err != nil || !p.Right {
					t.Errorf("and then: %+v, %v", p, err)
				}
			})
		}
	}
}

func TestAStreamWithoutEndIsSeveral(t *testing.T) {
	c, _ := signInCompany(t, &simulator.OpenLDAP{})
	a := mustAuthenticate(t, c.values(nil), time.Now)
	c.SetHook(func(call *simulator.Call) *simulator.Twist {
		if q := call.Search(); q != nil && q.Base != "" {
			return &simulator.Twist{Deed: simulator.Endless, At: 1}
		}
		return nil
	})
	p, err := a.Prove(t.Context(), "anna", typed, nil)
	if err != nil || p.Standing != source.Several || len(a.searches.idle) > 0 {
		t.Errorf("%+v, %v, %d idle", p, err, len(a.searches.idle))
	}
}

func TestTheTimeOfASignInIsBounded(t *testing.T) {
	c, _ := signInCompany(t, &simulator.OpenLDAP{})
	a := mustAuthenticate(t, c.values(setting.Values{"authentication.timeout": time.Millisecond}), time.Now)
	c.SetHook(func(*simulator.Call) *simulator.Twist { return &simulator.Twist{Deed: simulator.Silence} })
	_, err := a.Prove(t.Context(), "anna", typed, nil)
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "within 1ms") || !strings.Contains(fault.HintOf(err), "authentication.timeout") {
		t.Error(err)
	}
}

func TestConnectionsTheServerHasEndedAreReplaced(t *testing.T) {
	c, w := signInCompany(t, &simulator.OpenLDAP{})
	a := mustAuthenticate(t, c.values(nil), time.Now)
	for range 3 {
		if p, err := a.Prove(t.Context(), "anna", typed, nil); err != nil || !p.Right {
			t.Fatalf("%+v, %v", p, err)
		}
		if b := w.took(t); len(b) != 1 {
			t.Errorf("binds of %q", b)
		}
		c.Disconnect()
	}
}

func TestAPasswordIsTriedOnOneServer(t *testing.T) {
	c, w := signInCompany(t, &simulator.OpenLDAP{})
	second := simulate(t, simulator.Options{Personality: &simulator.OpenLDAP{}, Tree: c.Tree})
	c.SetHook(w.hook("first ", nil))
	second.SetHook(w.hook("second ", nil))
	now := time.Now()
	a := mustAuthenticate(t, c.values(setting.Values{"addr": []string{c.URL, second.URL}}), func() time.Time { return now })
	try := func(password string, want bool, at string) {
		t.Helper()
		p, err := a.Prove(t.Context(), "anna", password, nil)
		if err != nil || p.Right != want {
			t.Fatalf("%+v, %v", p, err)
		}
		if b := w.took(t); len(b) != 1 {
			t.Errorf("binds of %q", b)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		for conn := range w.others {
			if !strings.HasPrefix(conn, at) {
				t.Errorf("bound on %s, want %s", conn, at)
			}
		}
		clear(w.others)
		clear(w.readers)
	}
	try("wrong", false, "first")
	try(typed, true, "first")
	// The first one takes nobody any more.
	refuse := &wire.Result{Code: wire.Unavailable}
	c.SetHook(func(*simulator.Call) *simulator.Twist { return &simulator.Twist{Instead: refuse} })
	c.Disconnect()
	try("wrong", false, "second")
	c.SetHook(w.hook("first ", nil))
	try(typed, true, "second") // for a while
	now = now.Add(badFor)
	try(typed, true, "first")
}

func TestAServerOfAnotherKindProvesNothing(t *testing.T) {
	c, _ := signInCompany(t, &simulator.OpenLDAP{})
	other := simulate(t, simulator.Options{Personality: &simulator.DS389{Admin: simulator.Account{DN: c.reader, Password: "reads"}}})
	a := mustAuthenticate(t, c.values(setting.Values{"addr": []string{c.URL, other.URL}}), time.Now)
	if p, err := a.Prove(t.Context(), "anna", typed, nil); err != nil || !p.Right {
		t.Fatalf("%+v, %v", p, err)
	}
	c.must(c.Close())
	if p, err := a.Prove(t.Context(), "anna", typed, nil); fault.KindOf(err) != fault.Unavailable || p.Right || !strings.Contains(err.Error(), "looks like") {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestAnEntryWithoutANameIsNotBoundAs(t *testing.T) {
	f := startFake(t, plainRoot, func(c *fakeConn, q request) bool {
		c.entry("", "entryUUID", "1")
		c.done(0, "")
		return true
	})
	a := mustAuthenticate(t, f.settings(nil), time.Now)
	if p, err := a.Prove(t.Context(), "anna", typed, nil); fault.KindOf(err) != fault.Unavailable || p.Right {
		t.Errorf("%+v, %v", p, err)
	}
	if len(a.binds.idle) > 0 {
		t.Error("there was a bind")
	}
}

func TestAReferralOfTheSearchIsNotFollowed(t *testing.T) {
	door := startFake(t, plainRoot, func(*fakeConn, request) bool { t.Error("it was followed"); return false })
	f := startFake(t, plainRoot, func(c *fakeConn, q request) bool {
		c.reference(door.url + "/dc=x")
		c.done(0, "")
		return true
	})
	p, err := mustAuthenticate(t, f.settings(nil), time.Now).Prove(t.Context(), "anna", typed, nil)
	if err != nil || p.Standing != source.Nobody || !strings.Contains(p.Detail, "another server") {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestManySignInAtOnce(t *testing.T) {
	c, w := signInCompany(t, &simulator.OpenLDAP{})
	a := mustAuthenticate(t, c.values(nil), time.Now)
	const each = 20
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			for j := range each {
				login, password, want := "anna", typed, source.Proved
				switch (i + j) % 4 {
				case 1:
					password, want = "wrong", source.Wrong
				case 2:
					login, want = "nobody", source.Nobody
				case 3:
					login, want = "bo@example.org", source.Proved
				}
				p, err := a.Prove(t.Context(), login, password, []string{"mail"})
				if err != nil || p.Standing != want || want == source.Proved && !strings.HasPrefix(p.Record.First("mail"), login[:2]) {
					t.Errorf("%s: %+v, %v", login, p, err)
				}
			}
		})
	}
	all.Wait()
	if b := w.took(t); len(b) != 32*each {
		t.Errorf("%d binds", len(b))
	}
	if len(w.readers) > mostSearches || len(w.others) > mostBinds {
		t.Errorf("%d connections that read, and %d that bind", len(w.readers), len(w.others))
	}
}

func TestWhoWaitsForAConnectionWaitsNoLongerThanAsked(t *testing.T) {
	c, _ := signInCompany(t, &simulator.OpenLDAP{})
	a := mustAuthenticate(t, c.values(nil), time.Now)
	for range mostSearches {
		s, err := a.searches.take(t.Context(), nil, false)
		if err != nil {
			t.Fatal(err)
		}
		defer a.searches.give(s, true)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Prove(ctx, "anna", typed, nil); fault.KindOf(err) != fault.Unavailable || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "in use") {
		t.Error(err)
	}
}

func TestIdleConnectionsAreLetGoOf(t *testing.T) {
	c, w := signInCompany(t, &simulator.OpenLDAP{})
	now := time.Now()
	a := mustAuthenticate(t, c.values(nil), func() time.Time { return now })
	try := func(readers int) {
		t.Helper()
		if p, err := a.Prove(t.Context(), "anna", typed, nil); err != nil || !p.Right {
			t.Fatalf("%+v, %v", p, err)
		}
		if len(w.readers) != readers || len(w.others) != readers {
			t.Errorf("%d and %d connections, want %d", len(w.readers), len(w.others), readers)
		}
	}
	try(1)
	now = now.Add(idleFor - time.Second)
	try(1)
	now = now.Add(idleFor)
	try(2)
	for range 12 { // always in use, but too old in the end
		now = now.Add(idleFor - time.Second)
		if p, err := a.Prove(t.Context(), "anna", typed, nil); err != nil || !p.Right {
			t.Fatalf("%+v, %v", p, err)
		}
	}
	try(3)
	now = now.Add(idleFor)
	for _, p := range []*pool{a.searches, a.binds} {
		p.sweep()
		if len(p.idle) > 0 {
			t.Errorf("%d are idle", len(p.idle))
		}
	}
	try(4)
	c.Disconnect()
	a.binds.sweep()
	if len(a.binds.idle) > 0 {
		t.Error("a connection that has ended is kept")
	}
}

func TestAfterTheEndNobodySignsIn(t *testing.T) {
	c, _ := signInCompany(t, &simulator.OpenLDAP{})
	a := mustAuthenticate(t, c.values(nil), time.Now)
	s, err := a.binds.take(t.Context(), nil, false)
	c.must(err)
	c.must(a.Close())
	a.binds.give(s, true) // who was under way
	if _, err := a.Prove(t.Context(), "anna", typed, nil); !errors.Is(err, errClosed) {
		t.Error(err)
	}
}

func TestDenyGroupsHoldForSignInsToo(t *testing.T) {
	s := simulate(t, simulator.Options{Personality: &simulator.Domino{}})
	must := func(_ *tree.Entry, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.Tree.Add("CN=Anna Ames,O=Acme", "objectClass", "dominoPerson", "uid", "aames", "mail", "anna@example.org", "userPassword", typed))
	must(s.Tree.Add("CN=Bo Berg,O=Acme", "objectClass", "dominoPerson", "uid", "bberg", "mail", "bo@example.org", "userPassword", typed))
	must(s.Tree.Add("CN=Terminations", "objectClass", "dominoGroup", "cn", "Terminations", "member", "CN=Bo Berg,O=Acme"))
	now := time.Now()
	v := setting.Values{"addr": []string{s.URL}, "bind_dn": "CN=Admin,O=Acme", "bind_password": "secret", "base_dn": "O=Acme", "sync.deny_groups": []string{"Terminations"}}
	a := mustAuthenticate(t, v, func() time.Time { return now })
	denied := func(login string) bool {
		t.Helper()
		p, err := a.Prove(t.Context(), login, typed, []string{"mail", "denied"})
		if err != nil || p.Standing != source.Proved {
			t.Fatalf("%+v, %v", p, err)
		}
		return p.Record.First(deniedAttribute) == "TRUE"
	}
	for _, login := range []string{"aames", "ANNA@example.org", "Anna Ames"} {
		if denied(login) {
			t.Errorf("%s is denied", login)
		}
	}
	if !denied("bberg") {
		t.Error("Bo is not denied")
	}
	if err := s.Tree.Modify("CN=Terminations", tree.Replace("member", "CN=Anna Ames,O=Acme")); err != nil {
		t.Fatal(err)
	}
	now = now.Add(deniedStale)
	if !denied("aames") || denied("bberg") {
		t.Error("who was added to a deny group is let in, or who was taken out is not")
	}
	if err := s.Tree.Delete("CN=Terminations"); err != nil {
		t.Fatal(err)
	}
	now = now.Add(deniedStale)
	if p, err := a.Prove(t.Context(), "aames", typed, nil); err == nil || p.Right {
		t.Errorf("without the deny group: %+v", p)
	}
}

func TestNoPasswordStaysInAConnection(t *testing.T) {
	c, _ := signInCompany(t, &simulator.OpenLDAP{})
	a := mustAuthenticate(t, c.values(nil), time.Now)
	if _, err := a.Prove(t.Context(), "anna", typed, nil); err != nil {
		t.Fatal(err)
	}
	for _, s := range slices.Concat(a.searches.idle, a.binds.idle) {
		if bytes.Contains(s.w.b[:cap(s.w.b)], []byte(typed)) {
			t.Error("the password is still there")
		}
	}
}
