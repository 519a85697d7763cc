//go:build unix

package cli

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/agent/service"
	"rollcall.dev/rollcall/internal/fault"
)

func TestServicesOfWindowsAreOnWindows(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	for _, words := range [][]string{{"install", "--addr", "rollcall.example.org:443"}, {"install"}, {"start"}, {"stop"}, {"reload"}, {"remove"}, {"status"}, {"status", "-o", "json"}} {
		has(t, h.refuses(1, append([]string{"agent", "service"}, words...)...), "this system has no services of Windows", "hint: ", "systemctl enable --now rollcall-agent", "docs/install.md")
	}
	has(t, h.refuses(2, "agent", "service", "begin"), `there is no command "begin"`)
	has(t, h.refuses(2, "agent", "service", "install", "--auth", "agt_a:b"), "unknown flag: --auth")
	has(t, h.refuses(2, "agent", "service", "start", "now"), "takes no words")
}

// unread fails where something is asked for too early.
type unread struct{ *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.Error("the secret was asked for")
	return 0, io.EOF
}

func TestTheServicesSettings(t *testing.T) {
	t.Parallel()
	pem := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(pem, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const addr, auth = "rollcall.example.org:443", "agt_a:rcg_b"
	both := []service.Variable{{Name: "AD_CONNECT_ADDR", Value: addr}, {Name: "AD_CONNECT_AUTH", Value: auth}}
	for name, c := range map[string]struct {
		known             bool
		addr, file, typed string
		want              []service.Variable
	}{
		"what was asked for":                 {false, addr, "", auth + "\r\n", both},
		"the last line, without its end":     {false, addr, "", auth, both},
		"as PowerShell pipes it":             {false, addr, "", "\uFEFF" + auth + "\r\n", both},
		"only the first line":                {true, " " + addr, "", "  " + auth + " \nAD_CONNECT_CA=x\n", both},
		"with a file":                        {false, addr, pem, auth, append([]service.Variable{{Name: "AD_CONNECT_CONFIG", Value: pem}}, both...)},
		"an update asks nothing":             {true, "", "", "-", nil},
		"an update with another file's name": {true, "", pem, "-", []service.Variable{{Name: "AD_CONNECT_CONFIG", Value: pem}}},
	} {
		r := &root{IO: IO{In: io.Reader(strings.NewReader(c.typed)), Err: io.Discard}}
		if c.typed == "-" {
			r.In = unread{t}
		}
		if got, err := r.serviceSettings(c.known, c.addr, c.file, ""); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	for name, c := range map[string]struct{ addr, file, typed, want string }{
		"no address":                  {"", "", "-", "--addr is missing"},
		"an address over the network": {"http://rollcall.example.org", "", "-", "is http"},
		"a path":                      {"rollcall.example.org/x", "", "-", "is not host:port"},
		"a file that is not there":    {addr, pem + "x", "-", "AD_CONNECT_CONFIG: "},
		"nothing typed":               {addr, "", "", "is not client-id:client-secret"},
		"half of it":                  {addr, "", "rcg_geheim\n", "is not client-id:client-secret"},
		"a file's name":               {addr, "", "@C:\\geheim\n", "is not client-id:client-secret"},
	} {
		r := &root{IO: IO{In: io.Reader(strings.NewReader(c.typed)), Err: io.Discard}}
		if c.typed == "-" {
			r.In = unread{t}
		}
		_, err := r.serviceSettings(false, c.addr, c.file, "")
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error()+fault.HintOf(err), "geheim") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
