//go:build unix

package csv

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// Nobody writes into the pipe: to open it would wait for good.
func TestAPathThatIsNoFileIsRefusedAtOnce(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nobody connects
	for path, want := range map[string]string{"pipe": "a named pipe", "sock": "a socket", ".": "a directory", "/dev/zero": "a device"} {
		s, err := Kind.Open(setting.Values{"path": path}, source.Env{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := read(t, s, nil); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "it is "+want+", not a file") || fault.HintOf(err) == "" {
			t.Errorf("%s: %v", path, err)
		}
		if _, err := s.Preset(context.Background()); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", path, err)
		}
	}
}
