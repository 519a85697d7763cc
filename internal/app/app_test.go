package app

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/fault"
)

func open(t *testing.T, config string) *App {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rollcall.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := Open(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func TestAConnectionIsFoundByItsAlias(t *testing.T) {
	a := open(t, "connections:\n- alias: staff\n  backend: {csv: {path: a.csv}}\n- alias: guests\n  backend: {csv: {path: b.csv}}\n")
	if c, err := a.Registry.Connection(t.Context(), "guests"); err != nil || c.Alias != "guests" || c.Backend.String("path") != "b.csv" {
		t.Errorf("%+v, %v", c, err)
	}
	for alias, hint := range map[string]string{"stuff": `did you mean "staff"?`, "payroll-2": "`rollcall connections list` shows those there are"} {
		_, err := a.Registry.Connection(t.Context(), alias)
		if fault.KindOf(err) != fault.NotFound || fault.HintOf(err) != hint {
			t.Errorf("%s: %v, hint %q, want %q", alias, err, fault.HintOf(err), hint)
		}
	}
	_, err := open(t, "").Registry.Connection(t.Context(), "staff")
	if fault.KindOf(err) != fault.NotFound || !strings.Contains(fault.HintOf(err), "declare one") {
		t.Errorf("without any: %v, hint %q", err, fault.HintOf(err))
	}
}

// The key is made when the first password is kept, beside the database, and
// only its owner may read it.
func TestTheKeyIsMadeWhenItIsNeeded(t *testing.T) {
	a := open(t, "database: sqlite:data.db\n")
	if _, err := os.Stat(a.Config.KeyFile); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("before any password: %v", err)
	}
	one, err := a.Engine.Secrets.Fingerprint("p", "x")
	if err != nil {
		t.Fatal(err)
	}
	again, err := a.Engine.Secrets.Fingerprint("p", "x")
	if err != nil || again != one {
		t.Errorf("%q and %q, %v", one, again, err)
	}
	info, err := os.Stat(filepath.Join(a.Config.Dir, "rollcall.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file: %v, %v", info, err)
	}
}

func TestADatabaseThatCannotBeOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rollcall.yaml")
	if err := os.WriteFile(path, []byte("database: sqlite:rollcall.yaml\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, nil); err == nil || fault.HintOf(err) == "" {
		t.Errorf("a configuration for a database: %v", err)
	}
	if _, err := Open(t.Context(), path+".none", nil); fault.KindOf(err) != fault.NotFound {
		t.Errorf("no configuration: %v", err)
	}
}
