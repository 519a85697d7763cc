package webhook

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"rollcall.dev/rollcall/internal/fault"
)

// Guard decides where deliveries may go, and where else addresses lead that others
// give (providers, vendors' APIs): to public addresses by https, and to
// those that are not public only where Allow or All says so. The address is
// looked at when the connection is made, so that a name cannot lead elsewhere
// after it was looked at.
type Guard struct {
	All   bool           // anywhere, also by plain http
	Allow []netip.Prefix // not public, and allowed all the same, also by plain http
}

// closed are addresses that lead to this machine, into private networks, to the
// metadata of clouds, or to another address that they carry inside (IANA special
// purpose registries, RFC 6890).
var closed = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24",
	"192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"168.63.129.16/32", // Azure's own services, reachable from every machine there
	"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// Public reports whether an address is one anybody on the Internet could reach.
func Public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range closed {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

func (g *Guard) allowed(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range g.Allow {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// errRefused marks an address that deliveries do not go to: trying again is of
// no use until the name leads elsewhere.
var errRefused = fault.New(fault.Denied, "refused")

// look refuses an address that must not be reached.
func (g *Guard) look(a netip.Addr, plain bool) error {
	switch {
	case g.All || g.allowed(a):
		return nil
	case !Public(a):
		return fmt.Errorf("%w: %s is no public address, and `webhooks.allow_private` does not name it", errRefused, a)
	case plain:
		return fmt.Errorf("%w: %s is reached by https only", errRefused, a)
	}
	return nil
}

// Check refuses an address when it is given, as far as it can be told
// without looking its name up.
func (g *Guard) Check(u *url.URL) error {
	hint := "what goes there tells of people; name the network in `webhooks.allow_private` if it may go there all the same"
	if u.Scheme != "https" && !g.All && len(g.Allow) == 0 {
		return fault.New(fault.Invalid, "the address begins with %s://; https is asked for", u.Scheme).WithHint("%s", hint)
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if a, err := netip.ParseAddr(host); err == nil {
		if err := g.look(a, u.Scheme != "https"); err != nil {
			return fault.New(fault.Invalid, "the address is %w", err).WithHint("%s", hint)
		}
		return nil
	}
	if (host == "localhost" || strings.HasSuffix(host, ".localhost")) && !g.All && !g.allowed(netip.MustParseAddr("127.0.0.1")) && !g.allowed(netip.IPv6Loopback()) {
		return fault.New(fault.Invalid, "%s is this machine, and `webhooks.allow_private` does not name it", host).WithHint("%s", hint)
	}
	return nil
}

// Dial gives a DialContext that looks at each address before it connects.
func (g *Guard) Dial(plain bool) func(context.Context, string, string) (net.Conn, error) {
	d := &net.Dialer{Timeout: 10 * time.Second, Control: func(network, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil || !strings.HasPrefix(network, "tcp") {
			return fmt.Errorf("%w: %s %s", errRefused, network, address)
		}
		return g.look(to.Addr(), plain)
	}}
	return d.DialContext
}
