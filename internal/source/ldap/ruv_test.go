package ldap

import (
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/rig/dirsrv"
	"rollcall.dev/rollcall/internal/setting"
)

func TestNobodyIsGoneBecauseAReplicaOf389DirectoryServerLags(t *testing.T) {
	var both [2]*dirsrv.Server
	for i := range both {
		s, err := dirsrv.Start(t.Context(), dirsrv.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Stop() })
		both[i] = s
	}
	first, second := both[0], both[1]
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(first.Supply(t.Context(), second))
	f := follow(t, setting.Values{"addr": []string{first.URL, second.URL}, "bind_dn": first.ReaderDN, "bind_password": first.ReaderPassword, "base_dn": "ou=people," + first.Base}, "uid")
	f.read()
	do(first.Hold(t.Context(), true))
	do(first.Modify(t.Context(), "dn: uid=new,ou=people,"+first.Base+"\nobjectClass: inetOrgPerson\nuid: new\ncn: New\nsn: New\n"))
	f.follows(methodSync)
	first.Halt()
	f.now = f.now.Add(time.Hour)
	if got, err := f.try(); err == nil || !strings.Contains(err.Error(), "and the last reading was of 20") {
		t.Errorf("%s, %v", show(got), err)
	}
	do(first.Resume(t.Context()))
	do(first.Hold(t.Context(), false))
	do(first.CatchUp(t.Context(), second))
	first.Halt()
	if got := f.read(); !got.Complete || len(f.picture) != 1 {
		t.Errorf("when it has caught up: %s", show(got))
	}
}

func TestUpdateVectorsOfReplicasAreRead(t *testing.T) {
	const generation, early, late = "6b050ab7000000010000", "6b050ad5000000010000", "6b050ad6000000010000"
	for _, c := range []struct {
		name   string
		values []string
		want   []string
	}{
		{"two replicas", []string{"{replicageneration} " + generation, "{replica 1 ldap://a:389} " + early + " " + late, "{replica 2 ldap://b:389} " + early + " " + early},
			[]string{generation + "/1 " + late, generation + "/2 " + early}},
		{"one that has made no change, and one without an address", []string{"{replica 1 ldap://a:389}", "{replicageneration} " + generation, "{replica 7} " + early + " " + late + " 6b050ad6"},
			[]string{generation + "/7 " + late}},
		{"no generation", []string{"{replica 1 ldap://a:389} " + early + " " + late}, nil},
		{"something else", []string{"{replicageneration} x", "{replica 1 ldap://a:389} x y", ""}, nil},
	} {
		if got := replicaMarks(c.values); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", c.name, got)
		}
	}
	was, is, ok := behind([]string{generation + "/1 " + late}, []string{generation + "/1 " + early})
	if !ok || was != "2026-11-24 03:56:06 UTC" || is != "2026-11-24 03:56:05 UTC" {
		t.Errorf("%s, %s, %v", was, is, ok)
	}
	if _, _, ok := behind([]string{generation + "/1 " + late}, []string{early + "/1 " + early}); ok {
		t.Error("a directory that was set up anew is held to be behind the one before")
	}
}

func FuzzReplicaMarks(f *testing.F) {
	f.Add("{replicageneration} 6b050ab7000000010000", "{replica 1 ldap://a:389} 6b050ad5000000010000 6b050ad6000000010000")
	f.Fuzz(func(t *testing.T, a, b string) {
		marks := replicaMarks([]string{a, b})
		if len(parseMarks(marks)) != len(marks) {
			t.Errorf("%q and %q give %q", a, b, marks)
		}
		for _, m := range parseMarks(marks) {
			_ = m.String()
		}
	})
}
