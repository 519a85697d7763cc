package ldap

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/samba"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/simulator"
	"rollcall.dev/rollcall/internal/source"
)

// Of two domain controllers of one domain the second has what the first one had when it
// pulled.
func TestNobodyIsGoneBecauseADomainControllerLags(t *testing.T) {
	first, err := samba.Start(t.Context(), samba.Options{Replicated: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = first.Stop() })
	second, err := first.Join(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = second.Stop() })
	for i, method := range []string{methodDirSync, methodUSN, methodStamp} {
		t.Run(method, func(t *testing.T) { oneLags(t, first, second, method, fmt.Sprintf("late%d", i)) })
	}
	t.Run("what came while it was read counts", func(t *testing.T) { whatCameMeanwhileCounts(t, first, second) })
	t.Run("what has nothing to do with people does not", func(t *testing.T) { unrelatedChangesDoNot(t, first, second) })
}

// hireAt adds a person to a domain controller.
func hireAt(t *testing.T, s *samba.Server, name string) {
	t.Helper()
	admin, err := s.Admin()
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	add := goldap.NewAddRequest("CN="+name+",OU=people,"+s.Base, nil)
	add.Attribute("objectClass", []string{"user"})
	add.Attribute("sAMAccountName", []string{name})
	if err := admin.Add(add); err != nil {
		t.Fatal(err)
	}
}

func readsFrom(method string, servers ...*samba.Server) setting.Values {
	var addr []string
	for _, s := range servers {
		addr = append(addr, s.URL)
	}
	s := servers[0]
	return setting.Values{"addr": addr, "bind_dn": s.ReaderDN, "bind_password": s.ReaderPassword, "base_dn": "OU=people," + s.Base, "sync.method": method}
}

func (f *follower) knows(name string) bool {
	for _, r := range f.picture {
		if r.First("sAMAccountName") == name {
			return true
		}
	}
	return false
}

func pull(t *testing.T, to, from *samba.Server) {
	t.Helper()
	if err := to.Pull(t.Context(), from); err != nil {
		t.Fatal(err)
	}
}

func resume(t *testing.T, s *samba.Server) {
	t.Helper()
	if err := s.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func oneLags(t *testing.T, first, second *samba.Server, method, name string) {
	f := follow(t, readsFrom(method, first, second), "sAMAccountName")
	f.read()
	hireAt(t, first, name)
	f.follows(method)

	// The one that is behind is passed over for the one that is not.
	f.v = readsFrom(method, second, first)
	f.now = f.now.Add(time.Hour)
	if got := f.read(); got.Method != method || !f.knows(name) {
		t.Error("who was read before is gone")
	}

	first.Halt()
	f.now = f.now.Add(time.Hour)
	got, err := f.try()
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "and the last reading was of change ") || !strings.Contains(fault.HintOf(err), "until it has caught up") {
		t.Errorf("%s, %v, %s", show(got), err, fault.HintOf(err))
	}
	resume(t, first)

	pull(t, second, first)
	first.Halt()
	f.now = f.now.Add(8 * 24 * time.Hour)
	if got := f.read(); !got.Full || !got.Complete || !f.knows(name) || len(got.Notes) != 1 {
		t.Errorf("when it has caught up: %s, %v", show(got), f.knows(name))
	}
	resume(t, first)

	// And the other way round.
	name += "b"
	hireAt(t, second, name)
	f.now = f.now.Add(time.Hour)
	if f.read(); !f.knows(name) {
		t.Error("who was added at the second is not there")
	}
	f.v = readsFrom(method, first)
	f.now = f.now.Add(8 * 24 * time.Hour)
	if got, err := f.try(); err == nil {
		t.Errorf("from the first, which does not know of it: %s", show(got))
	}
	pull(t, first, second)
	if got := f.read(); !got.Complete || !f.knows(name) {
		t.Errorf("when the first has caught up: %s", show(got))
	}
}

func whatCameMeanwhileCounts(t *testing.T, first, second *samba.Server) {
	pull(t, second, first)
	came := false
	got, err := mustOpen(t, readsFrom(methodDirSync, first)).Read(t.Context(), source.Request{}, func(*directory.Record) error {
		if !came {
			hireAt(t, first, "meanwhile")
		}
		came = true
		return nil
	})
	if err != nil || !came {
		t.Fatal(show(got), err)
	}
	again := func() error {
		req := source.Request{From: got.Next, Anew: func() error { return nil }}
		_, err := mustOpen(t, readsFrom(methodDirSync, second)).Read(t.Context(), req, func(*directory.Record) error { return nil })
		return err
	}
	var late *lagging
	if err := again(); !errors.As(err, &late) {
		t.Errorf("from the one that has what was there before: %v", err)
	}
	pull(t, second, first)
	if err := again(); err != nil {
		t.Errorf("from the one that has all: %v", err)
	}
}

func unrelatedChangesDoNot(t *testing.T, first, second *samba.Server) {
	f := follow(t, readsFrom(methodDirSync, first), "sAMAccountName")
	f.read()
	pull(t, second, first)
	admin, err := first.Admin()
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	change := goldap.NewModifyRequest("CN=Sites,CN=Configuration,"+first.Base, nil)
	change.Replace("description", []string{"changed"})
	if err := admin.Modify(change); err != nil {
		t.Fatal(err)
	}
	f.follows(methodDirSync)
	f.v = readsFrom(methodDirSync, second)
	if got := f.read(); !got.Complete || len(f.picture) == 0 {
		t.Error(show(got))
	}
}

func TestADomainControllerThatShowsNothingOfItsReplicationIsNotHeldAgainst(t *testing.T) {
	first := &simulator.ActiveDirectory{Suffix: "dc=example,dc=org"}
	c := foundCompany(t, first, 20)
	second := simulate(t, simulator.Options{Personality: first.Another("dc2", 50000), Tree: c.Tree})
	f := follow(t, c.settings(setting.Values{"sync.method": methodDirSync}), "cn", "mail", "title")
	if got := f.read(); len(got.Notes) > 0 {
		t.Error(show(got))
	}
	f.v["addr"] = []string{second.URL}
	if got := f.follows(methodDirSync); len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "cannot be told") {
		t.Error(show(got))
	}
	if got := f.follows(methodDirSync); len(got.Notes) > 0 {
		t.Errorf("when it is the one that was read before: %s", show(got))
	}
}

func TestWhatADomainControllerShowsOfItsReplicationIsKept(t *testing.T) {
	id := strings.Repeat("A", 16) // which is text as well
	const context = "41414141-4141-4141-4141-414141414141"
	cursor := context + "/cfc84745-7ec5-45ea-8551-4377a4930d71 0000000000000fa5"
	own := "!" + context + "/" + context + " 0000000000000064"
	for _, c := range []struct {
		name, capability, vector string
		code                     int
		want                     []string
	}{
		{"its own changes and those of others", "", vectorOf(t, vectorOfSamba), 0, []string{own, cursor}},
		{"a read-only one has no changes of its own", oidReadOnly, vectorOf(t, vectorOfSamba), 0, []string{cursor}},
		{"what its vector says of itself is older", "", "\x01" + strings.Repeat("\x00", 7) + "\x01" + strings.Repeat("\x00", 7) + id + "\x01" + strings.Repeat("\x00", 7), 0, []string{own}},
		{"no vector", "", "", 0, []string{own}},
		{"garbage for a vector", "", "garbage", 0, []string{own}},
		{"its naming context is not shown", "", "", codeInsufficientAccess, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := maps.Clone(adRoot)
			root["highestCommittedUSN"], root["dsServiceName"] = []string{"100"}, []string{"CN=S,CN=Configuration,DC=x"}
			root["supportedCapabilities"] = []string{oidActiveDirectory, c.capability}
			f := startFake(t, root, func(fc *fakeConn, q request) bool {
				switch {
				case slices.Contains(q.attributes, "invocationId"):
					fc.entry(q.base, "invocationId", id)
				case slices.Contains(q.attributes, "replUpToDateVector") && c.code != 0:
					fc.done(c.code, "")
					return true
				case slices.Contains(q.attributes, "replUpToDateVector"):
					fc.entry(q.base, objectGUID, id, "replUpToDateVector", c.vector)
				default:
					fc.entry("CN=a,DC=x", objectGUID, id)
				}
				fc.done(0, "")
				return true
			})
			got := mustRead(t, mustOpen(t, f.settings(setting.Values{"sync.method": methodUSN})), "cn")
			b, err := decodeBookmark(got.Next)
			if err != nil || !slices.Equal(b.State, c.want) {
				t.Errorf("%q, %v, %s", b.State, err, show(got.Reading))
			}
		})
	}
}

func TestVectorsAreComparedControllerByController(t *testing.T) {
	const (
		here, there = "c1/", "c2/" // naming contexts
		low, high   = " 00000000000000ff", " 0000000000000a00"
	)
	for _, c := range []struct {
		name      string
		then, now []string
		behind    bool
	}{
		{"the controller that was read, later", []string{"!" + here + "a" + low}, []string{"!" + here + "a" + high}, false},
		{"the controller that was read, restored", []string{"!" + here + "a" + high}, []string{"!" + here + "a" + low}, true},
		{"another one that has all", []string{"!" + here + "a" + high, here + "b" + low}, []string{"!" + here + "b" + low, here + "a" + high}, false},
		{"another one that lacks changes of the one that was read", []string{"!" + here + "a" + high}, []string{"!" + here + "b" + high, here + "a" + low}, true},
		{"another one that lacks changes of a third", []string{"!" + here + "a" + low, here + "c" + high}, []string{"!" + here + "b" + high, here + "a" + low, here + "c" + low}, true},
		{"one that was part of the vector and was restored", []string{"!" + here + "a" + low, here + "b" + high}, []string{"!" + here + "b" + low, here + "a" + low}, true},
		{"one that has heard nothing of the one that was read", []string{"!" + here + "a" + low}, []string{"!" + here + "b" + high, here + "c" + high}, true},
		{"one that has heard of nobody", []string{"!" + here + "a" + low, here + "b" + low}, []string{"!" + here + "b" + high}, true},
		{"one that shows no vector", []string{"!" + here + "a" + high}, []string{"!" + here + "b" + low}, false},
		{"one that does not know of a controller that was retired", []string{"!" + here + "a" + low, here + "x" + high}, []string{"!" + here + "b" + low, here + "a" + low}, false},
		{"the one that was read, restored from a backup under another ID, before it caught up", []string{"!" + here + "a" + high}, []string{"!" + here + "a2" + low, here + "a" + low}, true},
		{"the same when it has caught up", []string{"!" + here + "a" + high}, []string{"!" + here + "a2" + low, here + "a" + high}, false},
		{"a read-only one was read, which nobody hears of", []string{here + "a" + low}, []string{"!" + here + "b" + low, here + "a" + high}, false},
		{"a read-only one is read, and has all", []string{"!" + here + "a" + low}, []string{here + "a" + low}, false},
		{"a read-only one is read, and lags", []string{"!" + here + "a" + high}, []string{here + "a" + low}, true},
		{"another domain", []string{"!" + here + "a" + high, here + "c" + high}, []string{"!" + there + "b" + low, there + "c" + low}, false},
		{"one of two naming contexts lags", []string{"!" + here + "a" + low, "!" + there + "a" + high}, []string{here + "a" + low, there + "a" + low}, true},
	} {
		if was, is, got := behind(c.then, c.now); got != c.behind {
			t.Errorf("%s: %v (%s, %s)", c.name, got, was, is)
		}
	}
	was, is, _ := behind([]string{"!c/a 0000000000000a00"}, []string{"c/a 00000000000000ff"})
	if was != "change 2560 of the domain controller with the invocation ID a" || is != "change 255 of the domain controller with the invocation ID a" {
		t.Errorf("%q, %q", was, is)
	}
}

// vectorOfSamba is what Samba 4.17 answered.
const vectorOfSamba = "02000000000000000100000000000000" + "4547c8cfc57eea4585514377a4930d71" + "a50f000000000000" + "00803ed5deb19d01"

func vectorOf(t *testing.T, text string) string {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestVectorsAreDecoded(t *testing.T) {
	cursor := vectorOfSamba[32:80]
	for _, c := range []struct {
		name, text string
		want       int
	}{
		{"version 2", vectorOfSamba, 1},
		{"version 1", "01000000000000000200000000000000" + cursor + cursor, 2},
		{"without cursors", vectorOfSamba[:16] + "0000000000000000", 0},
		{"another version", "03" + vectorOfSamba[2:], 0},
		{"cut short", vectorOfSamba[:len(vectorOfSamba)-2], 0},
		{"with something after it", vectorOfSamba + "00", 0},
		{"of more cursors than there are", vectorOfSamba[:16] + "ffffffff" + vectorOfSamba[24:], 0},
		{"nothing", "", 0},
	} {
		got := decodeVector(vectorOf(t, c.text))
		if len(got) != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
		for _, x := range got {
			if x != (seenOf{"cfc84745-7ec5-45ea-8551-4377a4930d71", 4005}) {
				t.Errorf("%s: %v", c.name, x)
			}
		}
	}
}

func FuzzVector(f *testing.F) {
	for _, text := range []string{vectorOfSamba, "01000000000000000000000000000000", ""} {
		b, err := hex.DecodeString(text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, v string) {
		for _, x := range decodeVector(v) {
			text := "c/" + x.invocation + " 0000000000000000"
			m, ok := parseMark(text)
			if !ok || m.origin != x.invocation || len(x.invocation) != 36 {
				t.Errorf("%q gives %+v", v, m)
			}
		}
	})
}

func FuzzMarks(f *testing.F) {
	f.Add("20261124001500.123456Z#000000#001#000000", "!c/a 0000000000000fa5")
	f.Add("/ x", "!/ ")
	f.Fuzz(func(t *testing.T, a, b string) {
		if _, _, late := behind([]string{a}, []string{a}); late {
			t.Errorf("%q is behind itself", a)
		}
		if _, _, late := behind([]string{a}, []string{b}); late {
			if _, _, also := behind([]string{b}, []string{a}); also {
				t.Errorf("%q and %q are behind each other", a, b)
			}
		}
		for _, m := range parseMarks([]string{a, b}) {
			_ = m.String()
		}
	})
}
