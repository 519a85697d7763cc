package entra

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/sourcetest"
)

// whole checks that what changes came to is what a full reading comes to.
func (w *world) whole(want ...string) {
	w.Helper()
	if got := slices.Sorted(maps.Keys(w.have)); strings.Join(got, " ") != strings.Join(want, " ") {
		w.Errorf("read: %v, want %v", got, want)
	}
	have, next := w.have, w.next
	w.have, w.next = map[string]string{}, nil
	w.read()
	for id, what := range w.have {
		if have[id] != what {
			w.Errorf("%s is %q by changes, and %q in full", id, have[id], what)
		}
	}
	w.have, w.next = have, next
}

// later lets some time pass and reads changes.
func (w *world) later() {
	w.Helper()
	w.clock.Pass(time.Hour)
	r := w.read()
	if r.Full {
		w.Errorf("everything was read: %q", r.Notes)
	}
}

func TestALargeGroupInPartsIsOneGroup(t *testing.T) {
	w := newWorld(t, nil)
	var all []string
	for n := range 11 {
		all = append(all, w.person(n, ""))
	}
	w.group("g1", "Large", all...)
	w.read()
	if got := w.have["g1"]; strings.Count(got, "|") != 10 {
		t.Errorf("%s", got)
	}
	w.group("g1", "Large", append(all[2:], "device1")...)
	w.later()
	if got := w.have["g1"]; strings.Count(got, "|") != 8 || strings.Contains(got, "device") {
		t.Errorf("%s", got)
	}
}

func TestSomebodySoftDeletedIsGoneAndComesBackIntoTheGroups(t *testing.T) {
	w := newWorld(t, nil)
	w.person(1, "")
	w.person(2, "")
	w.group("g1", "All", "p1", "p2")
	w.read()
	w.SoftDelete("p1")
	w.later()
	w.whole("g1", "p2")
	w.person(1, "")
	w.later()
	if w.have["p1"] == "" || !strings.Contains(w.have["g1"], "p1|p2") {
		t.Errorf("%v", w.have)
	}
	w.Purge("p1")
	w.later()
	if w.have["p1"] != "" || strings.Contains(w.have["g1"], "p1") {
		t.Errorf("%v", w.have)
	}
}

func TestManagersComeAlsoWhereDeltasAreSilentAboutThem(t *testing.T) {
	for _, silent := range []bool{false, true} {
		w := newWorld(t, nil)
		w.NoManagers = silent
		w.person(1, "")
		w.person(2, "p1")
		w.person(3, "p1")
		w.read()
		if !strings.Contains(w.have["p2"], "manager=p1") {
			t.Errorf("%q", w.have["p2"])
		}
		w.SetManager("p2", "p3")
		w.SetManager("p3", "")
		w.later()
		w.whole("p1", "p2", "p3")
		if !strings.Contains(w.have["p2"], "manager=p3") || strings.Contains(w.have["p3"], "manager") {
			t.Errorf("silent %v: %v", silent, w.have)
		}
	}
}

func TestGuestsAreReadByChoice(t *testing.T) {
	for _, guests := range []string{"exclude", "include"} {
		w := newWorld(t, setting.Values{"guests": guests})
		guest := func(id string, kind any) {
			w.PutUser(id, map[string]any{"userPrincipalName": id + "_example.org#EXT#@contoso.example", "accountEnabled": true, "userType": kind})
		}
		w.person(1, "")
		guest("p2", "Guest")
		guest("p3", nil)      // an old object
		guest("p4", "Member") // a guest's name, and a member none the less
		w.PutUser("p5", map[string]any{"userPrincipalName": "p5@contoso.example", "accountEnabled": true, "userType": nil})
		w.read()
		want := []string{"p1", "p4", "p5"}
		if guests == "include" {
			want = []string{"p1", "p2", "p3", "p4", "p5"}
		}
		w.whole(want...)
		guest("p4", "Guest")
		w.later()
		if _, there := w.have["p4"]; there != (guests == "include") {
			t.Errorf("guests %s: somebody who became one is there: %v", guests, there)
		}
		w.clock.Pass(25 * time.Hour)
		if r := w.read(); !r.Swept || len(w.have) != len(want)-map[string]int{"exclude": 1}[guests] {
			t.Errorf("guests %s: after a sweep there are %v", guests, w.have)
		}
	}
}

func TestWithNoGroupSelectedNobodyIsInAndItIsSaid(t *testing.T) {
	w := newWorld(t, setting.Values{"groups.include": nil, "people": "groups"})
	w.person(1, "")
	w.group("g1", "All", "p1")
	r := w.read()
	if r.Complete || !strings.Contains(r.Reason, "nobody is read") {
		t.Errorf("%+v", r)
	}
	if len(w.have) > 0 {
		t.Errorf("read that nobody selected: %v", w.have)
	}
	said := false
	w.open().Check(t.Context(), func(s source.Step) {
		said = said || s.Section == source.Groups && s.Verdict == source.Fail && strings.Contains(s.Detail, "nobody is read")
	})
	if !said {
		t.Error("the check does not say so")
	}
}

func TestASelectionThatMatchesNoGroupRemovesNobody(t *testing.T) {
	w := newWorld(t, setting.Values{"groups.include": "^Typo"})
	w.person(1, "")
	w.group("g1", "All", "p1")
	if r := w.read(); r.Complete || !strings.Contains(r.Reason, "matches none of 1 group") {
		t.Errorf("%+v", r)
	}
}

// A group that is set by its name and renamed takes nobody's account along.
func TestAGroupThatIsNamedAndNotThereRemovesNobody(t *testing.T) {
	for name, c := range map[string]struct {
		set  setting.Values
		do   func(w *world)
		says string
	}{
		"renamed":            {setting.Values{"groups.names": []string{"One", "Two"}}, func(w *world) { w.group("g2", "Deux", "p2") }, `called "Two"`},
		"of another case":    {setting.Values{"groups.names": []string{"One", "Two"}}, func(w *world) { w.group("g2", "two", "p2") }, `called "Two"`},
		"deleted":            {setting.Values{"groups.names": []string{"One"}, "groups.ids": []string{"G2"}}, func(w *world) { w.RemoveGroup("g2") }, `the ID "G2"`},
		"deleted in silence": {setting.Values{"groups.ids": []string{"g1", "g2"}}, func(w *world) { w.RemoveGroup("g2"); w.Forget("g2"); w.clock.Pass(25 * time.Hour) }, `the ID "g2"`},
	} {
		t.Run(name, func(t *testing.T) {
			c.set["groups.include"] = nil
			w := newWorld(t, c.set)
			w.person(1, "")
			w.person(2, "")
			w.group("g1", "One", "p1")
			w.group("g2", "Two", "p2")
			if r := w.read(); !r.Complete {
				t.Fatal(r.Reason)
			}
			c.do(w)
			for range 3 { // it is not forgotten at the next reading
				if r := w.read(); r.Full || r.Complete || !strings.Contains(r.Reason, c.says) {
					t.Errorf("full %v, complete %v: %s", r.Full, r.Complete, r.Reason)
				}
			}
			w.have, w.next = map[string]string{}, nil
			if r := w.read(); !r.Full || r.Complete || !strings.Contains(r.Reason, c.says) {
				t.Errorf("full %v, complete %v: %s", r.Full, r.Complete, r.Reason)
			}
			w.group("g2", "Two", "p2")
			if r := w.read(); !r.Complete {
				t.Errorf("it is back: %s", r.Reason)
			}
		})
	}
}

func TestGroupsAreSelected(t *testing.T) {
	for _, c := range []struct {
		name string
		set  setting.Values
		want string
	}{
		{"by a regular expression", setting.Values{"groups.include": "^App-"}, "g1 g2"},
		{"but for some", setting.Values{"groups.include": "^App-", "groups.exclude": "Two$"}, "g1"},
		{"by full names", setting.Values{"groups.include": nil, "groups.names": []string{"App-Two"}}, "g2"},
		{"by IDs, whatever their case", setting.Values{"groups.include": nil, "groups.ids": []string{"G3"}}, "g3"},
		{"by any of these", setting.Values{"groups.include": "One", "groups.names": []string{"Other"}}, "g1 g3"},
		{"with those in them", setting.Values{"groups.include": "^Nest"}, "g2 g4 g5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.set)
			w.group("g1", "App-One")
			w.group("g2", "App-Two")
			w.group("g3", "Other")
			w.group("g4", "Nest", "g5")
			w.group("g5", "Inner", "g2", "g4")
			if r := w.read(); !r.Complete {
				t.Error(r.Reason)
			}
			w.whole(strings.Fields(c.want)...)
		})
	}
}

func TestGroupsInGroupsFollowEachChange(t *testing.T) {
	w := newWorld(t, setting.Values{"groups.include": "^App"})
	w.person(1, "")
	w.group("g1", "App", "g2")
	w.group("g2", "Inner", "p1")
	w.group("g3", "Far", "g4")
	w.group("g4", "Farther", "p1")
	w.read()
	w.whole("g1", "g2", "p1")
	for _, step := range []struct {
		name string
		do   func()
		want string
	}{
		{"a group comes into one that is in a selected one, with one in it", func() { w.group("g2", "Inner", "p1", "g3") }, "g1 g2 g3 g4 p1"},
		{"nothing changes", func() {}, "g1 g2 g3 g4 p1"},
		{"a member of the innermost one changes", func() { w.group("g4", "Farther") }, "g1 g2 g3 g4 p1"},
		{"a group out of sight changes", func() { w.group("g5", "Elsewhere", "p1", "g4") }, "g1 g2 g3 g4 p1"},
		{"it leaves again", func() { w.group("g2", "Inner", "p1") }, "g1 g2 p1"},
		{"one of them is renamed to be selected", func() { w.group("g3", "App-Far", "g4") }, "g1 g2 g3 g4 p1"},
		{"and out again", func() { w.group("g3", "Far", "g4") }, "g1 g2 p1"},
		{"a nested one is selected by its name too", func() { w.group("g2", "App-Inner", "p1") }, "g1 g2 p1"},
		{"and stays when the outer one goes", func() { w.RemoveGroup("g1") }, "g2 p1"},
		{"a change that no delta tells of is found by the sweep", func() {
			w.group("g6", "App-New", "g4")
			w.Forget("g6")
			w.clock.Pass(25 * time.Hour)
		}, "g2 g4 g6 p1"},
		{"a removal as well", func() {
			w.RemoveGroup("g6")
			w.Forget("g6")
			w.clock.Pass(25 * time.Hour)
		}, "g2 p1"},
	} {
		step.do()
		w.later()
		t.Log(step.name)
		w.whole(strings.Fields(step.want)...)
	}
}

func TestASilentDeltaIsFoundOut(t *testing.T) {
	w := newWorld(t, nil)
	w.Silent = true
	for n := range 20 {
		w.person(n, "")
	}
	w.group("g1", "All", "p1", "p2")
	w.read()
	if len(w.have) != 21 || !strings.Contains(w.have["g1"], "p1|p2") {
		t.Errorf("%v", w.have)
	}
	w.person(20, "")
	w.Purge("p0")
	w.later()
	if len(w.have) != 21 {
		t.Errorf("a delta that is silent changed %d", len(w.have))
	}
	w.clock.Pass(25 * time.Hour)
	if r := w.read(); !r.Swept || w.have["p20"] == "" || w.have["p0"] != "" {
		t.Errorf("after a sweep: %v", w.have)
	}
}

func TestWhenEverythingIsReadAgain(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(w *world)
		note string
	}{
		{"the state is gone (410)", func(w *world) { w.ForgetStates() }, "does not know the state"},
		{"the state is not found (400)", func(w *world) { w.LostAs = http.StatusBadRequest; w.ForgetStates() }, "does not know the state"},
		{"seven days passed", func(w *world) { w.set["sync.full_every"] = 30 * 24 * time.Hour; w.clock.Pass(7 * 24 * time.Hour) }, "seven days"},
		{"it is time", func(w *world) { w.set["sync.full_every"] = time.Minute; w.clock.Pass(time.Hour) }, "sync.full_every"},
		{"more is mapped", func(w *world) { w.attrs = append(w.attrs, "department") }, "wanted than at the last reading"},
		{"other groups are selected", func(w *world) { w.set["groups.exclude"] = "x" }, "wanted than at the last reading"},
		{"guests are wanted", func(w *world) { w.set["guests"] = "include" }, "wanted than at the last reading"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.person(1, "")
			w.read()
			w.SoftDelete("p1")
			w.person(2, "")
			c.do(w)
			r := w.read()
			if !r.Full || !strings.Contains(strings.Join(r.Notes, " "), c.note) {
				t.Errorf("full %v, %q", r.Full, r.Notes)
			}
			w.whole("p2")
		})
	}
}

func TestOnlyWhatIsMappedIsAskedFor(t *testing.T) {
	s := &settings{manager: true}
	w := s.wishFor([]string{"GIVENNAME", "onPremisesExtensionAttributes.extensionAttribute1", "manager", "extension_0a_badge", "passwordProfile", "hireDate", "no such thing"})
	if got := w.selectUser(); got != "id,accountEnabled,displayName,extension_0a_badge,givenName,onPremisesExtensionAttributes,userPrincipalName,userType" {
		t.Error(got)
	}
	if !w.manager || strings.Join(w.unknown, ";") != "hireDate;no such thing" {
		t.Errorf("%+v", w)
	}
	if w := (&settings{}).wishFor([]string{"manager"}); w.manager {
		t.Error("managers are read, though they are off")
	}
	if w := s.wishFor(nil); !slices.Contains(w.properties, "department") || slices.ContainsFunc(w.properties, directory.Secret) {
		t.Errorf("all that lists have: %v", w.properties)
	}
}

func TestAnAccountOfWhichNobodyKnowsWhetherItIsEnabledIsLeftAlone(t *testing.T) {
	w := newWorld(t, nil)
	w.PutUser("p1", map[string]any{"userPrincipalName": "p1@contoso.example", "accountEnabled": nil})
	w.read()
	if !strings.Contains(w.have["p1"], "does not say whether the account is enabled") {
		t.Error(w.have["p1"])
	}
}

func TestAMissingPermissionIsNamedBeforeAnythingIsRead(t *testing.T) {
	for _, c := range []struct {
		name  string
		roles []string
		want  string // "" where nothing is missing
	}{
		{"none at all", nil, "User.Read.All and GroupMember.Read.All"},
		{"that for groups", []string{"User.Read.All"}, "GroupMember.Read.All"},
		{"that for people", []string{"Group.Read.All", "User.Export.All"}, "User.Read.All"},
		{"nothing: one does for all", []string{"Directory.Read.All"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.Roles = c.roles
			w.person(1, "")
			_, err := w.try()
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if fault.KindOf(err) != fault.Denied || !strings.Contains(err.Error(), c.want) || w.faults.Seen() != 0 {
				t.Errorf("%v after %d requests", err, w.faults.Seen())
			}
			w.Roles = []string{"Directory.Read.All"}
			if _, err := w.try(); err != nil {
				t.Errorf("consent was given since, and %v", err)
			}
		})
	}
}

func TestRefusedTokensSayWhatToDo(t *testing.T) {
	for _, c := range []struct {
		name string
		set  setting.Values
		want string
	}{
		{"a wrong secret, which is repeated to us", setting.Values{"client_secret": "the~wrong~one"}, "not its ID"},
		{"another application", setting.Values{"client_id": "99999999-2222-3333-4444-555555555555"}, "no such application"},
		{"another tenant", setting.Values{"tenant": "other.example"}, "no such tenant"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.set)
			_, err := w.try()
			if fault.KindOf(err) != fault.Denied || !strings.Contains(fault.HintOf(err), c.want) || !strings.Contains(err.Error(), "AADSTS") {
				t.Errorf("%v (%s)", err, fault.HintOf(err))
			}
			if strings.Contains(err.Error(), "the~wrong~one") || strings.Contains(err.Error(), secret) {
				t.Errorf("a secret is in %v", err)
			}
		})
	}
}

func TestALinkToAnotherHostIsNotFollowed(t *testing.T) {
	w := newWorld(t, nil)
	for _, link := range []string{"https://evil.example/v1.0/users", "//evil.example/x", "http://evil.example@127.0.0.1/", "/v1.0/users?$top=1", ""} {
		w.faults.Set(1, 0, sourcetest.Instead(`{"value": [], "@odata.nextLink": "`+link+`"}`))
		if _, err := w.try(); err == nil {
			t.Errorf("%q is followed", link)
		}
		if w.faults.Seen() > 3 {
			t.Errorf("%q: %d requests", link, w.faults.Seen())
		}
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for _, c := range []struct {
		name string
		set  setting.Values
		want string
	}{
		{"no tenant", setting.Values{"tenant": nil}, "tenant"},
		{"a tenant that is none", setting.Values{"tenant": "common"}, "stands for no single tenant"},
		{"a tenant with a path in it", setting.Values{"tenant": "a/../b"}, "neither an ID nor a domain"},
		{"neither secret nor certificate", setting.Values{"client_secret": nil}, "0 are set"},
		{"both", setting.Values{"certificate": "x"}, "2 are set"},
		{"a page too large", setting.Values{"sync.page_size": 1000}, "1 to 999"},
		{"an expression that is none", setting.Values{"groups.include": "("}, "groups.include"},
		{"no certificate in it", setting.Values{"client_secret": nil, "certificate": "hello"}, "certificate"},
		{"a certificate file that is not there", setting.Values{"client_secret": nil, "certificate_file": "gone.pem"}, "certificate_file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.set)
			_, err := Kind.Open(w.set, source.Env{Dir: t.TempDir(), Guard: sourcetest.Loopback})
			if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
	for _, name := range []string{"graph_url", "login_url"} {
		w := newWorld(t, setting.Values{"graph_url": "https://graph.example", "login_url": "https://login.example", name: "http://else.example"})
		if _, err := Kind.Open(w.set, source.Env{Dir: t.TempDir()}); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "only https") {
			t.Errorf("%s without encryption: %v", name, err)
		}
	}
	for cloud, hosts := range clouds {
		v := setting.Values{"tenant": "t", "client_id": "c", "client_secret": "s", "cloud": cloud}
		src, err := Kind.Open(v, source.Env{})
		if err != nil || src.(*tenant).set.loginURL != hosts[0] || src.(*tenant).set.graphURL != hosts[1] {
			t.Errorf("%s: %v", cloud, err)
		}
	}
}

func FuzzPage(f *testing.F) {
	for _, seed := range []string{
		`{"value":[{"id":"x","accountEnabled":true,"@removed":{"reason":"changed"},"members@delta":[{"id":"m"}],"manager":{"id":"n"}}],"@odata.nextLink":"x"}`,
		`{"value":null}`, `{"value":[null]}`, `{"value":[{"id":""}]}`, `[]`, `{"value":[{"id":"x","businessPhones":["1",{"a":[{"b":1.5}]}],"manager@delta":null}]}`,
	} {
		f.Add([]byte(seed))
	}
	w := (&settings{manager: true}).wishFor(nil)
	f.Fuzz(func(t *testing.T, b []byte) {
		var p page
		if json.Unmarshal(b, &p) != nil || p.Value == nil {
			return
		}
		for _, it := range *p.Value {
			other := it
			other.over(it)
			if r := other.user(w, other.lastManager(other.manager)); r.ID == "" || r.Name == "" {
				t.Errorf("%q gives %+v", b, r)
			}
			if r := it.group(nil); r.ID == "" || len(r.Attributes) == 0 || r.Attributes[0].Name != "displayName" {
				t.Errorf("%q gives %+v", b, r)
			}
		}
	})
}
