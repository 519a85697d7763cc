package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
)

// connect opens a connection to the first server that can be reached and signs
// the account in. A server that refuses the account ends it: to try a wrong
// password on each server would lock the account.
func (s *settings) connect(ctx context.Context) (*conn, error) {
	return s.connectTo(ctx, func(*conn) error { return nil })
}

// connectTo opens a connection to the first of these servers that is not behind. Any
// other error of begin ends it.
func (s *settings) connectTo(ctx context.Context, begin func(c *conn) error) (*conn, error) {
	servers, failed := s.addresses(ctx)
	for _, srv := range servers {
		c, err := s.reach(ctx, srv)
		if err == nil {
			if err = s.signIn(c, srv); err != nil {
				c.close()
			}
		}
		var late *lagging
		if err == nil {
			if err = begin(c); err == nil {
				return c, nil
			}
			c.close()
			if !errors.As(err, &late) {
				return nil, err
			}
		}
		if ctx.Err() != nil || !tryNext(err) {
			return nil, err
		}
		if late != nil {
			failed = append([]error{err}, failed...) // what to do about it comes first
		} else {
			failed = append(failed, err)
		}
	}
	return nil, none(failed)
}

// none is the error of servers of which none can be used.
func none(failed []error) error {
	if len(failed) == 1 {
		return failed[0]
	}
	kind, hint := fault.Invalid, ""
	texts := make([]string, len(failed))
	for i, err := range failed {
		if fault.KindOf(err) == fault.Unavailable {
			kind = fault.Unavailable
		}
		if hint == "" {
			hint = fault.HintOf(err)
		}
		texts[i] = strings.TrimPrefix(err.Error(), "ldap: ")
	}
	return fault.New(kind, "ldap: none of %d servers can be used: %s%w", len(failed), strings.Join(texts, "; "), silentError{errors.Join(failed...)}).WithHint("%s", hint)
}

// tryNext is true where another server may do better: not when the account was
// refused.
func tryNext(err error) bool {
	var r *resultError
	if errors.As(err, &r) && !errors.Is(err, errNoTLS) {
		return r.code == codeBusy || r.code == codeUnavailable
	}
	return true
}

// reach opens the connection and encrypts it as set.
func (s *settings) reach(ctx context.Context, srv server) (*conn, error) {
	c, err := dial(ctx, net.JoinHostPort(srv.host, srv.port), s.idle)
	if err != nil {
		return nil, s.explain(fmt.Sprintf("connect to %s", srv), err)
	}
	c.srv = srv
	if err := s.secure(c, srv); err != nil {
		c.drop()
		return nil, s.explain(fmt.Sprintf("begin TLS with %s", srv), err)
	}
	return c, nil
}

func (s *settings) secure(c *conn, srv server) error {
	if srv.tls {
		return c.encrypt(s.tlsFor(srv))
	}
	if s.startTLS {
		return c.startTLS(s.tlsFor(srv))
	}
	return nil
}

func (s *settings) tlsFor(srv server) *tls.Config {
	config := s.tls.Clone()
	config.ServerName = srv.host
	if srv.name != "" {
		config.ServerName = srv.name
	}
	if s.name != "" {
		config.ServerName = s.name
	}
	return config
}

func (s *settings) signIn(c *conn, srv server) error {
	if err := c.bind(s.bindDN, s.password); err != nil {
		return s.explain(fmt.Sprintf("sign in to %s as %s", srv, quoted(s.bindDN)), err)
	}
	return nil
}

var everything = []byte("\x87\x0bobjectClass") // the filter (objectClass=*)

// readRoot asks a server what it is. A server that does not tell is one we know
// nothing of.
func (c *conn) readRoot() (*rootDSE, error) {
	d := &rootDSE{attributes: map[string][]string{}}
	r, err := c.ask(&query{scope: scopeBase, filter: everything, attributes: rootAttributes}, func(op cursor) error {
		_, attributes, err := entryParts(op)
		for err == nil && len(attributes) > 0 {
			var name string
			var values cursor
			if name, values, err = attributes.attribute(); err != nil {
				break
			}
			key := strings.ToLower(name)
			for len(values) > 0 {
				v, err := values.take(tagOctetString)
				if err != nil {
					return err
				}
				d.attributes[key] = append(d.attributes[key], string(v))
			}
		}
		return err
	}, func([]string) {})
	if err != nil {
		return nil, err
	}
	switch r.code {
	case 0, codeNoSuchObject, codeInsufficientAccess:
		return d, nil // it may not be for everybody
	}
	return nil, r.err()
}

// same makes sure that a server is still what it was taken for. One that for once
// does not tell would be asked for other people, by other IDs, and all would seem
// to have left.
func (s *settings) same(before source.Preset, d *rootDSE) error {
	now := s.presetFor(d)
	if now.Vendor == before.Vendor && now.Anchor == before.Anchor && now.Filter == before.Filter {
		return nil
	}
	return fault.New(fault.Unavailable, "ldap: read the root DSE: the server was taken for %s before, and looks like %s now", before.Vendor, now.Vendor).
		WithHint("If the servers in addr are of different kinds, give each a connection of its own. Otherwise the next reading may be well again.")
}

// resolveBase gives the base in force: the one set, or the server's only one.
func (s *settings) resolveBase(d *rootDSE) (string, error) {
	if s.hasBase {
		return s.base, nil
	}
	if base := d.first("defaultNamingContext"); base != "" {
		return base, nil
	}
	contexts := d.contexts()
	if len(contexts) == 1 {
		return contexts[0], nil
	}
	return "", fault.New(fault.Invalid, "ldap: setting base_dn: it is not set, and the server has %d naming contexts", len(contexts)).
		WithHint("Set base_dn, to one of these or below: %s", strings.Join(contexts, "; "))
}
