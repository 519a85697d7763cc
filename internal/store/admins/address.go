package admins

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// From gives the network address a request comes from: that of whoever connected
// or, where it is a trusted proxy, the last address in X-Forwarded-For that is none.
// What stands before that was written by the stranger. It is invalid where nothing
// can be made of it, which counts as a network of its own.
func From(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	from := peer.Addr().Unmap().WithZone("")
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && within(from, trusted); i-- {
		hop := strings.TrimSpace(hops[i])
		next, err := netip.ParseAddr(hop)
		if with, perr := netip.ParseAddrPort(hop); perr == nil {
			next, err = with.Addr(), nil
		}
		if err != nil {
			break // a proxy that does not say leaves us with itself
		}
		from = next.Unmap().WithZone("")
	}
	return from
}

func within(a netip.Addr, list []netip.Prefix) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}
