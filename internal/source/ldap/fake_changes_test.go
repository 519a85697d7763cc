package ldap

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

const (
	firstCookie = "rid=000,csn=20260101000000.000000Z#000000#000#000000"
	nextCookie  = "rid=000,csn=20260102000000.000000Z#000000#000#000000"
)

func syncRoot() map[string][]string {
	return map[string][]string{"objectClass": {"OpenLDAProotDSE"}, "supportedControl": {oidPaging, oidSyncRequest}, "namingContexts": {"dc=x"}}
}

func syncDone(cookie string, deletes bool) control {
	var w writer
	w.begin(tagSequence)
	if cookie != "" {
		w.string(tagOctetString, cookie)
	}
	w.boolean(deletes)
	w.end()
	return control{oid: oidSyncDone, value: w.b}
}

func syncState(state int, id byte) []control {
	var w writer
	w.begin(tagSequence)
	w.integer(tagEnumerated, state)
	w.string(tagOctetString, string(uuidOf(id)))
	w.end()
	return []control{{oid: oidSyncState, value: w.b}}
}

// uuidOf is the ID of the n-th entry, textOf its text.
func uuidOf(n byte) []byte { return append(make([]byte, 15), n) }

func idOf(n byte) string { return fmt.Sprintf("00000000-0000-0000-0000-0000000000%02x", n) }

// syncIDs is a syncIdSet.
func syncIDs(deletes bool, ids ...byte) string {
	var w writer
	w.begin(0xa3)
	w.boolean(deletes)
	w.begin(tagSet)
	for _, id := range ids {
		w.string(tagOctetString, string(uuidOf(id)))
	}
	w.end()
	w.end()
	return string(w.b)
}

func person(n byte, title string) []string {
	return []string{"entryUUID", idOf(n), "uid", fmt.Sprint(n), "title", title}
}

// syncing is a fake that speaks content sync: one in three people, whose changes
// since the first cookie the test tells.
func syncing(t *testing.T, changes func(c *fakeConn, q request) bool) *fake {
	f := startFake(t, syncRoot(), func(c *fakeConn, q request) bool {
		value, syncs := q.controls[oidSyncRequest]
		switch {
		case !syncs:
			for n := range byte(3) {
				c.entry(fmt.Sprintf("uid=%d,dc=x", n), person(n, "plain")...)
			}
			c.page(0, "", "")
		case !strings.Contains(string(value), "csn="):
			c.result(opDone, 0, "", syncDone(firstCookie, true))
		case slices.Contains(q.attributes, "title"):
			return changes(c, q)
		default: // containers
			c.result(opDone, 0, "", syncDone(nextCookie, true))
		}
		return true
	})
	f.knows = []string{oidSyncRequest}
	return f
}

func TestWhatAContentSyncSaysIsTaken(t *testing.T) {
	for _, c := range []struct {
		name    string
		changes func(c *fakeConn, q request) bool
		users   string // "n title" of each that is known then
		swept   bool
	}{
		{"nothing", func(c *fakeConn, q request) bool { c.result(opDone, 0, "", syncDone("", true)); return true }, "0 plain,1 plain,2 plain", false},
		{"one changed, one came, one went", func(c *fakeConn, q request) bool {
			c.entryWith(syncState(stateModify, 0), "uid=0,dc=x", person(0, "new")...)
			c.entryWith(syncState(stateAdd, 7), "uid=7,dc=x", person(7, "new")...)
			c.entryWith(syncState(stateDelete, 1), "uid=1,dc=x")
			c.result(opDone, 0, "", syncDone(nextCookie, true))
			return true
		}, "0 new,2 plain,7 new", false},
		{"two went by ID, and a cookie in between", func(c *fakeConn, q request) bool {
			c.info(string([]byte{0x80, 1, 'c'}))
			c.info(syncIDs(true, 0, 1, 99))
			c.result(opDone, 0, "", syncDone(nextCookie, true))
			return true
		}, "2 plain", false},
		{"what is there is named", func(c *fakeConn, q request) bool {
			c.info(syncIDs(false, 0))
			c.entryWith(syncState(statePresent, 2), "uid=2,dc=x")
			c.entryWith(syncState(stateAdd, 5), "uid=5,dc=x", person(5, "new")...)
			c.result(opDone, 0, "", syncDone(nextCookie, false))
			return true
		}, "0 plain,2 plain,5 new", true},
		{"somebody is named who is not known", func(c *fakeConn, q request) bool {
			c.info(syncIDs(false, 0, 1, 2, 8))
			c.result(opDone, 0, "", syncDone(nextCookie, false))
			return true
		}, "0 plain,1 plain,2 plain", true},
		{"nobody is named, and what went neither: everybody is asked for", func(c *fakeConn, q request) bool {
			c.result(opDone, 0, "", syncDone(nextCookie, false))
			return true
		}, "0 plain,1 plain,2 plain", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := follow(t, syncing(t, c.changes).settings(nil), "uid", "title")
			f.read()
			got := f.read()
			var users []string
			for _, r := range f.picture {
				users = append(users, r.First("uid")+" "+r.First("title"))
			}
			slices.Sort(users)
			if strings.Join(users, ",") != c.users || got.Full || got.Swept != c.swept || !got.Complete || got.Method != methodSync {
				t.Errorf("%s, known are %q, want %q", show(got), users, c.users)
			}
		})
	}
}

// A server that has no index of uniqueMember looks through all its groups for it, so it
// is not asked for who is in no group by it.
func TestGroupsOfNewcomersAreLookedForByWhatGroupsHave(t *testing.T) {
	for _, c := range []struct {
		name, has, changed string // the attribute a group has members in, and another one, that changed
		want               string // the attributes that are looked for
	}{
		{"members", "member", "", "member"},
		{"members by the other name, spelt otherwise", "uniquemember", "", "uniqueMember"},
		{"both, the other one since", "member", "uniqueMember", "member uniqueMember"},
		{"no group has any", "description", "", "member uniqueMember"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked []string
			f := startFake(t, syncRoot(), func(conn *fakeConn, q request) bool {
				value, syncs := q.controls[oidSyncRequest]
				groups := q.base == "ou=g,dc=x" && slices.Contains(q.attributes, "cn")
				switch {
				case strings.Contains(q.filter, "uid=7,dc=x"):
					for _, a := range []string{"member", "uniqueMember"} {
						if strings.Contains(q.filter, a+"\x04\nuid=7,dc=x") { // a string of ten bytes follows the name
							asked = append(asked, a)
						}
					}
					conn.page(0, "", "")
				case !syncs && groups:
					conn.entry("cn=g,ou=g,dc=x", "entryUUID", idOf(40), "cn", "g", c.has, "uid=1,dc=x")
					conn.page(0, "", "")
				case !syncs:
					conn.entry("uid=1,dc=x", person(1, "plain")...)
					conn.page(0, "", "")
				case !strings.Contains(string(value), "csn="):
					conn.result(opDone, 0, "", syncDone(firstCookie, true))
				case groups && c.changed != "":
					conn.entryWith(syncState(stateAdd, 41), "cn=h,ou=g,dc=x", "entryUUID", idOf(41), "cn", "h", c.changed, "uid=1,dc=x")
					conn.result(opDone, 0, "", syncDone(nextCookie, true))
				case slices.Contains(q.attributes, "title"):
					conn.entryWith(syncState(stateAdd, 7), "uid=7,dc=x", person(7, "new")...)
					conn.result(opDone, 0, "", syncDone(nextCookie, true))
				default:
					conn.result(opDone, 0, "", syncDone(nextCookie, true))
				}
				return true
			})
			f.knows = []string{oidSyncRequest}
			followed := follow(t, f.settings(setting.Values{"base_dn": "dc=x", "groups.base_dn": "ou=g,dc=x"}), "uid", "title")
			followed.read()
			if got := followed.read(); got.Full || !got.Complete || got.Method != methodSync {
				t.Fatal(show(got))
			}
			if got := strings.Join(asked, " "); got != c.want {
				t.Errorf("looked for by %q, want %q", got, c.want)
			}
		})
	}
}

func TestAContentSyncThatIsNotOneLeadsToAFullReading(t *testing.T) {
	wrongID := person(1, "new")
	wrongID[1] = idOf(9)
	for _, c := range []struct {
		name    string
		changes func(c *fakeConn, q request) bool
		why     string
	}{
		{"entries without a state", func(c *fakeConn, q request) bool {
			c.entry("uid=0,dc=x", person(0, "new")...)
			c.page(0, "", "")
			return true
		}, "without saying what became of them"},
		{"an end without its control", func(c *fakeConn, q request) bool { c.done(0, ""); return true }, "did not answer the control"},
		{"a refused cookie", func(c *fakeConn, q request) bool { c.done(4096, "Invalid session cookie"); return true }, "Invalid session cookie"},
		{"a cookie from the future", func(c *fakeConn, q request) bool { c.done(codeUnwilling, "consumer state is newer"); return true }, "consumer state is newer"},
		{"a size limit", func(c *fakeConn, q request) bool {
			c.entryWith(syncState(stateAdd, 7), "uid=7,dc=x", person(7, "new")...)
			c.done(codeSizeLimit, "")
			return true
		}, "size limit"},
		{"the control is critical and unknown", func(c *fakeConn, q request) bool { c.done(codeUnavailableCritical, ""); return true }, "critical"},
		{"another ID than the entry's", func(c *fakeConn, q request) bool {
			c.entryWith(syncState(stateModify, 1), "uid=1,dc=x", wrongID...)
			c.result(opDone, 0, "", syncDone(nextCookie, true))
			return true
		}, "under another entryUUID"},
		{"more than is kept", func(c *fakeConn, q request) bool {
			for i := range mostChanges + 1 {
				id := binaryID(i)
				c.entryWith([]control{{oid: oidSyncState, value: stateOf(id)}}, "uid=x,dc=x", "entryUUID", string(syncUUID(id).externalID(entryUUID)))
			}
			c.result(opDone, 0, "", syncDone(nextCookie, true))
			return true
		}, "so much has changed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := follow(t, syncing(t, c.changes).settings(nil), "uid", "title")
			f.read()
			got := f.read()
			if !got.Full || !got.Complete || len(f.picture) != 3 || len(got.Notes) != 1 || !strings.Contains(got.Notes[0], c.why) {
				t.Errorf("%s, want a note of %q", show(got), c.why)
			}
		})
	}
}

func binaryID(n int) [16]byte {
	return [16]byte{12: byte(n >> 16), 13: byte(n >> 8), 14: byte(n), 15: 1}
}

func stateOf(id [16]byte) []byte {
	var w writer
	w.begin(tagSequence)
	w.integer(tagEnumerated, stateAdd)
	w.string(tagOctetString, string(id[:]))
	w.end()
	return w.b
}

func TestAContentSyncThatBreaksOffIsAnError(t *testing.T) {
	for name, changes := range map[string]func(c *fakeConn, q request) bool{
		"the connection is cut": func(c *fakeConn, q request) bool {
			c.entryWith(syncState(stateModify, 0), "uid=0,dc=x", person(0, "new")...)
			return false
		},
		"a state that is none": func(c *fakeConn, q request) bool {
			c.entryWith(syncState(17, 0), "uid=0,dc=x", person(0, "new")...)
			return true
		},
		"a message that cannot be read": func(c *fakeConn, q request) bool { c.info("\xa3\x05\x04"); return true },
	} {
		t.Run(name, func(t *testing.T) {
			f := follow(t, syncing(t, changes).settings(nil), "uid", "title")
			f.read()
			_, err := f.try()
			if r := f.picture["user "+idOf(0)]; fault.KindOf(err) != fault.Unavailable || r.First("title") != "plain" {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAServerThatOnlyPretendsToSyncIsFollowedByTime(t *testing.T) {
	stamped := true
	f := startFake(t, syncRoot(), func(c *fakeConn, q request) bool {
		pairs := person(1, "plain")
		if stamped {
			pairs = append(pairs, "modifyTimestamp", "20260102030405Z", "createTimestamp", "20250101000000.5Z")
		}
		c.entry("uid=1,dc=x", pairs...)
		c.page(0, "", "")
		return true
	})
	f.knows = []string{oidSyncRequest}
	fo := follow(t, f.settings(nil), "uid", "title")
	if got := fo.read(); !strings.Contains(fmt.Sprint(got.Notes), "Changes cannot be read by syncrepl: the server sends entries without saying") || got.Next == nil {
		t.Fatal(show(got))
	}
	b, err := decodeBookmark(fo.cursor)
	if err != nil || b.Method != methodStamp || b.Stamp < "20260102030000" || b.Stamp > "20260102030204" {
		t.Errorf("%+v, %v", b, err)
	}
	if got := fo.read(); got.Method != methodStamp || !got.Swept {
		t.Error(show(got))
	}
	stamped = false
	fo.cursor = nil
	if got := fo.read(); got.Next != nil || !strings.Contains(fmt.Sprint(got.Notes), "1 entries do not show when they were changed") {
		t.Error(show(got))
	}
}

func TestAServerThatFindsNothingByTimeIsReadAsAWhole(t *testing.T) {
	f := startFake(t, plainRoot, func(c *fakeConn, q request) bool {
		if q.sizeLimit == 0 {
			c.entry("uid=1,dc=x", append(person(1, "x"), "modifyTimestamp", "20260102030405Z")...)
		}
		c.page(0, "", "")
		return true
	})
	fo := follow(t, f.settings(nil), "uid")
	if got := fo.read(); got.Next != nil || !got.Complete || !strings.Contains(fmt.Sprint(got.Notes), "does not find entries by the time of a change") {
		t.Error(show(got))
	}
}

func dirSyncAnswer(more int, cookie string) control {
	var w writer
	w.begin(tagSequence)
	w.integer(tagInteger, more)
	w.integer(tagInteger, 0)
	w.string(tagOctetString, cookie)
	w.end()
	return control{oid: oidDirSync, value: w.b}
}

func TestADirSyncThatIsNotOneLeadsToAFullReading(t *testing.T) {
	root := map[string][]string{"supportedControl": {oidPaging, oidDirSync}, "supportedCapabilities": {oidActiveDirectory},
		"namingContexts": {"DC=x"}, "defaultNamingContext": {"DC=x"}, "highestCommittedUSN": {"100"}}
	for _, c := range []struct {
		name    string
		changes func(c *fakeConn, q request) bool
		why     string // "" is well
	}{
		{"three rounds", func(c *fakeConn, q request) bool {
			value := string(q.controls[oidDirSync])
			switch {
			case strings.HasSuffix(value, "c1"):
				c.entry("CN=1,DC=x", "objectGUID", string(uuidOf(1)), "title", "ignored")
				c.result(opDone, 0, "", dirSyncAnswer(1, "c2"))
			case strings.HasSuffix(value, "c2"):
				c.result(opDone, 0, "", dirSyncAnswer(1, "c3"))
			default:
				c.result(opDone, 0, "", dirSyncAnswer(0, "c4"))
			}
			return true
		}, ""},
		{"no answer to the control", func(c *fakeConn, q request) bool { c.done(0, ""); return true }, "did not answer the DirSync control"},
		{"a refused cookie", func(c *fakeConn, q request) bool {
			c.done(codeUnavailableCritical, "Unable to unmarshall cookie")
			return true
		}, "unmarshall"},
		{"no cookie", func(c *fakeConn, q request) bool { c.result(opDone, 0, "", dirSyncAnswer(0, "")); return true }, "no cookie"},
		{"more for ever", func(c *fakeConn, q request) bool { c.result(opDone, 0, "", dirSyncAnswer(1, "c1")); return true }, "gives nothing"},
		{"rights were taken away", func(c *fakeConn, q request) bool { c.done(codeInsufficientAccess, ""); return true }, "insufficient"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := startFake(t, root, func(conn *fakeConn, q request) bool {
				value, asked := q.controls[oidDirSync]
				switch {
				case !asked:
					conn.entry("CN=1,DC=x", "objectGUID", string(uuidOf(1)), "title", "plain")
					conn.page(0, "", "")
				case strings.HasSuffix(string(value), "\x04\x00"):
					conn.result(opDone, 0, "", dirSyncAnswer(0, "c1"))
				default:
					return c.changes(conn, q)
				}
				return true
			})
			f.knows = []string{oidDirSync}
			fo := follow(t, f.settings(nil), "title")
			fo.read()
			got := fo.read()
			if c.why == "" {
				if got.Method != methodDirSync || !got.Complete || len(fo.whole) != 1 {
					t.Error(show(got))
				}
				return
			}
			if !got.Full || !got.Complete || !strings.Contains(fmt.Sprint(got.Notes), c.why) {
				t.Errorf("%s, want a note of %q", show(got), c.why)
			}
		})
	}
}

func TestWhereNothingTellsOfChangesWatchingSaysSo(t *testing.T) {
	answer := func(answers ...func(c *fakeConn)) func(c *fakeConn, q request) bool {
		return func(c *fakeConn, q request) bool {
			if _, persists := q.controls[oidPersistentSearch]; persists {
				for _, a := range answers {
					a(c)
				}
			}
			return true
		}
	}
	root := map[string][]string{"supportedControl": {oidPersistentSearch}, "namingContexts": {"dc=x"}}
	for _, c := range []struct {
		name   string
		root   map[string][]string
		script func(c *fakeConn, q request) bool
		none   bool
	}{
		{"no control", plainRoot, answer(), true},
		{"a plain answer", root, answer(func(c *fakeConn) { c.entry("uid=1,dc=x") }, func(c *fakeConn) { c.done(0, "") }), true},
		{"a refusal", root, answer(func(c *fakeConn) { c.done(codeUnwilling, "not here") }), true},
		{"a cut", root, func(*fakeConn, request) bool { return false }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := startFake(t, c.root, c.script)
			f.knows = []string{oidPersistentSearch}
			w := watchIt(t, mustOpen(t, f.settings(setting.Values{"groups.base_dn": "ou=g,dc=x"})))
			if err := w.ends(t); errors.Is(err, source.ErrNoWatch) != c.none {
				t.Error(err)
			}
		})
	}
}
