package sourcetest

import (
	"context"
	"net"
	"net/url"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
)

// Loopback is a guard that lets addresses lead to this machine alone, where stand-ins
// are, by http too.
var Loopback source.Guard = loopback{}

type loopback struct{}

func (loopback) Check(u *url.URL) error {
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "https" && ip == nil || ip.IsLoopback() {
		return nil
	}
	return fault.New(fault.Invalid, "%s is not this machine", u.Host).WithHint("tests go nowhere else")
}

func (loopback) Dial(bool) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, _, _ := net.SplitHostPort(address); !net.ParseIP(host).IsLoopback() {
			return nil, fault.New(fault.Denied, "%s is not this machine", host)
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
}
