package rest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
)

// reachTimeout bounds each step of reaching a host.
const reachTimeout = 15 * time.Second

// Reach goes through the steps of reaching the host of an https address, DNS and
// TLS, as a part of source.Check; it reports whether more steps make sense. The TLS
// step shows the certificate and warns where it ends within 30 days.
func (c *Client) Reach(ctx context.Context, address string, report func(source.Step)) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	begun := time.Now()
	step := func(name string, section source.Section, v source.Verdict, detail, hint string) {
		report(source.Step{Name: name, Section: section, Verdict: v, Detail: detail, Hint: hint, Took: time.Since(begun)})
		begun = time.Now()
	}
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	proxied := false
	transport, ok := c.config.Transport.(*http.Transport)
	if ok && transport.Proxy != nil {
		proxy, err := transport.Proxy(&http.Request{URL: u})
		proxied = err == nil && proxy != nil
	}
	switch {
	case proxied:
		step("DNS", source.Address, source.Skip, u.Host+" is reached through a proxy", "")
		return true
	case net.ParseIP(u.Hostname()) != nil:
		step("DNS", source.Address, source.Skip, u.Hostname()+" is an address", "")
	default:
		found, err := net.DefaultResolver.LookupHost(ctx, u.Hostname())
		if err != nil {
			step("DNS", source.Address, source.Fail, fmt.Sprintf("look up %s: %v", u.Hostname(), err), "Check the spelling, and whether this machine can look up names of the internet.")
			return false
		}
		if err := c.inside(u, found); err != nil {
			// Not which address: the person at the screen may ask about names inside.
			step("DNS", source.Address, source.Fail, u.Hostname()+" leads to an address that is not public", fault.HintOf(err))
			return false
		}
		step("DNS", source.Address, source.OK, fmt.Sprintf("%s is %s", u.Hostname(), strings.Join(found, ", ")), "")
	}
	if u.Scheme != "https" || !ok {
		step("TLS", source.TLS, source.Skip, "the connection is not encrypted", "")
		return true
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if transport.TLSClientConfig != nil {
		config = transport.TLSClientConfig.Clone()
	}
	conn, err := encrypted(ctx, transport, config, net.JoinHostPort(u.Hostname(), portOf(u)))
	if err != nil {
		e := c.broken(ctx, err)
		step("TLS", source.TLS, source.Fail, fmt.Sprintf("%s: %s", u.Host, e.text), fault.HintOf(c.fault(u, e, 1)))
		return false
	}
	defer conn.Close() //nolint:errcheck // nothing was written
	state := conn.ConnectionState()
	end := slices.MinFunc(state.PeerCertificates, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
	detail := fmt.Sprintf("%s: %s, certificate of %s until %s", u.Host, tls.VersionName(state.Version), state.PeerCertificates[0].Subject.CommonName, end.NotAfter.Format(time.DateOnly))
	if time.Until(end.NotAfter) < 30*24*time.Hour {
		step("TLS", source.TLS, source.Warn, detail, "The certificate ends soon.")
		return true
	}
	step("TLS", source.TLS, source.OK, detail, "")
	return true
}

// inside is the guard's refusal of one of the addresses that a name leads to.
func (c *Client) inside(u *url.URL, found []string) error {
	if c.config.Guard == nil {
		return nil
	}
	for _, address := range found {
		if err := c.config.Guard.Check(&url.URL{Scheme: u.Scheme, Host: net.JoinHostPort(address, portOf(u))}); err != nil {
			return err
		}
	}
	return nil
}

// encrypted connects as requests do: by the same guard.
func encrypted(ctx context.Context, transport *http.Transport, config *tls.Config, address string) (*tls.Conn, error) {
	conn, err := transport.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(address)
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return secure, nil
}
