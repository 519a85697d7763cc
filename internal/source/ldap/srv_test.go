package ldap

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// zone answers look-ups by record name.
type zone map[string][]*net.SRV

func (z zone) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	record := fmt.Sprintf("_%s._%s.%s", service, proto, name)
	found, ok := z[record]
	if !ok {
		return "", nil, &net.DNSError{Err: "no such host", Name: record, IsNotFound: true}
	}
	return record + ".", found, nil
}

// openIn opens a source whose look-ups the zone answers.
func openIn(t *testing.T, z zone, v setting.Values) source.Source {
	t.Helper()
	s := mustOpen(t, v)
	s.(*ldapSource).set.resolver = z
	return s
}

func TestAddressesThatAreLookedUp(t *testing.T) {
	for in, want := range map[string]string{
		"ldap+srv://example.com":      "ldap+srv://example.com",
		" LDAP+SRV://Example.com./ ":  "ldap+srv://example.com",
		"srv:example.com":             "ldap+srv://example.com",
		"SRV:ad.example.com":          "ldap+srv://ad.example.com",
		"srv:389":                     "ldap://srv:389",
		"srv":                         "ldap://srv:389",
		"ldap+srv://":                 "",
		"srv:":                        "",
		"ldap+srv://example.com:389":  "",
		"ldap+srv://10.0.0.1":         "",
		"ldap+srv://[2001:db8::1]":    "",
		"ldap+srv://a..b":             "",
		"ldap+srv://a b":              "",
		"ldap+srv://example.com/dc=x": "",
		"ldap+srv://u:secret@x":       "",
		"ldaps+srv://example.com":     "",
	} {
		s, err := parseServer(in)
		if want == "" {
			if fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" {
				t.Errorf("%q gives %v, %v", in, s, err)
			}
			continue
		}
		if err != nil || s.String() != want {
			t.Errorf("%q gives %v, %v, want %s", in, s, err, want)
		}
	}
}

func TestADomainGivesItsServersInOrder(t *testing.T) {
	many := make([]*net.SRV, 50)
	for i := range many {
		many[i] = &net.SRV{Target: "dc" + strconv.Itoa(i) + ".example.com.", Port: 389}
	}
	s := &settings{resolver: zone{
		// Within one priority the resolver has drawn the order by weight.
		"_ldap._tcp.example.com": {
			{Target: "far.example.com.", Port: 389, Priority: 20, Weight: 100}, {Target: "DC2.example.com.", Port: 10389, Priority: 10, Weight: 60},
			{Target: "dc1.example.com.", Port: 389, Priority: 10, Weight: 40}, {Target: "none.example.com.", Port: 0, Priority: 1},
		},
		"_ldap._tcp.none.example.com": {{Target: ".", Port: 0}},
		"_ldap._tcp.many.example.com": many,
		"_ldap._tcp.nil.example.com":  nil,
	}}
	for _, c := range []struct{ name, domain, want string }{
		{"by priority, then as drawn", "example.com", "ldap://dc2.example.com:10389, ldap://dc1.example.com:389, ldap://far.example.com:389"},
		{"a dot says there is none", "none.example.com", "the domain says that it has no LDAP server"},
		{"no record at all", "nil.example.com", "the domain says that it has no LDAP server"},
		{"a domain that is not there", "nowhere.example.com", "ldap: look up _ldap._tcp.nowhere.example.com: no such host"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, err := s.lookUp(t.Context(), c.domain)
			var names []string
			for _, f := range found {
				names = append(names, f.String())
			}
			got := strings.Join(names, ", ")
			if err != nil {
				got = err.Error()
				if fault.KindOf(err) != fault.Unavailable || !strings.Contains(fault.HintOf(err), "nslookup -type=srv _ldap._tcp."+c.domain) {
					t.Errorf("kind %d, hint %q", fault.KindOf(err), fault.HintOf(err))
				}
			}
			if !strings.HasSuffix(got, c.want) {
				t.Errorf("%s\nwant %s", got, c.want)
			}
		})
	}
	s.before = "ldap://dc1.example.com:389"
	if found, err := s.lookUp(t.Context(), "example.com"); err != nil || found[0].host != "dc1.example.com" {
		t.Errorf("the server that answered the last time is not asked first: %v, %v", found, err)
	}
	s.before = "ldap://far.example.com:389"
	if found, err := s.lookUp(t.Context(), "example.com"); err != nil || found[0].host != "dc2.example.com" {
		t.Errorf("the server that answered the last time comes before better ones: %v, %v", found, err)
	}
	s.resolver.(zone)["_ldap._tcp.dc._msdcs.example.com"] = []*net.SRV{{Target: "ad.example.com.", Port: 389}}
	if found, err := s.lookUp(t.Context(), "example.com"); err != nil || len(found) != 1 || found[0].String() != "ldap://ad.example.com:389" {
		t.Errorf("the domain controllers are not asked for first: %v, %v", found, err)
	}
	if found, err := s.lookUp(t.Context(), "many.example.com"); err != nil || len(found) != mostServers {
		t.Errorf("%d of many servers are tried, want %d: %v", len(found), mostServers, err)
	}
}

func TestAServerOutsideOfTheDomainMustShowTheDomainsCertificate(t *testing.T) {
	v := setting.Values{"addr": []string{"srv:example.com"}, "tls.start_tls": true}
	s, err := decode(v, source.Env{})
	if err != nil {
		t.Fatal(err)
	}
	s.resolver = zone{"_ldap._tcp.example.com": {
		{Target: "dc1.example.com.", Port: 389}, {Target: "example.com.", Port: 389}, {Target: "dc1.evil.com.", Port: 389}, {Target: "evilexample.com.", Port: 389}}}
	found, err := s.lookUp(t.Context(), "example.com")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		got = append(got, s.tlsFor(f).ServerName)
	}
	if want := []string{"dc1.example.com", "example.com", "example.com", "example.com"}; !slices.Equal(got, want) {
		t.Errorf("the certificates must be for %q, want %q", got, want)
	}
	s.name = "dc.example.com"
	if got := s.tlsFor(found[2]).ServerName; got != "dc.example.com" {
		t.Errorf("with tls.server_name the certificate must be for %q", got)
	}
}

// rigZone names the rig as the server of example.org, behind one that is down.
func rigZone(t *testing.T) zone {
	t.Helper()
	u, err := url.Parse(rig.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return zone{"_ldap._tcp.example.org": {
		{Target: "localhost.", Port: uint16(port), Priority: 10}, {Target: "localhost.", Port: 1, Priority: 5},
	}}
}

func TestADirectoryIsReadFromTheServersADomainNames(t *testing.T) {
	s := openIn(t, rigZone(t), rigSettings(rig, setting.Values{"addr": []string{"srv:nowhere.invalid", "ldap+srv://example.org"}, "sync.filter": "(uid=u000*)",
		"tls.start_tls": true, "tls.ca_file": rig.CAFile, "tls.server_name": "localhost"}))
	if got := mustRead(t, s, "uid"); got.Users != 10 || !got.Complete {
		t.Errorf("%+v", got.Reading)
	}
}

func TestALookUpThatFailsIsToldWithTheServersThatFail(t *testing.T) {
	s := openIn(t, zone{}, setting.Values{"addr": []string{"srv:nowhere.invalid"}})
	if _, err := s.Preset(t.Context()); fault.KindOf(err) != fault.Unavailable || err.Error() != "ldap: look up _ldap._tcp.nowhere.invalid: no such host" {
		t.Error(err)
	}
	s = openIn(t, zone{}, setting.Values{"addr": []string{"srv:nowhere.invalid", "127.0.0.1:1"}})
	if _, err := s.Preset(t.Context()); fault.KindOf(err) != fault.Unavailable || !strings.HasPrefix(err.Error(),
		"ldap: none of 2 servers can be used: look up _ldap._tcp.nowhere.invalid: no such host; connect to ldap://127.0.0.1:1: nothing listens there") {
		t.Error(err)
	}
}

func TestTheDoctorTellsWhatADomainNames(t *testing.T) {
	for _, c := range []struct {
		name string
		addr []string
		z    zone
		want string
		text string
	}{
		{"the second server answers", []string{"srv:example.org"}, rigZone(t),
			"DNS ok, DNS ok, TCP warn, DNS ok, TCP ok, TLS warn, bind ok, root DSE ok, search ok, anchor ok, groups skip, sign-ins ok, changes ok",
			"_ldap._tcp.example.org names, in this order:\nldap://localhost:1\nldap://localhost:"},
		{"the domain is not there", []string{"srv:example.org"}, zone{}, "DNS fail", "look up _ldap._tcp.example.org: no such host"},
		{"the domain is not there, but another server is", []string{"srv:example.org", rig.URL}, zone{},
			"DNS warn, DNS skip, TCP ok, TLS warn, bind ok, root DSE ok, search ok, anchor ok, groups skip, sign-ins ok, changes ok", "no such host"},
		{"none of its servers answers", []string{"srv:example.org"}, zone{"_ldap._tcp.example.org": {{Target: "localhost.", Port: 1}, {Target: "localhost.", Port: 1}}},
			"DNS ok, DNS ok, TCP warn, DNS ok, TCP fail", "names, in this order"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			text := ""
			openIn(t, c.z, rigSettings(rig, setting.Values{"addr": c.addr, "sync.filter": "(uid=u000*)"})).Check(t.Context(), func(s source.Step) {
				got = append(got, s.Name+" "+string(s.Verdict))
				if text == "" {
					text = s.Detail
				}
			})
			if strings.Join(got, ", ") != c.want {
				t.Errorf("steps:\n%s\nwant:\n%s", strings.Join(got, ", "), c.want)
			}
			if !strings.Contains(text, c.text) {
				t.Errorf("%q does not tell %q", text, c.text)
			}
		})
	}
}
