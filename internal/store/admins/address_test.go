package admins

import (
	"net/http"
	"net/netip"
	"testing"
)

func TestWhereARequestComesFrom(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.0.0.0/8")}
	for name, c := range map[string]struct {
		peer    string
		headers []string
		want    string
	}{
		"without a proxy":                         {"192.0.2.1:1234", nil, "192.0.2.1"},
		"a stranger who says to be somebody else": {"192.0.2.1:1234", []string{"203.0.113.5"}, "192.0.2.1"},
		"through a proxy":                         {"127.0.0.1:1234", []string{"203.0.113.5"}, "203.0.113.5"},
		"through a proxy, lying":                  {"127.0.0.1:1234", []string{"10.1.1.1, 198.51.100.1, 203.0.113.5"}, "203.0.113.5"},
		"lying in a header of its own":            {"127.0.0.1:1234", []string{"198.51.100.1", "203.0.113.5"}, "203.0.113.5"},
		"through two proxies":                     {"127.0.0.1:1234", []string{"198.51.100.1, 203.0.113.5, 10.0.0.7"}, "203.0.113.5"},
		"with a port":                             {"127.0.0.1:1234", []string{"203.0.113.5:999"}, "203.0.113.5"},
		"IPv6 with a port":                        {"127.0.0.1:1234", []string{"[2001:db8::1]:999"}, "2001:db8::1"},
		"IPv4 in IPv6":                            {"[::ffff:127.0.0.1]:1234", []string{"::ffff:203.0.113.5"}, "203.0.113.5"},
		"a proxy that says nothing":               {"127.0.0.1:1234", nil, "127.0.0.1"},
		"a proxy that says what is no address":    {"127.0.0.1:1234", []string{"203.0.113.5, unknown"}, "127.0.0.1"},
		"nothing but proxies":                     {"127.0.0.1:1234", []string{"10.0.0.9, 10.0.0.7"}, "10.0.0.9"},
		"in a test":                               {"console", nil, "invalid IP"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := From(&http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.headers}}, trusted).String(); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func FuzzFrom(f *testing.F) {
	f.Add("127.0.0.1:1", "203.0.113.5, 10.0.0.1")
	f.Add("[fe80::1%eth0]:1", "fe80::2%x")
	f.Fuzz(func(t *testing.T, peer, header string) {
		a := From(&http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": {header}}}, []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")})
		if a.Zone() != "" || a.Is4In6() {
			t.Errorf("%q %q gives %s", peer, header, a)
		}
	})
}
