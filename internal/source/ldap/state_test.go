package ldap

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/rig/openldap"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// twoOfOneDirectory starts two servers with the same content; what is changed on one
// the other is never told.
func twoOfOneDirectory(t *testing.T) (first, second *openldap.Server) {
	t.Helper()
	folders := []string{filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")}
	s := startOpenLDAP(t, 30, openldap.Options{Dir: folders[0], MapSize: 16 << 20})
	modify(t, s, "dn: uid=u0001,PEOPLE\nchangetype: modify\nreplace: mail\nmail: first@example.org\n")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(folders[1], os.DirFS(folders[0])); err != nil {
		t.Fatal(err)
	}
	if err := filepath.WalkDir(filepath.Join(folders[1], "conf"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text = bytes.ReplaceAll(text, []byte("\n "), nil) // long lines are folded
		return os.WriteFile(path, bytes.ReplaceAll(text, []byte(folders[0]), []byte(folders[1])), 0o600)
	}); err != nil {
		t.Fatal(err)
	}
	var out [2]*openldap.Server
	for i, dir := range folders {
		s, err := openldap.Start(t.Context(), openldap.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Stop() })
		out[i] = s
	}
	return out[0], out[1]
}

func TestNobodyIsGoneBecauseAServerIsToldOfChangesLate(t *testing.T) {
	for _, method := range []string{methodSync, methodStamp} {
		t.Run(method, func(t *testing.T) {
			first, second := twoOfOneDirectory(t)
			f := follow(t, rigSettings(first, setting.Values{"sync.method": method, "addr": []string{first.URL, second.URL}}), "uid", "mail")
			f.read()
			modify(t, first, "dn: uid=new,PEOPLE\nchangetype: add\nobjectClass: inetOrgPerson\nuid: new\ncn: New\nsn: New\nmail: n@example.org\n")
			f.follows(method)
			if err := first.Stop(); err != nil {
				t.Fatal(err)
			}
			f.now = f.now.Add(time.Hour)
			if got, err := f.try(); err == nil || !strings.Contains(err.Error(), "and the last reading was of") {
				t.Fatalf("%s, %v", show(got), err)
			}
			modify(t, second, "dn: uid=u0001,PEOPLE\nchangetype: modify\nreplace: mail\nmail: second@example.org\n")
			f.now = f.now.Add(time.Hour)
			if got := f.read(); !got.Complete {
				t.Errorf("when it is ahead: %s", show(got))
			}
		})
	}
}

func TestWhereEverythingIsReadEachTimeNobodyIsGoneEither(t *testing.T) {
	first, second := twoOfOneDirectory(t)
	f := follow(t, rigSettings(first, setting.Values{"sync.method": methodOff, "addr": []string{first.URL, second.URL}}), "uid")
	f.read()
	modify(t, first, "dn: uid=new,PEOPLE\nchangetype: add\nobjectClass: inetOrgPerson\nuid: new\ncn: New\nsn: New\n")
	if got := f.read(); !got.Full || !got.Complete || len(got.Notes) > 0 {
		t.Error(show(got))
	}
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	var late *lagging
	if got, err := f.try(); !errors.As(err, &late) {
		t.Errorf("%s, %v", show(got), err)
	}
	f.v["sync.method"] = methodAuto
	modify(t, second, "dn: uid=u0001,PEOPLE\nchangetype: modify\nreplace: mail\nmail: second@example.org\n")
	if got := f.read(); !got.Full || !strings.Contains(strings.Join(got.Notes, " "), "changes were not followed until now") {
		t.Error(show(got))
	}
}

func TestAServerMustHaveWhatCameWhileAnotherWasRead(t *testing.T) {
	first, second := twoOfOneDirectory(t)
	came := false
	got, err := mustOpen(t, rigSettings(first, nil)).Read(t.Context(), source.Request{Attributes: []string{"uid"}}, func(*directory.Record) error {
		if !came {
			modify(t, first, "dn: uid=meanwhile,PEOPLE\nchangetype: add\nobjectClass: inetOrgPerson\nuid: meanwhile\ncn: New\nsn: New\n")
		}
		came = true
		return nil
	})
	if err != nil || !came {
		t.Fatal(show(got), err)
	}
	req := source.Request{From: got.Next, Attributes: []string{"uid"}}
	var late *lagging
	if got, err := mustOpen(t, rigSettings(second, nil)).Read(t.Context(), req, func(*directory.Record) error { return nil }); !errors.As(err, &late) {
		t.Errorf("from the one that has what was there before: %s, %v", show(got), err)
	}
}

func TestStatesAreComparedServerByServer(t *testing.T) {
	const early, late = "20261124001500.000001Z#000000#", "20261124001500.000002Z#000000#"
	for _, c := range []struct {
		name      string
		then, now string
		behind    bool
	}{
		{"the same", early + "000#000000", early + "000#000000", false},
		{"later", early + "000#000000", late + "000#000000", false},
		{"earlier", late + "000#000000", early + "000#000000", true},
		{"one of two is earlier", early + "001#000000 " + late + "002#000000", late + "001#000000 " + early + "002#000000", true},
		{"changes are made on another server now", late + "001#000000", early + "002#000000", false},
		{"nothing was known", "", early + "000#000000", false},
		{"nothing is shown", late + "000#000000", "", false},
		{"what is none", "x#y#000#z", "a#b#000#c", false},
	} {
		if _, _, got := behind(strings.Fields(c.then), strings.Fields(c.now)); got != c.behind {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
