package agents

import "testing"

func TestAnAgentIsToldWhereTheServerIs(t *testing.T) {
	for public, want := range map[string]string{"https://rollcall.example.org": "rollcall.example.org:443", "https://rollcall.example.org:8443/": "rollcall.example.org:8443",
		"http://127.0.0.1:8080": "http://127.0.0.1:8080", "https://[2001:db8::1]": "[2001:db8::1]:443", "": "SERVER:443"} {
		if got := Address(public); got != want {
			t.Errorf("%q is told as %q, want %q", public, got, want)
		}
	}
}
