package ldap

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"

	"rollcall.dev/rollcall/internal/fault"
)

// A domain may publish where its LDAP servers are (RFC 2782). Each Active
// Directory does, and names its domain controllers apart from whatever else
// speaks LDAP there: below dc._msdcs, which is asked first.

const srvScheme = "ldap+srv://"

// mostServers bounds how many servers of a domain are tried: a large Active
// Directory has hundreds, and when ten do not answer the network is at fault.
const mostServers = 10

// resolver is the part of net.Resolver that is needed. It draws the order of
// records of one priority by their weights.
type resolver interface {
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// srvDomain gives the domain of an address that asks for a look-up.
func srvDomain(address string) (string, bool) {
	if len(address) >= len(srvScheme) && strings.EqualFold(address[:len(srvScheme)], srvScheme) {
		return strings.TrimSuffix(address[len(srvScheme):], "/"), true
	}
	const short = "srv:"
	if len(address) < len(short) || !strings.EqualFold(address[:len(short)], short) {
		return "", false
	}
	// A server may be called srv: then a port stands behind it.
	if _, err := strconv.Atoi(address[len(short):]); err == nil {
		return "", false
	}
	return address[len(short):], true
}

// checkDomain says what is wrong with a domain, "" if nothing is.
func checkDomain(domain string) string {
	name := strings.TrimSuffix(domain, ".")
	switch {
	case name == "":
		return "there is no domain"
	case net.ParseIP(strings.Trim(name, "[]")) != nil:
		return "a look-up needs a domain, not an address"
	case strings.Contains(name, ":"):
		return "the port comes from the DNS records"
	}
	bad := strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
	})
	if bad || strings.HasPrefix(name, ".") || strings.Contains(name, "..") {
		return "this is not a domain"
	}
	return ""
}

func srvRecord(domain string) string { return "_ldap._tcp." + domain }

// controllers is where a domain of Active Directory names its domain controllers.
const controllers = "dc._msdcs."

// addresses are all servers to be tried, with domains looked up, and what went
// wrong with those that could not be.
func (s *settings) addresses(ctx context.Context) (servers []server, failed []error) {
	for _, a := range s.servers {
		if a.domain == "" {
			servers = append(servers, a)
			continue
		}
		found, err := s.lookUp(ctx, a.domain)
		if err != nil {
			failed = append(failed, err)
		}
		servers = append(servers, found...)
	}
	return servers, failed
}

// lookUp gives the servers of a domain, in the order in which they are to be tried.
func (s *settings) lookUp(ctx context.Context, domain string) ([]server, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if found, err := s.published(ctx, controllers+domain, domain); err == nil {
		return found, nil
	}
	return s.published(ctx, domain, domain)
}

// published gives the servers a record names.
func (s *settings) published(ctx context.Context, at, domain string) ([]server, error) {
	const hint = "Ask the DNS for it: nslookup -type=srv %s. Where the domain publishes no servers, name them in addr."
	_, records, err := s.resolver.LookupSRV(ctx, "ldap", "tcp", at)
	if len(records) == 0 && err != nil {
		text := err.Error()
		var dns *net.DNSError
		if errors.As(err, &dns) {
			text = dns.Err // the name of the record stands before it already
		}
		return nil, fault.New(fault.Unavailable, "ldap: look up %s: %s%w", srvRecord(at), text, silentError{err}).WithHint(hint, srvRecord(at))
	}
	records = slices.Clone(records)
	slices.SortStableFunc(records, func(a, b *net.SRV) int { return int(a.Priority) - int(b.Priority) })
	var out []server
	for _, r := range records {
		host := strings.ToLower(strings.TrimSuffix(r.Target, "."))
		// A lone dot says that the domain has no such service.
		if host == "" || r.Port == 0 || len(out) == mostServers {
			continue
		}
		srv := server{host: host, port: strconv.Itoa(int(r.Port)), record: srvRecord(at), priority: r.Priority}
		// DNS answers can be forged, so a certificate for any name they mention
		// proves nothing: a server outside of the domain must show one for the
		// domain itself (RFC 6125, 6.2.1).
		if host != domain && !strings.HasSuffix(host, "."+domain) {
			srv.name = domain
		}
		out = append(out, srv)
	}
	if len(out) == 0 {
		return nil, fault.New(fault.Unavailable, "ldap: look up %s: the domain says that it has no LDAP server", srvRecord(at)).WithHint(hint, srvRecord(at))
	}
	return preferred(out, s.before), nil
}

// preferred puts the server that answered the last time first among its equals:
// what changed since is told by none as well as by that one.
func preferred(servers []server, before string) []server {
	i := slices.IndexFunc(servers, func(s server) bool { return s.String() == before })
	for ; i > 0 && servers[i-1].priority == servers[i].priority; i-- {
		servers[i-1], servers[i] = servers[i], servers[i-1]
	}
	return servers
}
