package ldap

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/openldap"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

func FuzzWhatServersSayOfChanges(f *testing.F) {
	f.Add(string(syncDone("cookie", true).value))
	f.Add(string(syncState(stateModify, 3)[0].value))
	f.Add(syncIDs(true, 1, 2))
	f.Add(string(dirSyncAnswer(1, "cookie").value))
	f.Add(string(pagingControl(3, "x").value))
	f.Add("\xa1\x05\x04\x01c\x01\x01")
	f.Add("\x80\x03abc")
	var w writer
	w.controls([]control{syncDone("c", false), {oid: oidPaging, critical: true}})
	c := cursor(w.b)
	inner, err := c.take(0xa0)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(inner))
	f.Fuzz(func(t *testing.T, in string) {
		if value, found, err := findControl(cursor(in), oidSyncDone); err != nil && found || len(value) > len(in) {
			t.Errorf("%q, %v, %v", value, found, err)
		}
		if _, id, err := decodeSyncState(cursor(in)); err == nil && len(id.externalID(entryUUID)) != 36 {
			t.Errorf("%x", id)
		}
		if cookie, _, err := decodeSyncDone(cursor(in)); err == nil && len(cookie) > len(in) {
			t.Errorf("%q", cookie)
		}
		if _, cookie, err := decodeDirSync(cursor(in)); err == nil && len(cookie) > len(in) {
			t.Errorf("%q", cookie)
		}
		if cookie, err := decodePaging(cursor(in)); err == nil && len(cookie) > len(in) {
			t.Errorf("%q", cookie)
		}
		var w writer
		w.string(0x80, oidSyncInfo)
		w.string(0x81, in)
		info, err := decodeSyncInfo(message{tag: opIntermediate, op: cursor(w.b)})
		if err == nil && (info == nil || 18*len(info.ids) > len(in)) {
			t.Errorf("%+v", info)
		}
		if _, err := decodeSyncInfo(message{op: cursor(in)}); err != nil && !slices.Contains([]error{errShort, errTag, errLength, errNumber}, err) {
			t.Error(err)
		}
	})
}

func FuzzBookmark(f *testing.F) {
	b := &bookmark{Version: bookmarkVersion, Method: methodSync, Basis: "x", FullAt: time.Unix(1, 0)}
	b.keep("people", []byte("cookie"))
	first, err := b.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(first))
	f.Add([]byte(`{"version":1,"stamp":"20260101000000","usn":18446744073709551615,"bases":{"a":"b"}}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, in []byte) {
		b, err := decodeBookmark(in)
		if err != nil {
			return
		}
		out, err := b.encode()
		if err != nil || !json.Valid(out) {
			t.Fatalf("%q, %v", out, err)
		}
		if again, err := decodeBookmark(out); err != nil || again.Method != b.Method || again.USN != b.USN || !again.FullAt.Equal(b.FullAt) {
			t.Errorf("%+v became %+v, %v", b, again, err)
		}
		if s := b.Stamp.before(time.Hour); s != "" && parseStamp(string(s)+"Z") == "" && len(s) == 14 {
			t.Errorf("%q", s)
		}
	})
}

func FuzzNumbersOfActiveDirectory(f *testing.F) {
	f.Add("\x01\x05\x00\x00\x00\x00\x00\x05\x15\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x00\x02\x00\x00", "513")
	f.Add("", "")
	f.Add("\x01\x00\x00\x00\x00\x00\x00\x05", "1")
	f.Fuzz(func(t *testing.T, sid, rid string) {
		text := sidText(sid)
		if isSID(sid) != (text != sid) {
			t.Errorf("%q gives %q", sid, text)
		}
		group := groupSID(sid, rid)
		if group != "" && (!isSID(group) || len(group) != len(sid)) {
			t.Errorf("%q and %q give %q", sid, rid, group)
		}
	})
}

func TestASIDIsPrintedTheUsualWay(t *testing.T) {
	domainUser := "\x01\x05\x00\x00\x00\x00\x00\x05\x15\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\xff\xff\xff\xff\x50\x04\x00\x00"
	for in, want := range map[string]string{
		domainUser: "S-1-5-21-1-2-4294967295-1104",
		"\x01\x02\x00\x00\x00\x00\x00\x05\x20\x00\x00\x00\x21\x02\x00\x00": "S-1-5-32-545",
		"\x01\x01\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00":                 "S-1-1-0",
		"\x01\x02\x00\x00\x00\x00\x00\x05\x20":                             "\x01\x02\x00\x00\x00\x00\x00\x05\x20",
		"S-1-5-32-545":                                                     "S-1-5-32-545",
		"":                                                                 "",
	} {
		if got := sidText(in); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
	if got := sidText(groupSID(domainUser, "513")); got != "S-1-5-21-1-2-4294967295-513" {
		t.Errorf("the primary group is %q", got)
	}
	for _, rid := range []string{"", "-1", "x", "4294967296"} {
		if got := groupSID(domainUser, rid); got != "" {
			t.Errorf("%q gives %q", rid, got)
		}
	}
}

func TestTimesAreTakenAsTheyAreMeant(t *testing.T) {
	for in, want := range map[string]stamp{
		"20260102030405Z": "20260102030405", "20260102030405.0Z": "20260102030405", "20260102030405.123456Z": "20260102030405",
		"20260102030405": "", "20260102030405+0100": "", "2026010203Z": "", "": "", "tomorrowmorninZ": "",
	} {
		if got := parseStamp(in); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
	if got := stamp("20260101000001").before(2 * time.Second); got != "20251231235959" {
		t.Error(got)
	}
}

func TestTheMethodFollowsFromTheServer(t *testing.T) {
	ad := map[string][]string{"supportedCapabilities": {oidActiveDirectory}, "supportedControl": {oidDirSync}, "namingContexts": {"dc=x"}, "defaultNamingContext": {"dc=x"}}
	open := map[string][]string{"objectClass": {"OpenLDAProotDSE"}, "supportedControl": {oidSyncRequest}, "namingContexts": {"dc=x"}}
	bare := map[string][]string{"objectClass": {"OpenLDAProotDSE"}, "namingContexts": {"dc=x"}}
	ds389 := map[string][]string{"vendorName": {"389 Project"}, "supportedControl": {oidSyncRequest}, "namingContexts": {"dc=x"}}
	apache := map[string][]string{"vendorName": {"Apache Software Foundation"}, "supportedControl": {oidSyncRequest, oidDirSync}, "namingContexts": {"dc=x"}}
	for _, c := range []struct {
		name   string
		root   map[string][]string
		v      setting.Values
		wanted []string
		want   string
		why    string
	}{
		{"Active Directory", ad, nil, nil, "dirsync usn", "DirSync"},
		{"its Global Catalog", ad, setting.Values{"addr": []string{"dc:3268"}}, nil, "", "Global Catalog"},
		{"with an anchor of its own", ad, setting.Values{"sync.anchor": "employeeNumber"}, nil, "", "employeeNumber"},
		{"by USN", ad, setting.Values{"sync.method": methodUSN}, nil, "usn", "sync.method"},
		{"with memberOf in the mapping", ad, nil, []string{"mail", "memberof"}, "", "memberof"},
		{"OpenLDAP", open, nil, nil, "syncrepl modify-timestamp", "RFC 4533"},
		{"without syncprov", bare, nil, nil, "modify-timestamp", "does not offer"},
		{"off", open, setting.Values{"sync.method": methodOff}, nil, "", "off"},
		{"389 Directory Server", ds389, nil, nil, "syncrepl modify-timestamp", "RFC 4533"},
		{"with memberOf, which it writes into the entry", ds389, nil, []string{"memberOf"}, "syncrepl modify-timestamp", "RFC 4533"},
		{"by another of its IDs", ds389, setting.Values{"sync.anchor": "entryUUID"}, nil, "modify-timestamp", "does not tell entryUUID"},
		{"Apache Directory", apache, nil, nil, "modify-timestamp", "loses changes"},
		{"whose content sync is asked for", apache, setting.Values{"sync.method": methodSync}, nil, "", "loses changes"},
		{"Domino", map[string][]string{"vendorName": {"HCL"}, "namingContexts": {"\x00"}}, nil, nil, "", "Domino"},
		{"an unknown server with content sync", map[string][]string{"supportedControl": {oidSyncRequest}, "namingContexts": {"dc=x"}}, nil, nil, "modify-timestamp", "known to do it well"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := setting.Values{"addr": []string{"ldap://x"}}
			for k, x := range c.v {
				v[k] = x
			}
			set, err := decode(v, source.Env{})
			if err != nil {
				t.Fatal(err)
			}
			d := &rootDSE{attributes: map[string][]string{}}
			for k, x := range c.root {
				d.attributes[strings.ToLower(k)] = x
			}
			r, err := newReading(&conn{srv: set.servers[0]}, set, d, c.wanted, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := r.choose()
			var names []string
			for _, x := range got.trackers {
				names = append(names, x.name())
			}
			if strings.Join(names, " ") != c.want || !strings.Contains(got.why, c.why) {
				t.Errorf("%q because %s; want %q because of %q", names, got.why, c.want, c.why)
			}
		})
	}
}

func TestAFilterOnMembershipsHasEverybodyNamedEachTime(t *testing.T) {
	s := startOpenLDAP(t, 30, openldap.Options{MemberOf: true})
	f := follow(t, rigSettings(s, setting.Values{"base_dn": "ou=people,dc=example,dc=org",
		"sync.filter": "(&(objectClass=inetOrgPerson)(memberOf:1.3.6.1.4.1.4203.666.11.1:=x)(!(memberOf=cn=Out,ou=groups,dc=example,dc=org)))"}), "uid")
	if got := filterAttributes(mustCompile(t, f.v.String("sync.filter"))); !slices.Contains(got, "memberOf") {
		t.Errorf("%q", got)
	}
	f.v["sync.filter"] = "(&(objectClass=inetOrgPerson)(!(memberOf=cn=Out,ou=groups,dc=example,dc=org)))"
	f.read()
	modify(t, s, "dn: cn=Out,GROUPS\nchangetype: add\nobjectClass: groupOfNames\ncn: Out\nmember: uid=u0003,PEOPLE\n")
	if got := f.follows(methodSync); !got.Swept {
		t.Error(show(got))
	}
	step := find(t, check(t, f.v), "changes")
	if step.Verdict != source.OK || !strings.Contains(step.Detail, "memberOf changed") || !strings.Contains(step.Detail, "asked for each time") || !strings.Contains(step.Detail, "If the mapping uses memberOf") {
		t.Errorf("%+v", step)
	}
}

func mustCompile(t *testing.T, filter string) []byte {
	t.Helper()
	b, err := compileFilter("x", filter)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestARefusedAccountIsToldWhyAndWhatToDo(t *testing.T) {
	s := &settings{}
	for code, want := range subCodes {
		err := s.explainResult("sign in", &resultError{code: codeInvalidCredentials, text: "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data " + code + ", v1db1"})
		if fault.KindOf(err) != fault.Denied || !strings.Contains(fault.HintOf(err), want[0]+". "+want[1]) || want[1] == "" {
			t.Errorf("%s: %v, hint %q", code, err, fault.HintOf(err))
		}
	}
	if hint := fault.HintOf(s.explainResult("sign in", &resultError{code: codeInvalidCredentials, text: "data fff"})); !strings.Contains(hint, "bind_password") {
		t.Error(hint)
	}
}

func TestAStampAndAKeyAreTakenFromBesideWhatIsWanted(t *testing.T) {
	d := newDecoder(directory.User, objectGUID, []string{"objectGUID", "objectSid", "cn"}, "", nil)
	d.ask("objectSid", roleSID)
	d.ask("primaryGroupID", rolePrimary)
	var w writer
	w.string(tagOctetString, "CN=x")
	w.begin(tagSequence)
	sid := "\x01\x02\x00\x00\x00\x00\x00\x05\x20\x00\x00\x00\x21\x02\x00\x00"
	for _, a := range [][2]string{{"objectGUID", string(uuidOf(1))}, {"objectSid", sid}, {"primaryGroupID", "544"}, {"cn", "x"}} {
		w.begin(tagSequence)
		w.string(tagOctetString, a[0])
		w.begin(tagSet)
		w.string(tagOctetString, a[1])
		w.end()
		w.end()
	}
	w.end()
	rec, _, err := d.record(cursor(w.b))
	if err != nil || rec.ID != "00000000-0000-0000-0000-000000000001" || rec.First("objectGUID") != string(rec.ID) || rec.First("objectSid") != "S-1-5-32-545" ||
		sidText(d.primary()) != "S-1-5-32-544" || rec.Get("primaryGroupID") != nil {
		t.Errorf("%+v, %v", rec, err)
	}
}
