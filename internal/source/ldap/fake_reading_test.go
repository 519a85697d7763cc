package ldap

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
)

// pages sends pages of ten people, with what is to happen on the third.
func pages(third func(c *fakeConn) bool) func(c *fakeConn, q request) bool {
	return func(c *fakeConn, q request) bool {
		page := len(q.cookie)
		for i := range 10 {
			if page == 2 && i == 5 && !third(c) {
				return false
			}
			c.entry(fmt.Sprintf("uid=%d-%d,dc=x", page, i), "entryUUID", fmt.Sprintf("id-%d-%d", page, i), "uid", "u")
		}
		if page < 3 {
			c.page(0, "", q.cookie+"x")
		} else {
			c.page(0, "", "")
		}
		return true
	}
}

func TestWhatGoesWrongInTheMiddleIsAnError(t *testing.T) {
	goOn := make(chan struct{})
	for _, c := range []struct {
		name  string
		third func(c *fakeConn) bool
		kind  fault.Kind
		want  string
	}{
		{"the connection is cut", func(*fakeConn) bool { return false }, fault.Unavailable, "after 25 people: the connection was cut"},
		{"the connection is cut inside a message", func(c *fakeConn) bool { _, _ = c.Write([]byte{0x30, 0x50, 2, 1, 2}); return false }, fault.Unavailable, "cut"},
		{"the server says nothing more", func(*fakeConn) bool { <-goOn; return false }, fault.Unavailable, "sent nothing for 200ms"},
		{"the server says good-bye", func(c *fakeConn) bool { c.id = 0; c.result(opExtendedResponse, 52, "going down"); return true }, fault.Unavailable, "going down"},
		{"an answer to another question", func(c *fakeConn) bool { c.id = 99; c.done(0, ""); return true }, fault.Unavailable, "not asked"},
		{"garbage", func(c *fakeConn) bool { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")); return true }, fault.Unavailable, "not LDAP"},
		{"an endless length", func(c *fakeConn) bool { _, _ = c.Write([]byte{0x30, 0x80, 2, 1}); return true }, fault.Unavailable, "length"},
		{"an operation that is none", func(c *fakeConn) bool { c.send(func(w *writer) { w.string(0x7f-1, "") }); return true }, fault.Unavailable, "unexpected"},
		{"a value longer than its message", func(c *fakeConn) bool {
			_, _ = c.Write([]byte{0x30, 8, 2, 1, byte(c.id), opEntry, 3, 4, 9, 'x'})
			return true
		}, fault.Unavailable, "shorter"},
		{"an entry beyond all measure", func(c *fakeConn) bool {
			b := append([]byte{0x30, 0x84, 0x7f, 0, 0, 0, 2, 1, byte(c.id), opEntry, 0x84, 0x7f, 0, 0, 0, 4, 9}, "cn=huge,x"...)
			_, _ = c.Write(append(b, make([]byte, 2000)...))
			return true
		}, fault.Unavailable, `the entry "cn=huge,x"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := startFake(t, plainRoot, pages(c.third))
			patience := time.Minute
			if strings.Contains(c.want, "200ms") {
				patience = 200 * time.Millisecond
				defer close(goOn)
			}
			_, err := read(t.Context(), mustOpen(t, f.settings(setting.Values{"sync.idle_timeout": patience})), "uid")
			if err == nil || fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want kind %d and %q", err, c.kind, c.want)
			}
		})
	}
}

func TestWhatTheServerLeavesOutMakesTheReadingIncomplete(t *testing.T) {
	stop := func(code int, text string) func(c *fakeConn, q request) bool {
		return func(c *fakeConn, q request) bool {
			c.entry("uid=a,dc=x", "entryUUID", "1", "uid", "a")
			c.done(code, text)
			return true
		}
	}
	none := map[string][]string{"namingContexts": {"dc=x"}}
	for _, c := range []struct {
		name   string
		root   map[string][]string
		script func(c *fakeConn, q request) bool
		more   setting.Values
		users  int
		reason string // "" is complete
	}{
		{"nothing is left out", plainRoot, pages(func(*fakeConn) bool { return true }), nil, 40, ""},
		{"a time limit", plainRoot, stop(codeTimeLimit, "too slow"), nil, 1, "the server stopped after 1 people (time limit exceeded: too slow)"},
		{"a size limit", plainRoot, stop(codeSizeLimit, ""), nil, 1, "(size limit exceeded); ask"},
		{"an administrative limit", plainRoot, stop(codeAdminLimit, ""), nil, 1, "lower sync.page_size"},
		{"a referral for an answer", plainRoot, stop(codeReferral, ""), nil, 1, "refers to ldap://other/dc=x"},
		{"no paging, all is said", none, stop(0, ""), nil, 1, ""},
		{"no paging, a limit", none, stop(codeSizeLimit, ""), nil, 1, "size limit"},
		{"paging ignored and the answer is short", plainRoot, stop(0, ""), nil, 1, ""},
		{"paging ignored and the answer is a page long", plainRoot, stop(0, ""), setting.Values{"sync.page_size": 1}, 1, "did not say whether there is another"},
		{"a reference below the base", plainRoot, func(c *fakeConn, q request) bool {
			c.reference("ldap://other/ou=Child,DC=x??sub", "ldap://second/ou=Child,dc=x")
			c.page(0, "", "")
			return true
		}, nil, 0, "ldap://other/ou=Child,DC=x??sub was not read"},
		{"a reference without a name", plainRoot, func(c *fakeConn, q request) bool { c.reference("ldap://other"); c.page(0, "", ""); return true }, nil, 0, "was not read"},
		{"a reference outside of the base", plainRoot, func(c *fakeConn, q request) bool { c.reference("ldap://other/dc=y"); c.page(0, "", ""); return true }, nil, 0, ""},
		{"the references of every Active Directory", adRoot, func(c *fakeConn, q request) bool {
			for _, p := range []string{"CN=Configuration,DC=x", "DC=DomainDnsZones,DC=x", "DC=ForestDnsZones,DC=x"} {
				c.reference("ldaps://x/" + p)
			}
			c.page(0, "", "")
			return true
		}, nil, 0, ""},
		{"a child domain of Active Directory", adRoot, func(c *fakeConn, q request) bool {
			c.reference("ldaps://x/DC=sub,DC=x")
			c.page(0, "", "")
			return true
		}, nil, 0, "DC=sub,DC=x was not read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := startFake(t, c.root, c.script)
			got := mustRead(t, mustOpen(t, f.settings(c.more)), "uid")
			if got.Users != c.users || got.Complete != (c.reason == "") || !strings.Contains(got.Reason, c.reason) {
				t.Errorf("%+v, want %d people and the reason %q", got.Reading, c.users, c.reason)
			}
			if strings.Contains(c.name, "reference") && len(got.Notes) == 0 {
				t.Error("there is no note of the reference")
			}
		})
	}
}

func TestTheSameEmptyPageForEverIsAnError(t *testing.T) {
	for _, references := range []int{0, 2 * lookEvery} {
		f := startFake(t, plainRoot, func(c *fakeConn, q request) bool {
			for range references {
				c.reference("ldap://elsewhere/dc=y")
			}
			c.page(0, "", "again")
			return true
		})
		if _, err := read(t.Context(), mustOpen(t, f.settings(nil)), "uid"); err == nil || !strings.Contains(err.Error(), "same empty page") {
			t.Error(err)
		}
	}
}

func TestEntriesWithAProblemAreReportedAndNotDropped(t *testing.T) {
	f := startFake(t, plainRoot, func(c *fakeConn, q request) bool {
		c.entry("uid=none,dc=x", "uid", "none")
		c.entry("uid=two,dc=x", "entryuuid", "1", "entryuuid", "2")
		c.entry("uid=\xff\xfe,dc=x", "entryUUID", "3", "uid", "x")
		c.entry("uid=raw,dc=x", "entryUUID", "4", "uid", "\xff\xfe", "uid", "ok", "uid;lang-de", "de", "userPassword", "never asked for")
		c.entry("uid=bin,dc=x", "entryUUID", "\x00\x01\xff")
		c.page(0, "", "")
		return true
	})
	got := mustRead(t, mustOpen(t, f.settings(nil)), "uid")
	want := []directory.Record{
		{Kind: directory.User, Name: "uid=none,dc=x", Ref: "uid=none,dc=x", Attributes: []directory.Attribute{{Name: "uid", Values: []string{"none"}}}, Problem: "The entry has no entryUUID to be known by."},
		{Kind: directory.User, Name: "uid=two,dc=x", Ref: "uid=two,dc=x", Problem: "The entry has 2 values of entryUUID, and can be known by one only."},
		{Kind: directory.User, ID: "3", Name: "uid=?,dc=x", Ref: "uid=?,dc=x", Attributes: []directory.Attribute{{Name: "uid", Values: []string{"x"}}}, Problem: "The entry's DN is not valid UTF-8."},
		{Kind: directory.User, ID: "4", Name: "uid=raw,dc=x", Ref: "uid=raw,dc=x", Attributes: []directory.Attribute{{Name: "uid", Values: []string{"\xff\xfe", "ok"}}, {Name: "uid;lang-de", Values: []string{"de"}}}},
		{Kind: directory.User, ID: "0001ff", Name: "uid=bin,dc=x", Ref: "uid=bin,dc=x"},
	}
	for i := range want {
		if i >= len(got.records) || fmt.Sprint(got.records[i]) != fmt.Sprint(want[i]) {
			t.Errorf("record %d:\n%+v, want\n%+v", i, got.records[i:], want[i])
			break
		}
	}
	if !got.Complete {
		t.Errorf("%+v", got.Reading)
	}
}

func TestTheServersKindDecidesThePreset(t *testing.T) {
	for _, c := range []struct {
		root           map[string][]string
		vendor, anchor string
	}{
		{adRoot, "Active Directory", "objectGUID"},
		{map[string][]string{"forestFunctionality": {"7"}, "vendorName": {"Samba Team (https://www.samba.org)"}}, "Active Directory", "objectGUID"},
		{map[string][]string{"objectClass": {"top", "OpenLDAProotDSE"}}, "OpenLDAP", "entryUUID"},
		{map[string][]string{"vendorName": {"389 Project"}}, "389 Directory Server", "nsUniqueId"},
		{map[string][]string{"vendorName": {"Apache Software Foundation"}, "supportedControl": {"1.2.840.113556.1.4.841"}}, "Apache Directory", "entryUUID"},
		{map[string][]string{"vendorName": {"IBM Lotus Software"}, "namingContexts": {"\x00"}}, "Domino", "dominoUNID"},
		{map[string][]string{}, "LDAP", "entryUUID"},
	} {
		t.Run(c.vendor, func(t *testing.T) {
			f := startFake(t, c.root, func(*fakeConn, request) bool { return false })
			p, err := mustOpen(t, f.settings(nil)).Preset(t.Context())
			if err != nil || p.Vendor != c.vendor || p.Anchor != c.anchor {
				t.Errorf("%+v, %v", p, err)
			}
			for _, field := range []string{"username", "email", "first_name", "last_name"} {
				if p.Mapping[field].Attribute == "" && p.Mapping[field].Expr == "" {
					t.Errorf("%s is not mapped", field)
				}
			}
		})
	}
}

func TestEveryPresetsFiltersCanBeRead(t *testing.T) {
	for _, p := range presets {
		for _, filter := range []string{p.people, p.groups} {
			if _, err := compileFilter(p.vendor, filter); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestAnObjectGUIDIsPrintedTheUsualWay(t *testing.T) {
	b := make([]byte, 16)
	for i := range b {
		b[i] = byte(0x10 + i)
	}
	if got := externalID("objectguid", string(b)); got != "13121110-1514-1716-1819-1a1b1c1d1e1f" {
		t.Error(got)
	}
	if got := externalID("objectGUID", "short"); got != "" {
		t.Error(got)
	}
}

// adGroup answers like Active Directory: never more than limit values, and the
// attribute without a range empty beside it.
func adGroup(members, limit int, damage func(from int, pairs []string) []string) func(c *fakeConn, q request) bool {
	return func(c *fakeConn, q request) bool {
		if !slices.ContainsFunc(q.attributes, func(a string) bool { return strings.HasPrefix(a, "member") }) {
			c.page(0, "", "")
			return true
		}
		from := 0
		for _, a := range q.attributes {
			if _, low, _, ranged := cutRange(a); ranged {
				from = low
			}
		}
		to := min(from+limit, members)
		name := fmt.Sprintf("member;range=%d-%d", from, to-1)
		if to == members {
			name = fmt.Sprintf("member;range=%d-*", from)
		}
		var pairs []string
		if from == 0 {
			pairs = []string{"objectGUID", string(binary.LittleEndian.AppendUint64(make([]byte, 8), 1)), "member=", "", "CN", "Big"}
		}
		for i := from; i < to; i++ {
			pairs = append(pairs, name, fmt.Sprintf("CN=%d,DC=x", i))
		}
		if damage != nil {
			pairs = damage(from, pairs)
		}
		if pairs != nil {
			c.entry("CN=Big,DC=x", pairs...)
		}
		c.page(0, "", "")
		return true
	}
}

func TestLargeGroupsAreReadToTheirEnd(t *testing.T) {
	for _, members := range []int{1, 1499, 1500, 1501, 5000, 300_000} {
		f := startFake(t, adRoot, adGroup(members, 1500, nil))
		got := mustRead(t, mustOpen(t, f.settings(setting.Values{"groups.include": "Big"})))
		if !got.Complete || got.Groups != 1 {
			t.Fatalf("%d members: %+v", members, got.Reading)
		}
		g := got.records[0]
		if len(g.Members) != members || g.Members[members-1] != fmt.Sprintf("CN=%d,DC=x", members-1) || g.Attributes[0].Values[0] != "Big" {
			t.Errorf("%d members of %d, %v", len(g.Members), members, g.Attributes)
		}
	}
}

func TestNamesThatDifferInSpacesAreOneWhereTheServerTakesThemForOne(t *testing.T) {
	const spelled, escaped = "CN=A  B,OU=People,DC=x", `CN=\ C,OU=People,DC=x`
	for _, c := range []struct {
		name            string
		root            map[string][]string
		anchor, id      string
		person, members string
	}{
		{"everywhere else", plainRoot, entryUUID, "10000000-0000-0000-0000-000000000000", "cn=a b,ou=people,dc=x", "cn=a b,ou=people,dc=x cn=c,ou=people,dc=x"},
		{"Active Directory has two entries", adRoot, objectGUID, "1000000000000000", spelled, spelled + " " + escaped},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := startFake(t, c.root, func(fc *fakeConn, q request) bool {
				if slices.Contains(q.attributes, "member") {
					fc.entry("cn=g,dc=x", c.anchor, c.id, "cn", "g", "member", spelled, "member", escaped)
				} else {
					fc.entry(spelled, c.anchor, c.id)
				}
				fc.page(0, "", "")
				return true
			})
			got := mustRead(t, mustOpen(t, f.settings(setting.Values{"groups.include": "g"})))
			if p, g := got.records[0], got.records[1]; p.Name != spelled || p.Ref != c.person || strings.Join(g.Members, " ") != c.members {
				t.Errorf("%q has the ref %q, the group the members %q", p.Name, p.Ref, g.Members)
			}
		})
	}
}

func TestGroupsThatMustWaitAreLetGoOfAndReadAgain(t *testing.T) {
	var r reading
	for range 3 {
		rec := directory.Record{Name: "CN=Big", Members: []string{strings.Repeat("x", heldLimit/2)}}
		r.hold(&rec, []part{{dn: "CN=Big", field: field{name: "member", role: roleMember}, next: 1}}, "")
	}
	if n := len(r.held[2].rec.Members); n != 0 || r.held[2].parts[0].next != 0 {
		t.Errorf("the third keeps %d members, goes on at %d", n, r.held[2].parts[0].next)
	}
	if r.held[1].parts[0].next != 1 || len(r.held[1].rec.Members) != 1 {
		t.Error("the second was let go of too")
	}
}

func TestALargeGroupThatCannotBeReadToItsEndMakesTheReadingIncomplete(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(from int, pairs []string) []string
	}{
		{"the entry is gone", func(from int, pairs []string) []string {
			if from > 0 {
				return nil
			}
			return pairs
		}},
		{"the rest is not given", func(from int, pairs []string) []string {
			if from > 0 {
				return []string{"cn", "Big"}
			}
			return pairs
		}},
		{"the same part is given again", func(from int, pairs []string) []string {
			for i := range pairs {
				pairs[i] = strings.Replace(pairs[i], fmt.Sprintf("range=%d-", from), "range=0-", 1)
			}
			return pairs
		}},
		{"fewer values than said", func(from int, pairs []string) []string { return pairs[:len(pairs)-2] }},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := startFake(t, adRoot, adGroup(50, 10, c.damage))
			got := mustRead(t, mustOpen(t, f.settings(setting.Values{"groups.include": "Big"})))
			if got.Complete || got.Groups != 1 || !strings.Contains(got.Reason, `member of "CN=Big,DC=x"`) {
				t.Errorf("%+v", got.Reading)
			}
		})
	}
}

// A member taken out in front moves all others up, past the end of the part that came.
func TestNobodyIsMissedWhenALargeGroupChangesWhileItIsRead(t *testing.T) {
	for _, c := range []struct {
		name         string
		times, leave int // how often some leave between two parts, and how many at a time
		complete     bool
	}{
		{"one leaves", 1, 1, true},
		{"others leave while it is read anew", 3, 1, true},
		{"so many leave that the next part is not there", 1, 45, true},
		{"some leave all the time", 1000, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var members []string
			for i := range 50 {
				members = append(members, fmt.Sprintf("CN=%d,DC=x", i))
			}
			times := c.times
			f := startFake(t, adRoot, func(fc *fakeConn, q request) bool {
				if !slices.ContainsFunc(q.attributes, func(a string) bool { return strings.HasPrefix(a, "member") }) {
					fc.page(0, "", "")
					return true
				}
				from := 0
				for _, a := range q.attributes {
					if _, low, _, ranged := cutRange(a); ranged {
						from = low
					}
				}
				if from >= len(members) {
					fc.done(1, "00002082: LdapErr: DSID-0C090B92, comment: Error processing range, data 0, v4563")
					return true
				}
				to := min(from+10, len(members))
				name := fmt.Sprintf("member;range=%d-%d", from, to-1)
				if to == len(members) {
					name = fmt.Sprintf("member;range=%d-*", from)
				}
				pairs := []string{"objectGUID", string(binary.LittleEndian.AppendUint64(make([]byte, 8), 1)), "CN", "Big"}
				for _, m := range members[from:to] {
					pairs = append(pairs, name, m)
				}
				fc.entry("CN=Big,DC=x", pairs...)
				fc.page(0, "", "")
				if times > 0 && len(members) > 11 {
					times, members = times-1, members[c.leave:]
				}
				return true
			})
			got := mustRead(t, mustOpen(t, f.settings(setting.Values{"groups.include": "Big"})))
			if got.Complete != c.complete || got.Groups != 1 {
				t.Fatalf("%+v", got.Reading)
			}
			if c.complete && !slices.Equal(got.records[0].Members, members) {
				t.Errorf("%q, want %q", got.records[0].Members, members)
			}
			if !c.complete && !strings.Contains(got.Reason, "changed meanwhile") {
				t.Error(got.Reason)
			}
		})
	}
}

func TestLargeAttributesOfPeopleAreReadToTheirEnd(t *testing.T) {
	f := startFake(t, plainRoot, func(c *fakeConn, q request) bool {
		if q.scope == scopeBase {
			c.entry(q.base, "memberof;Range=1-*", "b", "memberof;Range=1-*", "c")
			c.done(0, "")
			return true
		}
		c.entry("uid=a,dc=x", "entryUUID", "1", "memberOf;range=0-1", "a", "memberOf;range=0-1", "b", "uid", "a")
		c.entry("uid=b,dc=x", "entryUUID", "2", "uid", "b")
		c.page(0, "", "")
		return true
	})
	got := mustRead(t, mustOpen(t, f.settings(nil)), "uid", "memberOf")
	if want := []string{"a", "b", "c"}; !got.Complete || !slices.Equal(got.find(t, "uid=a,dc=x").Get("memberOf"), want) || got.Users != 2 {
		t.Errorf("%+v, %+v", got.Reading, got.records)
	}
}
