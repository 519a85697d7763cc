package ldap

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

var options = append([]setting.Option{
	{Name: "addr", Place: true, Type: setting.List, Required: true, Label: "Servers",
		Help: "Addresses, tried in this order: ldaps://host, ldap://host or host, each with :port where it is not 636 or 389. ldap+srv://domain (or srv:domain) stands for the servers the DNS names for a domain, with their ports, by priority and weight: its domain controllers (_ldap._tcp.dc._msdcs.domain), or else _ldap._tcp.domain. 3268 and 3269 are the ports of a Global Catalog, which holds few attributes."},
	{Name: "bind_dn", Place: true, Label: "Account",
		Help: "The account that reads: a DN, or user@domain in Active Directory. Nothing reads without an account, where the directory allows that."},
	{Name: "bind_password", Secret: true, Label: "Password", Help: "The account's password."},
	{Name: "base_dn", Basis: true, Label: "Base",
		Help: "Where people are looked for. Left out, the server's own naming context is taken, if it has just one."},
	{Name: "scope", Default: "sub", Choices: []string{"sub", "one", "base"}, Basis: true, Label: "Depth",
		Help: "sub looks at everything below the base, one only at what is directly below it, base at the base alone."},

	{Name: "tls.ca_file", Place: true, Local: true, Label: "CA file", Help: "PEM file of the certificate authorities to trust, in place of the system's."},
	{Name: "tls.ca", Place: true, Advanced: true, Label: "CA certificates", Help: "The certificates themselves, as PEM text, in place of a file."},
	{Name: "tls.server_name", Place: true, Label: "Name in the certificate", Help: "The name the server's certificate is for, where it is not the name in the address."},
	{Name: "tls.start_tls", Place: true, Type: setting.Bool, Label: "StartTLS", Help: "Turn ldap:// connections into encrypted ones before the password is sent."},
	{Name: "tls.cert_file", Place: true, Local: true, Advanced: true, Label: "Client certificate", Help: "PEM file of a certificate to show to the server."},
	{Name: "tls.key_file", Place: true, Local: true, Advanced: true, Label: "Client key", Help: "PEM file of that certificate's key."},
	{Name: "tls.pinned_sha256", Place: true, Advanced: true, Label: "Pinned key",
		Help: "SHA-256 of the server's public key as `rollcall check` prints it. With it no certificate authority is asked."},

	{Name: "sync.page_size", Type: setting.Int, Default: "1000", Advanced: true, Label: "Page size",
		Help: "Entries asked for at a time, where the server can page."},
	{Name: "sync.filter", Basis: true, Label: "Filter for people", Help: "An LDAP filter. Left out, one that suits the server is taken."},
	{Name: "sync.anchor", Basis: true, Advanced: true, Label: "External ID",
		Help: "The attribute that never changes, not by a rename or a move either. Left out, the server's own is taken (objectGUID, entryUUID, nsUniqueId, dominoUNID)."},
	{Name: "sync.idle_timeout", Type: setting.Duration, Default: "60s", Advanced: true, Label: "Patience",
		Help: "Give up when the server has sent nothing for this long. A reading may take any time as long as it goes on."},

	{Name: "sync.method", Default: methodAuto, Choices: []string{methodAuto, methodDirSync, methodUSN, methodSync, methodStamp, methodOff}, Advanced: true, Label: "Changes",
		Help: "How to find out what changed since the last reading. auto asks the server and takes the best it has (`rollcall check` says which); dirsync and usn are Active Directory's, syncrepl is content synchronization (RFC 4533), modify-timestamp looks at the time each entry carries; off reads everything each time."},
	{Name: "sync.sweep_every", Type: setting.Duration, Advanced: true, Label: "Sweep",
		Help: "How often a reading of changes also asks for the names of all entries, so that nobody who left is missed. Left out, every 24h, and each time where the method does not see something that matters."},
	{Name: "sync.full_every", Type: setting.Duration, Default: "168h", Advanced: true, Label: "Full reading",
		Help: "How often everything is read again, whatever changed."},
	{Name: "sync.deny_groups", Type: setting.List, Advanced: true, Label: "Deny groups",
		Help: "Names or DNs of groups whose people, also those of groups in them, are locked out. They are handed on with an attribute denied = TRUE, which Domino's starting mapping takes for disabled."},

	{Name: "groups.base_dn", Basis: true, Label: "Base of groups", Help: "Where groups are looked for; left out, the base of people. With none of the settings below `groups`, no groups are read."},
	{Name: "groups.filter", Basis: true, Label: "Filter for groups", Help: "An LDAP filter. Left out, one that suits the server is taken."},
	{Name: "groups.include", Basis: true, Label: "Groups by name", Help: "A regular expression; only groups whose name it matches are synchronized, and with their members those of the groups in them."},
	{Name: "groups.members_only", Type: setting.Bool, Basis: true, Label: "Members only", Help: "Only people in one of the groups are synchronized."},
	{Name: "groups.name_attribute", Advanced: true, Label: "Name of a group", Help: "The attribute with a group's name; left out, cn."},
	{Name: "groups.member_attribute", Advanced: true, Label: "Members of a group", Help: "The attribute with the members' DNs, or memberUid; left out, member and uniqueMember."},

	{Name: "authentication.username_attribute", Label: "Sign-in attribute", Help: "The attribute that holds what people type as their name when they sign in. Left out, those that suit the server are taken: userPrincipalName, sAMAccountName or mail in Active Directory, uid, mail or cn in Domino, uid or mail elsewhere."},
	{Name: "authentication.username_filter_template", Advanced: true, Label: "Sign-in filter",
		Help: "The filter that finds who signs in, with %s for what was typed, as in (&(objectClass=inetOrgPerson)(mail=%s)), in place of the attribute. The filter for people holds besides, and exactly one entry must match."},
	{Name: "authentication.timeout", Type: setting.Duration, Default: "5s", Advanced: true, Label: "Sign-in patience",
		Help: "How long a sign-in waits for the directory, from the first server asked to the last answer."},
}, source.ProviderOptions()...)

// settings are the decoded and checked settings of one connection.
type settings struct {
	servers  []server
	bindDN   string
	password string
	base     string
	hasBase  bool // base_dn is set, maybe to nothing: the root
	scope    int
	tls      *tls.Config // of no server yet
	name     string      // tls.server_name
	startTLS bool
	pinned   bool
	pageSize int
	filter   string
	people   []byte // filter, compiled; nil takes the preset's
	anchor   string
	idle     time.Duration

	method     string
	sweepEvery time.Duration // 0: what suits the method
	fullEvery  time.Duration
	deny       []string // groups whose people are locked out

	username     string        // the attribute people sign in with; "" takes the preset's
	template     []byte        // the filter that finds them, compiled, in its place
	templateText string        // the same as it was written
	patience     time.Duration // of a whole sign-in

	groups   *groupSettings // nil: groups are not read
	resolver resolver
	before   string // the server that answered the last time
}

type groupSettings struct {
	base    string
	hasBase bool
	filter  []byte
	include *regexp.Regexp
	name    string
	member  string
}

// catalog is true of the ports of a Global Catalog, which holds a few attributes
// of every entry of a forest.
func (s server) catalog() bool { return s.port == "3268" || s.port == "3269" }

const catalogNote = "A Global Catalog (port 3268 or 3269) answers: it holds few attributes of each entry, and cannot tell what changed. Read a domain controller (port 389 or 636) where one has all that is needed."

// server is one address, or a domain whose DNS records name addresses.
type server struct {
	host, port string
	tls        bool
	domain     string // of an address that is to be looked up; then there is no host
	name       string // the name in the certificate, where it is not the host
	record     string // the DNS record that named it
	priority   uint16 // what that says: lower ones first
}

func (s server) String() string {
	if s.domain != "" {
		return srvScheme + s.domain
	}
	scheme := "ldap://"
	if s.tls {
		scheme = "ldaps://"
	}
	return scheme + net.JoinHostPort(s.host, s.port)
}

func decode(v setting.Values, env source.Env) (*settings, error) {
	if err := setting.Defaults(options, v); err != nil {
		return nil, err
	}
	s := &settings{
		bindDN: v.String("bind_dn"), password: v.String("bind_password"),
		base: strings.TrimSpace(v.String("base_dn")), scope: scopeSub,
		name: v.String("tls.server_name"), startTLS: v.Bool("tls.start_tls"),
		pageSize: v.Int("sync.page_size"), filter: v.String("sync.filter"), anchor: typeName(v.String("sync.anchor")),
		idle: v.Duration("sync.idle_timeout"), resolver: net.DefaultResolver,
		method: v.String("sync.method"), sweepEvery: v.Duration("sync.sweep_every"), fullEvery: v.Duration("sync.full_every"),
		deny: v.List("sync.deny_groups"), patience: v.Duration("authentication.timeout"),
	}
	_, s.hasBase = v["base_dn"]
	switch v.String("scope") {
	case "one":
		s.scope = scopeOne
	case "base":
		s.scope = scopeBase
	}
	for _, a := range v.List("addr") {
		srv, err := parseServer(a)
		if err != nil {
			return nil, err
		}
		s.servers = append(s.servers, srv)
	}
	switch {
	case len(s.servers) == 0:
		return nil, fault.New(fault.Invalid, "ldap: setting addr: there is no server").WithHint("Name the server, as in addr: ldaps://dc1.example.org")
	case s.bindDN != "" && s.password == "":
		return nil, fault.New(fault.Invalid, "ldap: setting bind_password: %s has no password", quoted(s.bindDN)).
			WithHint("Many servers let in a name without a password as nobody, who then sees an empty directory; so it is refused.")
	case s.bindDN == "" && s.password != "":
		return nil, fault.New(fault.Invalid, "ldap: setting bind_dn: there is a password, but no account").WithHint("Set bind_dn to the account's DN.")
	case s.pageSize < 1 || s.pageSize > 1<<31-1:
		return nil, fault.New(fault.Invalid, "ldap: setting sync.page_size: %d is not a number of entries", s.pageSize).WithHint("1000 suits nearly every server.")
	case s.fullEvery <= 0:
		return nil, fault.New(fault.Invalid, "ldap: setting sync.full_every: it must be longer than nothing").WithHint("To read everything each time, set sync.method to off.")
	case s.patience <= 0:
		return nil, fault.New(fault.Invalid, "ldap: setting authentication.timeout: it must be longer than nothing").WithHint("5s suits nearly every server.")
	case s.idle <= 0:
		return nil, fault.New(fault.Invalid, "ldap: setting sync.idle_timeout: it must be longer than nothing").WithHint("60s suits nearly every server.")
	}
	var err error
	if s.filter != "" {
		if s.people, err = compileFilter("sync.filter", s.filter); err != nil {
			return nil, err
		}
	}
	if err := attributeName("sync.anchor", s.anchor); err != nil {
		return nil, err
	}
	if s.groups, err = decodeGroups(v); err != nil {
		return nil, err
	}
	s.username, s.templateText = v.String(optionUsername), v.String(optionTemplate)
	if s.template, err = compileTemplate(s.templateText); err != nil {
		return nil, err
	}
	if err := attributeName(optionUsername, s.username); err != nil {
		return nil, err
	}
	if _, err := source.ProviderOf(v); err != nil {
		return nil, err
	}
	s.tls, s.pinned, err = decodeTLS(v, env)
	return s, err
}

func decodeGroups(v setting.Values) (*groupSettings, error) {
	g := &groupSettings{
		base: strings.TrimSpace(v.String("groups.base_dn")),
		name: typeName(v.String("groups.name_attribute")), member: typeName(v.String("groups.member_attribute")),
	}
	_, g.hasBase = v["groups.base_dn"]
	filter, include := v.String("groups.filter"), v.String("groups.include")
	if !g.hasBase && filter == "" && include == "" && g.name == "" && g.member == "" && !v.Bool("groups.members_only") {
		return nil, nil
	}
	var err error
	if filter != "" {
		if g.filter, err = compileFilter("groups.filter", filter); err != nil {
			return nil, err
		}
	}
	if include != "" {
		if g.include, err = regexp.Compile(include); err != nil {
			return nil, fault.New(fault.Invalid, "ldap: setting groups.include: %w", err).WithHint("It is a regular expression, as in ^App-(Users|Admins)$")
		}
	}
	if err := attributeName("groups.name_attribute", g.name); err != nil {
		return nil, err
	}
	return g, attributeName("groups.member_attribute", g.member)
}

// parseServer reads one address.
func parseServer(text string) (server, error) {
	bad := func(why string) (server, error) {
		return server{}, fault.New(fault.Invalid, "ldap: setting addr: %q: %s", text, why).
			WithHint("An address is ldaps://host, ldap://host or host, with :port behind it where it is not 636 or 389; or ldap+srv://domain.")
	}
	full := strings.TrimSpace(text)
	if domain, ok := srvDomain(full); ok {
		if why := checkDomain(domain); why != "" {
			return bad(why)
		}
		return server{domain: strings.ToLower(strings.TrimSuffix(domain, "."))}, nil
	}
	if !strings.Contains(full, "://") {
		full = "ldap://" + full
	}
	u, err := url.Parse(full)
	if err != nil {
		return bad("it is not an address")
	}
	s := server{host: u.Hostname(), port: u.Port()}
	switch strings.ToLower(u.Scheme) {
	case "ldap":
	case "ldaps":
		s.tls = true
	default:
		return bad(fmt.Sprintf("%s:// is not LDAP", u.Scheme))
	}
	switch {
	case u.User != nil:
		return server{}, fault.New(fault.Invalid, "ldap: setting addr: there is an account in the address of %q", s.host).WithHint("Use bind_dn and bind_password.")
	case s.host == "":
		return bad("there is no host")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return bad("there is more than host and port")
	}
	switch {
	case s.port != "":
		if n, err := strconv.Atoi(s.port); err != nil || n < 1 || n > 65535 {
			return bad("the port is not one")
		}
	case s.tls:
		s.port = "636"
	default:
		s.port = "389"
	}
	return s, nil
}

var attributePattern = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)+)(;[A-Za-z0-9-]+)*$`)

func attributeName(option, name string) error {
	if name == "" || attributePattern.MatchString(name) {
		return nil
	}
	return fault.New(fault.Invalid, "ldap: setting %s: %q is not the name of an attribute", option, name).WithHint("Names are letters, digits and hyphens, as in employeeNumber.")
}

// decodeTLS reads the files that settings name.
func decodeTLS(v setting.Values, env source.Env) (config *tls.Config, pinned bool, err error) {
	config = &tls.Config{MinVersion: tls.VersionTLS12}
	path := func(name string) string {
		if filepath.IsAbs(name) {
			return name
		}
		return filepath.Join(env.Dir, name)
	}
	name, text := v.String("tls.ca_file"), v.String("tls.ca")
	if name != "" && text != "" {
		return nil, false, fault.New(fault.Invalid, "ldap: settings tls.ca and tls.ca_file: both are set").WithHint("Keep one of them.")
	}
	if name != "" || text != "" {
		pem, setting := []byte(text), "tls.ca"
		if name != "" {
			var err error
			if pem, err = os.ReadFile(path(name)); err != nil {
				return nil, false, fault.New(fault.Invalid, "ldap: setting tls.ca_file: %w", err).WithHint("The file is looked for beside the configuration file.")
			}
			setting = fmt.Sprintf("tls.ca_file: %q", name)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, false, fault.New(fault.Invalid, "ldap: setting %s holds no certificate in PEM form", setting).
				WithHint("PEM begins with -----BEGIN CERTIFICATE-----; turn a DER file into it with: openssl x509 -inform der -in FILE")
		}
	}
	certFile, keyFile := v.String("tls.cert_file"), v.String("tls.key_file")
	if (certFile == "") != (keyFile == "") {
		return nil, false, fault.New(fault.Invalid, "ldap: settings tls.cert_file and tls.key_file: only one of them is set").WithHint("A client certificate needs its key, and a key its certificate.")
	}
	if certFile != "" {
		pair, err := tls.LoadX509KeyPair(path(certFile), path(keyFile))
		if err != nil {
			return nil, false, fault.New(fault.Invalid, "ldap: settings tls.cert_file and tls.key_file: %w", err).WithHint("Both are PEM files, and the key is not encrypted.")
		}
		config.Certificates = []tls.Certificate{pair}
	}
	pin := v.String("tls.pinned_sha256")
	if pin == "" {
		return config, false, nil
	}
	want, err := parsePin(pin)
	if err != nil {
		return nil, false, err
	}
	// The pinned key takes the place of the chain and the name.
	config.InsecureSkipVerify = true
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if got := keyDigest(state.PeerCertificates[0]); got != want {
			return &pinError{got: got, certificate: state.PeerCertificates[0]}
		}
		return nil
	}
	return config, true, nil
}

// parsePin reads a SHA-256 in hex, with or without colons, or in base64.
func parsePin(text string) ([sha256.Size]byte, error) {
	b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(text), ":", ""))
	if err != nil || len(b) != sha256.Size {
		b, err = base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	}
	if err != nil || len(b) != sha256.Size {
		return [sha256.Size]byte{}, fault.New(fault.Invalid, "ldap: setting tls.pinned_sha256: this is not a SHA-256").WithHint("`rollcall check` prints the server's, 64 hexadecimal digits.")
	}
	return [sha256.Size]byte(b), nil
}

// keyDigest is the SHA-256 of a certificate's public key (RFC 7469, 2.4); it
// outlives the renewal of the certificate with the same key.
func keyDigest(c *x509.Certificate) [sha256.Size]byte {
	return sha256.Sum256(c.RawSubjectPublicKeyInfo)
}
