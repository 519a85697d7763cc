package cli

import (
	"fmt"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/rig/openldap"
)

// Whatever is wrong between us and the directory: a sentence with the cause, a
// hint, exit status 1, and nobody removed.
func TestADirectoryThatCannotBeReadRemovesNobody(t *testing.T) {
	t.Parallel()
	s := rehearsal(t, openldap.Options{})
	good := hq(s, "")
	for name, test := range map[string]struct {
		from, to string
		password string
		says     []string
	}{
		"nobody listens":                   {s.URL, "ldap://127.0.0.1:1", "", []string{"connect to ldap://127.0.0.1:1", "nothing listens there", "hint: Check host and port"}},
		"an unknown name":                  {s.URL, "ldap://ldap.invalid", "", []string{`"ldap.invalid" cannot be resolved`, "hint: "}},
		"a wrong password":                 {"", "", secret("wrong-but-secret"), []string{"sign in to", s.ReaderDN, "invalid credentials", "hint: Check bind_dn and bind_password"}},
		"an unknown account":               {s.ReaderDN, "cn=nobody," + suffix, "", []string{"invalid credentials", "hint: Check bind_dn"}},
		"a wrong base":                     {"base_dn: " + suffix, "base_dn: ou=nowhere," + suffix, "", []string{`search "ou=nowhere,` + suffix + `"`, "no such object", "The nearest one above it is"}},
		"a base that is none":              {"base_dn: " + suffix, "base_dn: nonsense", "", []string{"nonsense", "hint: "}},
		"a wrong base of groups":           {"ou=Groepen", "ou=Gruppen", "", []string{"ou=Gruppen", "no such object", "hint: "}},
		"a filter without its end":         {"base_dn: " + suffix, "base_dn: " + suffix + "\n        sync: {filter: \"(&(mail=*)(sn=*\"}", "", []string{"sync.filter", "hint: Check the brackets"}},
		"a certificate nobody vouches for": {"ca_file: " + s.CAFile, "ca_file: " + s.ClientCert, "", []string{"certificate", "hint: "}},
		"a certificate for another name":   {"tls: {", "tls: {server_name: ldap.example.org, ", "", []string{"ldap.example.org", "hint: "}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, good)
			h.apart = true
			h.env["HQ_PASSWORD"] = s.ReaderPassword
			h.run(0, "sync", "hq")
			before := h.people()
			bad := good
			if test.from != "" {
				bad = strings.Replace(good, test.from, test.to, 1)
				if bad == good {
					t.Fatal("nothing was changed")
				}
			}
			h.write("rollcall.yaml", bad)
			if test.password != "" {
				h.env["HQ_PASSWORD"] = test.password
			}
			for _, command := range []string{"plan", "sync"} {
				has(t, h.refuses(1, command, "hq"), test.says...)
			}
			r := h.try("check", "hq")
			if r.status != 1 {
				t.Errorf("check ends with %d", r.status)
			}
			has(t, r.out+r.err, test.says...)
			sameJSON(t, "people", before, h.people())
			var runs []ran
			h.json(0, &runs, "runs", "list")
			if runs[0].State != "applied" && (runs[0].State != "failed" || runs[0].Error == nil || *runs[0].Error == "") {
				t.Errorf("the run that failed: %+v", runs[0])
			}
			hasNot(t, h.run(0, "doctor"), "FAIL")
			h.write("rollcall.yaml", good)
			h.env["HQ_PASSWORD"] = s.ReaderPassword
			has(t, h.run(0, "plan", "hq"), "nothing to do")
		})
	}
}

// The server stops answering after some entries: those are used, and those that
// were not sent are not taken for gone.
func TestASizeLimitRemovesNobody(t *testing.T) {
	t.Parallel()
	s := rehearsal(t, openldap.Options{SizeLimit: 10})
	h := newHouse(t, strings.Replace(hq(s, ""), "bind_dn: "+s.ReaderDN, "bind_dn: "+s.AdminDN, 1))
	h.env["HQ_PASSWORD"] = s.AdminPassword // who is never limited
	h.run(0, "sync", "hq")
	before := h.people()
	h.write("rollcall.yaml", hq(s, ""))
	h.env["HQ_PASSWORD"] = s.ReaderPassword
	has(t, h.run(1, "check", "hq"), "size limit exceeded", "ask the directory's administrator to lift the limit", "removes nobody")
	text := h.run(0, "sync", "hq")
	has(t, text, "NOT COMPLETE", "size limit exceeded", "Nobody is removed, disabled or emptied")
	sameJSON(t, "people", before, h.people())
	has(t, h.run(0, "connections", "list"), "last reading not complete")
	has(t, h.run(0, "runs", "list"), "the reading was not complete")
}

func TestThatNoGroupsAreReadIsSaidOnce(t *testing.T) {
	t.Parallel()
	s := rehearsal(t, openldap.Options{})
	h := newHouse(t, strings.Replace(hq(s, ""), "        groups: ", "        # groups: ", 1))
	h.env["HQ_PASSWORD"] = s.ReaderPassword
	text := h.run(0, "check", "hq")
	has(t, text, "groups are not read")
	if n := strings.Count(text, "skip  groups"); n != 1 {
		t.Errorf("it is said %d times:\n%s", n, text)
	}
}

// Limits hold a plan: exit status 3, nothing written until a person decides.
func TestALimitHoldsThePlan(t *testing.T) {
	t.Parallel()
	s := rehearsal(t, openldap.Options{})
	h := atHQ(t, s, "    limits: {removals: 20%, removals_min: 2}\n")
	h.run(0, "sync", "hq")
	var gone strings.Builder
	for _, f := range ldapsearch(t, s, "(departmentNumber=D2)", "uid") {
		fmt.Fprintf(&gone, "dn: %s\nchangetype: delete\n\n", f.dn)
	}
	before := h.people()
	change(t, s, gone.String())
	text := h.run(3, "sync", "hq")
	has(t, text, "held: ", "9 disable", "is held; nothing was written", "rollcall plans approve p")
	sameJSON(t, "people", before, h.people())
	has(t, h.run(3, "plan", "hq", "--full"), "HELD, ")
	has(t, h.run(0, "plans", "list"), "held")
	id := lastPlan(h)
	has(t, h.run(0, "plans", "approve", id), "9 disabled")
	var p planned_
	h.json(0, &p, "plans", "show", id)
	if after := h.people("--status", "disabled"); len(after) != 10 {
		t.Errorf("%d disabled, want 9 and the one that was", len(after))
	}
	has(t, h.refuses(1, "plans", "approve", id), "applied", "hint: ")
}

func lastPlan(h *house) string {
	h.Helper()
	var p planned_
	h.json(0, &p, "plans", "show", "last")
	return p.ID
}

// An approval that comes late carries nothing out.
func TestAStalePlanIsRefused(t *testing.T) {
	t.Parallel()
	s := rehearsal(t, openldap.Options{})
	h := atHQ(t, s, "")
	h.run(2, "plan", "hq")
	early := lastPlan(h)
	h.write("rollcall.yaml", hq(s, "    mapping: {location: {value: Amsterdam}}\n"))
	has(t, h.refuses(1, "plans", "approve", early), "stale", "settings have changed", "hint: make a new one with `rollcall plan hq`")
	if n := len(h.people()); n != 0 {
		t.Errorf("%d accounts", n)
	}
}

// The licence cannot be approved away.
func TestSeatsThatDoNotExist(t *testing.T) {
	t.Parallel()
	s := rehearsal(t, openldap.Options{})
	h := newHouse(t, strings.Replace(hq(s, ""), "licence_limit: 100", "licence_limit: 30", 1))
	h.env["HQ_PASSWORD"] = s.ReaderPassword
	has(t, h.run(3, "sync", "hq"), "held: ", "licence", "34")
	has(t, h.refuses(3, "plans", "approve", lastPlan(h)), "cannot be approved", "hint: exclude people")
	if n := len(h.people()); n != 0 {
		t.Errorf("%d accounts", n)
	}
}

// dry-run plans and never applies.
func TestDryRunWritesNothing(t *testing.T) {
	t.Parallel()
	s := rehearsal(t, openldap.Options{})
	h := atHQ(t, s, "    settings: {dry-run: true}\n")
	has(t, h.run(2, "plan", "hq"), "dry-run is on")
	has(t, h.run(3, "sync", "hq"), "35 create", "nothing was written", "dry-run")
	has(t, h.refuses(1, "plans", "approve", lastPlan(h)), "dry-run")
	has(t, h.run(0, "connections", "list"), "dry-run")
	if n := len(h.people()); n != 0 {
		t.Errorf("%d accounts", n)
	}
}

// A name that moves the cursor or turns the line is shown with marks in its place.
func TestNamesAreShownClean(t *testing.T) {
	t.Parallel()
	s := rehearsal(t, openldap.Options{})
	change(t, s, "dn: cn=Evil\\0a\\1b[2J\\e2\\80\\aePerson,ou=Directie,"+suffix+"\nchangetype: add\nobjectClass: inetOrgPerson\nsn: Person\ngivenName: Evil\nuid: evil\n")
	h := atHQ(t, s, "")
	for _, command := range [][]string{{"check", "hq"}, {"plan", "hq"}, {"sync", "hq"}, {"plans", "show", "last"}, {"why", "hq", "evil"}, {"accounts", "list"}, {"events", "tail"}} {
		r := h.try(command...)
		for _, c := range r.out + r.err {
			if c < 0x20 && c != '\n' || c == 0x7f || c >= 0x80 && c < 0xa0 || c == '\u202e' {
				t.Errorf("%v prints the control character %U", command, c)
				break
			}
		}
	}
	has(t, h.run(0, "why", "hq", "evil"), "Not in: email is empty")
}
