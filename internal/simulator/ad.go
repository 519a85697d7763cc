package simulator

import (
	"cmp"
	"crypto/sha256"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/simulator/tree"
	"rollcall.dev/rollcall/internal/simulator/wire"
)

// ActiveDirectory behaves as a domain controller of Active Directory:
//
//   - an answer without paging ends after 1,000 entries with code 4, a page has
//     1,000 at most, and a page cookie is good on its own connection alone;
//   - of an attribute with more than 1,500 values come the first 1,500 under
//     member;range=0-1499, beside an empty member;
//   - a person who is deleted or renamed goes out of groups, or is called otherwise
//     in them, without a new uSNChanged; what lies below a renamed container moves
//     along without one, too;
//   - a deleted entry leaves a tombstone below CN=Deleted Objects, which only some
//     accounts may see;
//   - a name without a password is let in as nobody; whoever is nobody may see the
//     root DSE alone;
//   - a search from the domain's root refers to the other naming contexts.
//
// Zero values are the defaults of an installation.
type ActiveDirectory struct {
	Suffix string  // DC=example,DC=org
	Admin  Account // CN=Administrator,CN=Users below the suffix, password "Passw0rd!"
	Host   string  // dc1
	// FirstUSN is this server's USN of the first change.
	FirstUSN int64
	// MaxPageSize and MaxValRange are limits of the default query policy: 1000 and 1500.
	MaxPageSize, MaxValRange int
	// DirSyncRound is how many entries one DirSync answer holds at most, 1000 for
	// 0; DirSyncValues how many values of one attribute an entry in it has where
	// changes come by value, 0 for all: the rest come with the entry once more.
	DirSyncRound, DirSyncValues int
	// Replicators are the DNs of accounts that may use DirSync without
	// OBJECT_SECURITY, DeletedReaders of those that may see deleted objects. The
	// administrator may do both, and replicators see deleted objects.
	Replicators, DeletedReaders []string
	// RecycleBin keeps the attributes of deleted objects.
	RecycleBin bool
	// Catalog is a global catalog: every naming context, few attributes, no writing.
	Catalog bool
	// Children are the DNs of child domains, to which searches refer.
	Children []string
	// DenyUnauthenticatedBind refuses names without a password.
	DenyUnauthenticatedBind bool
	// StrongAuth refuses to sign anybody in without TLS.
	StrongAuth bool
	// Traces lets a bind change lastLogonTimestamp or badPwdCount, and with it uSNChanged.
	Traces bool
	// LockoutThreshold locks accounts after this many wrong passwords; 0 does not.
	LockoutThreshold int
	MaxPasswordAge   time.Duration // 0 is for ever
}

func (p *ActiveDirectory) suffix() string { return cmp.Or(p.Suffix, "DC=example,DC=org") }

func (p *ActiveDirectory) host() string { return cmp.Or(p.Host, "dc1") }

func (p *ActiveDirectory) admin() Account {
	return Account{cmp.Or(p.Admin.DN, "CN=Administrator,CN=Users,"+p.suffix()), cmp.Or(p.Admin.Password, "Passw0rd!")}
}

// Another is a second domain controller of the same domain, for a server on the
// same tree: it has another invocationId, and USNs of its own.
func (p *ActiveDirectory) Another(host string, firstUSN int64) *ActiveDirectory {
	c := *p
	c.Host, c.FirstUSN = host, firstUSN
	return &c
}

// GlobalCatalog is the same domain controller's global catalog, for a server on
// the same tree.
func (p *ActiveDirectory) GlobalCatalog() *ActiveDirectory {
	c := *p
	c.Catalog = true
	return &c
}

// activeDirectory is a domain controller at work.
type activeDirectory struct {
	common
	p           *ActiveDirectory
	contexts    []string // keys of naming contexts, as in contexts()
	deleted     []string // keys of the containers of deleted objects
	dns         string   // the domain's DNS name
	replicators []string // keys
	readers     []string // keys
}

// ntdsSettings is the DN that stands for the server itself.
func (r *activeDirectory) ntdsSettings() string {
	return "CN=NTDS Settings," + r.serverDN()
}

func (r *activeDirectory) serverDN() string {
	return "CN=" + strings.ToUpper(r.p.host()) + ",CN=Servers,CN=Default-First-Site-Name,CN=Sites,CN=Configuration," + r.p.suffix()
}

// adControls are those that do something here.
var adControls = []string{
	wire.OIDPaging, wire.OIDShowDeleted, wire.OIDTreeDelete, wire.OIDNotify, wire.OIDDirSync, wire.OIDDomainScope,
	wire.OIDPermissive, wire.OIDRangeNoError, wire.OIDShowRecycled,
}

func (p *ActiveDirectory) begin(s *Server) role {
	r := &activeDirectory{p: p, dns: dnsName(p.suffix())}
	r.s = s
	r.admin = p.admin()
	r.oids = adControls
	r.other = []string{wire.OIDWhoAmI}
	for _, dn := range contexts(p.suffix()) {
		r.contexts = append(r.contexts, keyOf(dn))
	}
	for _, dn := range []string{p.suffix(), "CN=Configuration," + p.suffix()} {
		r.deleted = append(r.deleted, keyOf("CN=Deleted Objects,"+dn))
	}
	for _, dn := range append(slices.Clone(p.Replicators), r.admin.DN) {
		r.replicators = append(r.replicators, keyOf(dn))
	}
	r.readers = slices.Clone(r.replicators)
	for _, dn := range p.DeletedReaders {
		r.readers = append(r.readers, keyOf(dn))
	}
	r.computeAll()
	if s.Tree.Find(r.ntdsSettings()) == nil {
		// The two cannot fail: their parents are among a domain's first entries, and
		// a tree without those has no domain to serve.
		_, _ = s.Tree.Add(r.serverDN(), "objectClass", "server", "dNSHostName", r.p.host()+"."+r.dns)                            //nolint:errcheck // see above
		_, _ = s.Tree.Add(r.ntdsSettings(), "objectClass", "nTDSDSA", "invocationId", invocationID(r.p.suffix()+"/"+r.p.host())) //nolint:errcheck // see above
	}
	return r
}

// invocationID is the GUID of a server's database; it follows from a text.
func invocationID(text string) string {
	sum := sha256.Sum256([]byte("invocation " + text))
	return string(sum[:16])
}

// dnsName is the DNS name of the DC= parts of a DN.
func dnsName(dn string) string {
	rdns, err := tree.ParseDN(dn)
	if err != nil {
		return ""
	}
	var parts []string
	for _, rdn := range rdns {
		if strings.EqualFold(rdn[0].Type, "dc") {
			parts = append(parts, strings.ToLower(rdn[0].Value))
		}
	}
	return strings.Join(parts, ".")
}

// usn is this server's number for a change of the tree's.
func (r *activeDirectory) usn(number int64) int64 { return cmp.Or(r.p.FirstUSN, 12000) + number }

// adTime writes a time as Active Directory does, with a tenth of a second that is always 0.
func adTime(t time.Time) string { return t.UTC().Format("20060102150405.0Z") }

func (r *activeDirectory) computeAll() {
	one := func(v string) []string { return []string{v} }
	t := r.s.Tree
	list := []computed{
		{"objectGUID", false, func(e *tree.Entry) []string { return one(string(e.UUID[:])) }},
		{"distinguishedName", false, func(e *tree.Entry) []string { return one(e.DN) }},
		{"uSNChanged", false, func(e *tree.Entry) []string { return one(strconv.FormatInt(r.usn(e.Changed), 10)) }},
		{"uSNCreated", false, func(e *tree.Entry) []string { return one(strconv.FormatInt(r.usn(e.Created), 10)) }},
		{"whenChanged", false, func(e *tree.Entry) []string { return one(adTime(e.ChangedAt)) }},
		{"whenCreated", false, func(e *tree.Entry) []string { return one(adTime(e.CreatedAt)) }},
		{"memberOf", false, func(e *tree.Entry) []string { return r.memberOf(e) }},
		{"directReports", false, func(e *tree.Entry) []string { return t.Referring(e.Key, "manager") }},
		{"parentGUID", true, func(e *tree.Entry) []string {
			if up := t.Lookup(tree.ParentKey(e.Key)); up != nil {
				return one(string(up.UUID[:]))
			}
			return nil
		}},
		{"msDS-User-Account-Control-Computed", true, func(e *tree.Entry) []string { return one(strconv.FormatInt(r.accountState(e), 10)) }},
	}
	if r.p.Catalog {
		// Only universal groups show their members in a global catalog.
		list = append(list, computed{"member", false, func(e *tree.Entry) []string {
			if bits(e, "groupType")&8 == 0 {
				return nil
			}
			return e.Get("member")
		}})
	}
	r.compute(list...)
}

// memberOf are the groups an entry is in directly. The primary group is none of them.
func (r *activeDirectory) memberOf(e *tree.Entry) []string {
	groups := r.s.Tree.Referring(e.Key, "member")
	if !r.p.Catalog {
		return groups
	}
	return slices.DeleteFunc(groups, func(dn string) bool {
		g := r.s.Tree.Find(dn)
		return g == nil || bits(g, "groupType")&8 == 0
	})
}

// catalogued are the attributes of a global catalog (isMemberOfPartialAttributeSet).
var catalogued = []string{
	"objectclass", "objectcategory", "objectguid", "objectsid", "distinguishedname", "cn", "ou", "name", "sn", "givenname", "displayname", "mail",
	"proxyaddresses", "samaccountname", "samaccounttype", "userprincipalname", "useraccountcontrol", "primarygroupid", "grouptype", "member",
	"memberof", "manager", "usnchanged", "usncreated", "whenchanged", "whencreated", "instancetype", "isdeleted", "l", "telephonenumber",
}

func (r *activeDirectory) shows(attribute string) bool {
	if !r.p.Catalog {
		return true
	}
	base, _, _ := strings.Cut(strings.ToLower(attribute), ";")
	return slices.Contains(catalogued, base)
}

// expand lets (objectCategory=person) stand for the category's DN, and text for
// binary GUIDs and SIDs (MS-ADTS 3.1.1.3.1.3.5).
func (r *activeDirectory) expand(attribute, value string) string {
	switch strings.ToLower(attribute) {
	case "objectcategory":
		if class, ok := adClasses[strings.ToLower(value)]; ok {
			return "CN=" + class.category + ",CN=Schema,CN=Configuration," + r.p.suffix()
		}
	case "objectguid":
		if u, ok := parseGUID(value); ok {
			return string(u[:])
		}
	case "objectsid":
		if b, ok := parseSID(value); ok {
			return b
		}
	}
	return value
}

func (r *activeDirectory) rootOperational(string) bool { return false }

// mayAskRoot refuses nobody but who asks with controls and has not signed in.
func (r *activeDirectory) mayAskRoot(s *search) *wire.Result {
	if dn, _ := s.c.who(); dn == "" && len(s.r.Controls) > 0 {
		return &wire.Result{Code: wire.OperationsError, Text: notSignedIn}
	}
	return nil
}

func (r *activeDirectory) rootDSE(*conn) []tree.Attribute {
	suffix := r.p.suffix()
	all := contexts(suffix)
	extensions := r.other
	if r.s.o.TLS != nil {
		extensions = append(slices.Clone(extensions), wire.OIDStartTLS)
	}
	yes := "FALSE"
	if r.p.Catalog {
		yes = "TRUE"
	}
	return tree.AttributeList(flatten(map[string][]string{
		"domainFunctionality":           {"7"},
		"forestFunctionality":           {"7"},
		"domainControllerFunctionality": {"7"},
		"rootDomainNamingContext":       {suffix},
		"ldapServiceName":               {r.dns + ":" + r.p.host() + "$@" + strings.ToUpper(r.dns)},
		"isGlobalCatalogReady":          {yes},
		"isSynchronized":                {"TRUE"},
		"supportedSASLMechanisms":       {"GSSAPI", "GSS-SPNEGO", "EXTERNAL", "DIGEST-MD5"},
		"supportedLDAPPolicies":         {"MaxPageSize", "MaxValRange", "MaxResultSetsPerConn"},
		"supportedLDAPVersion":          {"3", "2"},
		"supportedControl":              r.oids,
		"supportedExtension":            extensions,
		"supportedCapabilities": {"1.2.840.113556.1.4.800", "1.2.840.113556.1.4.1670", "1.2.840.113556.1.4.1791",
			"1.2.840.113556.1.4.1935", "1.2.840.113556.1.4.2080", "1.2.840.113556.1.4.2237"},
		"subschemaSubentry":          {"CN=Aggregate,CN=Schema,CN=Configuration," + suffix},
		"serverName":                 {r.serverDN()},
		"schemaNamingContext":        {all[2]},
		"namingContexts":             all,
		"defaultNamingContext":       {suffix},
		"configurationNamingContext": {all[1]},
		"highestCommittedUSN":        {strconv.FormatInt(r.usn(r.s.Tree.Number()), 10)},
		"dsServiceName":              {r.ntdsSettings()},
		"dnsHostName":                {r.p.host() + "." + r.dns},
		"currentTime":                {adTime(r.s.Tree.Now())},
	})...)
}

func flatten(m map[string][]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		for _, v := range m[name] {
			out = append(out, name, v)
		}
	}
	return out
}

// forget: there is nothing kept besides the tree.
func (r *activeDirectory) forget() {}
