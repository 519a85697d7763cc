package google

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	rig "rollcall.dev/rollcall/internal/rig/google"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/sourcetest"
)

// world is an account with a source that reads it.
type world struct {
	*testing.T
	*vendorOf
	clock *sourcetest.Clock
	set   setting.Values
}

func newWorld(t *testing.T, set setting.Values) *world {
	t.Helper()
	clock := sourcetest.NewClock()
	w := &world{T: t, vendorOf: start(t, clock), clock: clock}
	w.set = w.vendorOf.Settings()
	delete(w.set, "groups.include")
	maps.Copy(w.set, set)
	return w
}

func (w *world) open() *workspace {
	w.Helper()
	src, err := kindOf(w.clock).Open(maps.Clone(w.set), source.Env{Dir: w.TempDir(), Guard: sourcetest.Loopback})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = src.Close() })
	return src.(*workspace)
}

// read gives people with their managers, and groups with their members.
func (w *world) read(attributes ...string) (map[string]string, source.Reading) {
	w.Helper()
	out := map[string]string{}
	reading, err := w.open().Read(w.Context(), source.Request{Attributes: attributes, Now: w.clock.Now()}, func(r *directory.Record) error {
		if _, twice := out[string(r.ID)]; twice {
			return fmt.Errorf("%s twice", r.ID)
		}
		out[string(r.ID)] = r.First("manager")
		if r.Kind == directory.Group {
			out[string(r.ID)] = strings.Join(r.Members, " ")
		}
		return nil
	})
	if err != nil {
		w.Fatalf("%v (%s)", err, fault.HintOf(err))
	}
	return out, reading
}

func (w *world) person(id, unit string, more map[string]any) {
	fields := map[string]any{"primaryEmail": id + "@example.org", "orgUnitPath": unit}
	maps.Copy(fields, more)
	w.PutUser(id, fields)
}

func (w *world) group(id, name string, members ...rig.Member) {
	w.Server.PutGroup(id, map[string]any{"name": name, "email": id + "@example.org"}, members)
}

func person(id string) rig.Member { return rig.Member{ID: id, Type: "USER"} }
func nested(id string) rig.Member { return rig.Member{ID: id, Type: "GROUP"} }

func TestManagersAreFoundByAnyOfTheirAddresses(t *testing.T) {
	w := newWorld(t, nil)
	manager := func(address string) map[string]any {
		return map[string]any{"relations": []any{map[string]any{"type": "assistant", "value": "x@example.org"}, map[string]any{"type": "manager", "value": address}}}
	}
	w.person("a", "/", manager("Z@Example.org"))      // comes later
	w.person("b", "/", manager("the.boss@other.org")) // an alias of who comes later
	w.person("c", "/", manager("a@example.org"))      // was there before
	w.person("d", "/", manager("nobody@example.org")) // leads to nobody
	w.person("z", "/", map[string]any{"aliases": []any{"the.boss@other.org"}})
	got, reading := w.read("manager")
	if want := map[string]string{"a": "z", "b": "z", "c": "a", "d": "nobody@example.org", "z": ""}; !maps.Equal(got, want) || !reading.Complete {
		t.Errorf("%v, %+v", got, reading)
	}
	if !slices.ContainsFunc(reading.Notes, func(n string) bool { return strings.HasPrefix(n, "1 person has a manager") }) {
		t.Errorf("notes: %q", reading.Notes)
	}
}

func TestWhoIsRead(t *testing.T) {
	for _, c := range []struct {
		name   string
		set    setting.Values
		want   string
		reason string
	}{
		{"everybody and no group where nothing is said", nil, "a b c d e", ""},
		{"nobody where people come from groups and none is selected", setting.Values{"people": "groups"}, "", "no group is selected"},
		{"those in a group and in groups in it, in a circle too", setting.Values{"people": "groups", "groups.names": []string{"Outer"}}, "a b g1 g2", ""},
		{"everybody where everybody is a member", setting.Values{"people": "groups", "groups.ids": []string{"g3"}}, "a b c d e g3", ""},
		{"a group by its address", setting.Values{"people": "groups", "groups.names": []string{"G4@example.org"}}, "c g4", ""},
		{"what is excluded is not selected", setting.Values{"groups.include": ".*", "groups.exclude": "^(Outer|Inner|All)$"}, "a b c d e g4", ""},
		{"a group that is not there removes nobody", setting.Values{"people": "groups", "groups.names": []string{"Four", "Gone"}}, "c g4", `"Gone"`},
		{"an expression that selects nothing removes nobody", setting.Values{"groups.include": "^x"}, "a b c d e", "no group is selected"},
		{"people of a unit and below, not of one that begins alike", setting.Values{"org_units": []string{"/staff"}}, "b c", ""},
		{"a unit by its ID", setting.Values{"org_units": []string{"id:2"}}, "c", ""},
		{"the root", setting.Values{"org_units": []string{"/"}}, "a b c d e", ""},
		{"a unit that is not there removes nobody", setting.Values{"org_units": []string{"/Staff/Berlin", "/Gone"}}, "c", `"/Gone"`},
		{"a domain", setting.Values{"domain": "other.org"}, "e", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.set)
			w.PutUnit("id:1", "/Staff")
			w.PutUnit("id:2", "/Staff/Berlin")
			w.PutUnit("id:3", "/Staffing")
			w.person("a", "/", nil)
			w.person("b", "/Staff", nil)
			w.person("c", "/Staff/Berlin", nil)
			w.person("d", "/Staffing", nil)
			w.person("e", "/", map[string]any{"primaryEmail": "e@other.org"})
			w.group("g1", "Outer", person("a"), nested("g2"))
			w.group("g2", "Inner", person("b"), nested("g1"), person("stranger"), rig.Member{Type: "USER"})
			w.group("g3", "All", rig.Member{ID: "C0", Type: "CUSTOMER"})
			w.group("g4", "Four", person("c"))
			got, reading := w.read("primaryEmail")
			if have := strings.Join(slices.Sorted(maps.Keys(got)), " "); have != c.want {
				t.Errorf("%s, want %s", have, c.want)
			}
			if reading.Complete != (c.reason == "") || !strings.Contains(reading.Reason, c.reason) {
				t.Errorf("%+v", reading)
			}
			for id, want := range map[string]string{"g1": "a g2", "g2": "b g1", "g3": "a b c d e", "g4": "c"} {
				if have, ok := got[id]; ok && have != want {
					t.Errorf("%s has %s, want %s", id, have, want)
				}
			}
			if _, ok := got["g2"]; ok && !strings.Contains(strings.Join(reading.Notes, " "), "from elsewhere") {
				t.Errorf("nothing is said of those left out: %q", reading.Notes)
			}
		})
	}
}

func TestAGoodAnswerWithoutTheListRemovesNobody(t *testing.T) {
	for _, c := range []struct {
		name, body, complains string
	}{
		{"a list of people without people", `{"kind":"admin#directory#users"}`, "lists nobody"},
		{"one that goes on", `{"kind":"admin#directory#users","nextPageToken":"x"}`, "says that there are more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.person("a", "/", nil)
			w.faults.Set(1, 0, sourcetest.Instead(c.body))
			reading, err := w.open().Read(w.Context(), source.Request{}, func(*directory.Record) error { return nil })
			if reading.Complete || !strings.Contains(fmt.Sprint(reading.Reason, err), c.complains) {
				t.Errorf("%+v, %v", reading, err)
			}
		})
	}
	t.Run("members that the group says it has", func(t *testing.T) {
		w := newWorld(t, setting.Values{"groups.include": "."})
		w.person("a", "/", nil)
		w.group("g", "G", person("a"))
		w.faults.Set(2, 2, sourcetest.Instead(`{"kind":"admin#directory#members"}`))
		if _, reading := w.read(); reading.Complete || !strings.Contains(reading.Reason, "lists none") {
			t.Errorf("%+v", reading)
		}
		// Once is asked again.
		w.faults.Set(2, 1, sourcetest.Instead(`{"kind":"admin#directory#members"}`))
		if got, reading := w.read(); !reading.Complete || got["g"] != "a" {
			t.Errorf("%v, %+v", got, reading)
		}
	})
}

func TestAttributesHaveNamesThatAnAdministratorWouldWrite(t *testing.T) {
	raw := `{"kind":"admin#directory#user","id":"1","etag":"e","primaryEmail":"liz@example.org","suspended":true,"suspensionReason":"ADMIN","archived":false,
		"name":{"givenName":"Liz","familyName":"Smith","fullName":"Liz Smith"},
		"emails":[{"address":"home@x.org","type":"home"},{"address":"liz@example.org","primary":true}],
		"phones":[{"type":"work","value":"1"},{"type":"mobile","value":"2"},{"type":"mobile","value":"3"}],
		"organizations":[{"type":"school","title":"Pupil"},{"primary":true,"type":"work","title":"Boss","department":"IT"}],
		"externalIds":[{"type":"organization","value":"007"},{"type":"custom","customType":"badge","value":"b"}],
		"languages":[{"languageCode":"fr","preference":"not_preferred"},{"languageCode":"nl","preference":"preferred"}],
		"customSchemas":{"HR":{"badge":"9","cards":[{"type":"work","value":"k1"},{"type":"work","value":"k2"}],"level":12345678901234567890}},
		"aliases":["l@example.org"],"relations":[{"type":"manager","value":"boss@example.org"}]}`
	u, err := parseUser(json.RawMessage(raw))
	if err != nil {
		t.Fatal(err)
	}
	r := u.record(wishFor(nil), "77")
	for name, want := range map[string]string{
		"primaryEmail": "liz@example.org", "suspended": "true", "suspensionReason": "ADMIN", "archived": "false", "name.givenName": "Liz",
		"emails": "home@x.org liz@example.org", "emails.home": "home@x.org", "emails.primary": "liz@example.org",
		"phones": "1 2 3", "phones.mobile": "2 3", "phones.work": "1", "phones.primary": "1",
		"organizations.primary.title": "Boss", "organizations.work.department": "IT", "organizations.school.title": "Pupil",
		"externalIds": "007 b", "externalIds.organization": "007", "externalIds.badge": "b", "languages": "fr nl", "languages.preferred": "nl",
		"customSchemas.HR.badge": "9", "customSchemas.HR.cards": "k1 k2", "customSchemas.HR.cards.work": "k1 k2", "customSchemas.HR.level": "12345678901234567890",
		"aliases": "l@example.org", "relations.manager": "boss@example.org", "manager": "77", "etag": "", "kind": "",
	} {
		if have := strings.Join(r.Get(name), " "); have != want {
			t.Errorf("%s is %q, want %q", name, have, want)
		}
	}
	few := u.record(wishFor([]string{"Phones.Mobile"}), "77")
	if few.First("phones.mobile") != "2" || few.Get("phones.work") != nil || few.Get("manager") != nil || few.First("suspended") != "true" {
		t.Errorf("%+v", few.Attributes)
	}
}

func TestOnlyWhatIsMappedIsAskedFor(t *testing.T) {
	for _, c := range []struct {
		name, fields, projection, unknown string
		asked                             []string
	}{
		{"nothing", "archived,id,orgUnitPath,primaryEmail,suspended,suspensionReason", "basic", "", []string{}},
		{"a part of a field, in any case", "archived,id,name,orgUnitPath,primaryEmail,suspended,suspensionReason", "basic", "", []string{"NAME.givenname"}},
		{"a manager", "aliases,archived,id,nonEditableAliases,orgUnitPath,primaryEmail,relations,suspended,suspensionReason", "basic", "", []string{"manager"}},
		{"fields of the account's own", "archived,customSchemas,id,orgUnitPath,primaryEmail,suspended,suspensionReason", "full", "", []string{"customSchemas.HR.badge"}},
		{"what Google does not have", "archived,id,orgUnitPath,primaryEmail,suspended,suspensionReason", "basic", "sAMAccountName", []string{"sAMAccountName"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := wishFor(c.asked)
			if w.fields() != c.fields || w.projection() != c.projection || strings.Join(w.unknown, " ") != c.unknown {
				t.Errorf("%s, %s, %q", w.fields(), w.projection(), w.unknown)
			}
		})
	}
}

func TestARefusedTokenSaysWhatToDo(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(w *world)
		hint string
	}{
		{"a scope that was not allowed", func(w *world) { w.Scopes = nil }, "client ID 104321987654321098765 with these scopes, exactly as spelled: " + scopeUsers},
		{"an administrator who is not there", func(w *world) { w.set["subject"] = "gone@example.org" }, "nobody called gone@example.org"},
		{"a clock that is wrong", func(w *world) {
			w.Now = func() time.Time { return w.clock.Now().Add(-time.Hour) }
		}, "the clock of this machine"},
		{"a key that was deleted", func(w *world) { w.Account.KeyID = "another" }, "The key 4f3c2b1a was deleted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			c.do(w)
			src := w.open()
			_, err := src.Read(w.Context(), source.Request{}, func(*directory.Record) error { return nil })
			if fault.KindOf(err) != fault.Denied || !strings.Contains(fault.HintOf(err), c.hint) {
				t.Errorf("%v, hint %q", err, fault.HintOf(err))
			}
			var steps []source.Step
			src.Check(w.Context(), func(s source.Step) { steps = append(steps, s) })
			if last := steps[len(steps)-1]; last.Section != source.SignIn || last.Verdict != source.Fail || !strings.Contains(last.Hint, c.hint) {
				t.Errorf("%+v", last)
			}
		})
	}
}

func TestReasonsOf403AreToldApart(t *testing.T) {
	for _, c := range []struct {
		reason string
		kind   fault.Kind
		hint   string
	}{
		{"userRateLimitExceeded", fault.Unavailable, "limits how much"},
		{"quotaExceeded", fault.Unavailable, "limits how much"},
		{"rateLimitExceeded", fault.Unavailable, "limits how much"},
		{"dailyLimitExceeded", fault.Denied, "in a day"},
		{"accessNotConfigured", fault.Denied, "Enable the Admin SDK API"},
		{"forbidden", fault.Denied, "needs an administrator's role"},
		{"insufficientPermissions", fault.Denied, scopeUsers},
	} {
		t.Run(c.reason, func(t *testing.T) {
			w := newWorld(t, nil)
			w.faults.Set(1, 0, sourcetest.Says(sourcetest.Answer{Status: http.StatusForbidden, Body: string(rig.Refusal(403, "", c.reason, "No."))}))
			_, err := w.open().Read(w.Context(), source.Request{}, func(*directory.Record) error { return nil })
			if fault.KindOf(err) != c.kind || !strings.Contains(fault.HintOf(err), c.hint) {
				t.Errorf("%v, hint %q", err, fault.HintOf(err))
			}
			if waited := w.clock.Waited() > 0; waited != (c.kind == fault.Unavailable) {
				t.Errorf("waited: %v", waited)
			}
		})
	}
}

func TestOnePersonIsFoundAndReadAsTheyAreNow(t *testing.T) {
	w := newWorld(t, setting.Values{"people": "groups", "groups.names": []string{"G"}})
	w.person("a", "/", map[string]any{"aliases": []any{"al@example.org"}, "relations": []any{map[string]any{"type": "manager", "value": "b@example.org"}}})
	w.person("b", "/", nil)
	w.group("g", "G", nested("h"))
	w.group("h", "H", person("a"))
	src := w.open()
	for who, want := range map[string]string{"al@example.org": "a>b", "a": "a>b", "b@example.org": "", "nobody@example.org": "", "Ann Ames": "", "": ""} {
		got := ""
		err := src.Look(w.Context(), who, nil, func(r *directory.Record) error {
			got = string(r.ID) + ">" + r.First("manager")
			return nil
		})
		if err != nil || got != want {
			t.Errorf("%q: %q, %v", who, got, err)
		}
	}
	found, err := src.Find(w.Context(), "b@example.org")
	if err != nil || len(found) != 1 || found[0].Clauses[0].Holds {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestSettingsThatCannotBeRight(t *testing.T) {
	key := account().File()
	for name, set := range map[string]setting.Values{
		"no key":                            {"key": nil},
		"a key in two places":               {"key_file": "x.json"},
		"a key that is no JSON":             {"key": "-----BEGIN PRIVATE KEY-----"},
		"a key of something else":           {"key": `{"type":"authorized_user"}`},
		"a key without PEM":                 {"key": strings.ReplaceAll(key, "BEGIN", "BEGONE")},
		"nobody to act for":                 {"subject": "admin"},
		"a unit that is neither":            {"org_units": []string{"Staff"}},
		"an expression that is none":        {"groups.include": "("},
		"an address that is not encrypted":  {"url": "http://admin.googleapis.com"},
		"a token address with credentials":  {"token_url": "https://a:b@oauth2.googleapis.com/token"},
		"no requests at once":               {"parallel": 0},
		"a file for the key that is absent": {"key": nil, "key_file": "absent.json"},
	} {
		t.Run(name, func(t *testing.T) {
			v := setting.Values{"key": key, "subject": admin}
			maps.Copy(v, set)
			_, err := Kind.Open(v, source.Env{Dir: t.TempDir()})
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("%v", err)
			}
			if err != nil && strings.Contains(err.Error(), "MII") {
				t.Error("the key is in the error")
			}
		})
	}
}

// Whatever Google writes of somebody is a record or an error, and keeps its ID.
func FuzzUser(f *testing.F) {
	f.Add(`{"id":"1","primaryEmail":"a@b","phones":[{"type":"work","value":"1"}],"customSchemas":{"a":{"b":[{"value":[[]]}]}}}`)
	f.Add(`{"id":"1","primaryEmail":"a@b","aliases":[null,1,{}],"relations":{"type":"manager"},"emails":[[{"address":{}}]]}`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := parseUser(json.RawMessage(raw))
		if err != nil {
			if fault.KindOf(err) != fault.Unavailable {
				t.Errorf("%v", err)
			}
			return
		}
		r := u.record(wishFor(nil), u.manager)
		if r.ID == "" || r.Ref != string(r.ID) || r.Name == "" {
			t.Errorf("%+v", r)
		}
	})
}

// Whatever a refusal says, it is told apart without a panic.
func FuzzRefusal(f *testing.F) {
	f.Add(string(rig.Refusal(403, "PERMISSION_DENIED", "quotaExceeded", "No.")))
	f.Add(`{"error":"invalid_grant","error_description":"x"}`)
	f.Add(`{"error":{"errors":[{}],"details":[{"reason":"SERVICE_DISABLED"}]}}`)
	f.Fuzz(func(t *testing.T, body string) {
		_ = refusal(http.StatusForbidden, http.Header{}, []byte(body))
		if _, err := parseKey(body); err == nil && errors.Is(err, nil) && !strings.Contains(body, "private_key") {
			t.Error("a key without a key")
		}
	})
}
