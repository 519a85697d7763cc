package simulator

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/simulator/tree"
)

// adTypes are the attribute types of Active Directory that are not plain text.
var adTypes = []tree.Type{
	{Name: "objectGUID", Syntax: tree.Exact}, {Name: "objectSid", Syntax: tree.Exact}, {Name: "invocationId", Syntax: tree.Exact},
	{Name: "distinguishedName", Syntax: tree.Name}, {Name: "objectCategory", Syntax: tree.Name},
	{Name: "memberOf", Syntax: tree.Name}, {Name: "directReports", Syntax: tree.Name}, {Name: "managedBy", Syntax: tree.Name, Link: true},
	{Name: "lastKnownParent", Syntax: tree.Name},
	{Name: "uSNChanged", Syntax: tree.Integer}, {Name: "uSNCreated", Syntax: tree.Integer},
	{Name: "whenChanged", Syntax: tree.Time}, {Name: "whenCreated", Syntax: tree.Time},
	{Name: "userAccountControl", Syntax: tree.Integer}, {Name: "sAMAccountType", Syntax: tree.Integer}, {Name: "sAMAccountName"},
	{Name: "userPrincipalName"}, {Name: "displayName"}, {Name: "name"}, {Name: "userWorkstations"},
	{Name: "primaryGroupID", Syntax: tree.Integer}, {Name: "groupType", Syntax: tree.Integer}, {Name: "instanceType", Syntax: tree.Integer},
	{Name: "accountExpires", Syntax: tree.Integer}, {Name: "pwdLastSet", Syntax: tree.Integer}, {Name: "lockoutTime", Syntax: tree.Integer},
	{Name: "badPwdCount", Syntax: tree.Integer}, {Name: "lastLogonTimestamp", Syntax: tree.Integer}, {Name: "logonHours", Syntax: tree.Exact},
	{Name: "isDeleted", Syntax: tree.Boolean}, {Name: "isRecycled", Syntax: tree.Boolean}, {Name: "isCriticalSystemObject", Syntax: tree.Boolean},
	{Name: "parentGUID", Syntax: tree.Exact, Operational: true},
	{Name: "msDS-User-Account-Control-Computed", Syntax: tree.Integer, Operational: true},
	{Name: "unicodePwd", Syntax: tree.Exact, Secret: true},
}

// adClasses are the classes an entry of a class has besides, and the class its
// objectCategory names.
var adClasses = map[string]struct {
	chain    []string
	category string
}{
	"user":                 {[]string{"top", "person", "organizationalPerson", "user"}, "Person"},
	"inetorgperson":        {[]string{"top", "person", "organizationalPerson", "user", "inetOrgPerson"}, "Person"},
	"computer":             {[]string{"top", "person", "organizationalPerson", "user", "computer"}, "Computer"},
	"contact":              {[]string{"top", "person", "organizationalPerson", "contact"}, "Person"},
	"person":               {[]string{"top", "person"}, "Person"},
	"group":                {[]string{"top", "group"}, "Group"},
	"organizationalunit":   {[]string{"top", "organizationalUnit"}, "Organizational-Unit"},
	"container":            {[]string{"top", "container"}, "Container"},
	"builtindomain":        {[]string{"top", "builtinDomain"}, "Builtin-Domain"},
	"domaindns":            {[]string{"top", "domain", "domainDNS"}, "Domain-DNS"},
	"configuration":        {[]string{"top", "configuration"}, "Configuration"},
	"dmd":                  {[]string{"top", "dMD"}, "DMD"},
	"ntdsdsa":              {[]string{"top", "applicationSettings", "nTDSDSA"}, "NTDS-DSA"},
	"organizationalperson": {[]string{"top", "person", "organizationalPerson"}, "Person"},
}

// domain is what the entries of one domain hang on.
type domain struct {
	suffix, host string
	now          func() time.Time
	sid          []uint32
	rid          uint32 // the last one given
	recycle      bool
}

// contexts are the naming contexts of a domain, the domain's own first.
func contexts(suffix string) []string {
	return []string{suffix, "CN=Configuration," + suffix, "CN=Schema,CN=Configuration," + suffix, "DC=DomainDnsZones," + suffix, "DC=ForestDnsZones," + suffix}
}

func newDomain(p *ActiveDirectory, now func() time.Time) *domain {
	h := fnv.New64a()
	h.Write([]byte(strings.ToLower(p.suffix())))
	n := h.Sum64()
	return &domain{suffix: p.suffix(), host: p.host(), now: now, recycle: p.RecycleBin, rid: 1102,
		sid: []uint32{21, uint32(n), uint32(n >> 32), uint32(n>>16) | 1}} //nolint:gosec // parts of a hash
}

func (p *ActiveDirectory) newTree(now func() time.Time, seed uint64) (*tree.Tree, error) {
	d := newDomain(p, now)
	t := tree.New(tree.Options{
		Schema: tree.NewSchema(tree.Common, adTypes), Links: tree.Silent, Suffixes: contexts(p.suffix()), Now: now, Seed: seed,
		Settle: d.settle, Bury: d.bury,
	})
	return t, d.fill(t, p)
}

// fill makes what a new domain holds.
func (d *domain) fill(t *tree.Tree, p *ActiveDirectory) error {
	var failed error
	add := func(dn string, pairs ...string) {
		if _, err := t.Add(dn, pairs...); err != nil && failed == nil {
			failed = fmt.Errorf("add %s: %w", dn, err)
		}
	}
	within := func(rdn string) string { return rdn + "," + d.suffix }
	add(d.suffix, "objectClass", "domainDNS", "instanceType", "5", "isCriticalSystemObject", "TRUE", "objectSid", sid(d.sid...))
	for _, c := range []struct{ dn, class string }{
		{"CN=Configuration", "configuration"}, {"CN=Schema,CN=Configuration", "dMD"}, {"DC=DomainDnsZones", "domainDNS"}, {"DC=ForestDnsZones", "domainDNS"},
	} {
		add(within(c.dn), "objectClass", c.class, "instanceType", "13")
	}
	for _, cn := range []string{"CN=Users", "CN=Computers", "CN=System", "CN=Sites,CN=Configuration",
		"CN=Default-First-Site-Name,CN=Sites,CN=Configuration", "CN=Servers,CN=Default-First-Site-Name,CN=Sites,CN=Configuration"} {
		add(within(cn), "objectClass", "container", "isCriticalSystemObject", "TRUE")
	}
	add(within("CN=Builtin"), "objectClass", "builtinDomain", "isCriticalSystemObject", "TRUE", "objectSid", sid(32))
	add(within("OU=Domain Controllers"), "objectClass", "organizationalUnit", "isCriticalSystemObject", "TRUE")
	add(within("CN=Deleted Objects"), "objectClass", "container", "isDeleted", "TRUE", "isCriticalSystemObject", "TRUE")
	add(within("CN=Deleted Objects,CN=Configuration"), "objectClass", "container", "isDeleted", "TRUE", "isCriticalSystemObject", "TRUE")
	add(within("CN=Users,CN=Builtin"), "objectClass", "group", "groupType", "-2147483643", "objectSid", sid(32, 545), "sAMAccountName", "Users", "isCriticalSystemObject", "TRUE")
	for _, g := range []struct {
		cn  string
		rid uint32
	}{{"Domain Admins", 512}, {"Domain Users", 513}, {"Domain Guests", 514}, {"Domain Computers", 515}} {
		add(within("CN="+g.cn+",CN=Users"), "objectClass", "group", "objectSid", d.sidOf(g.rid), "isCriticalSystemObject", "TRUE")
	}
	admin := p.admin()
	add(admin.DN, "objectClass", "user", "sAMAccountName", "Administrator", "objectSid", d.sidOf(500), "isCriticalSystemObject", "TRUE",
		"userAccountControl", "66048", "userPassword", admin.Password)
	add(within("CN=Guest,CN=Users"), "objectClass", "user", "objectSid", d.sidOf(501), "isCriticalSystemObject", "TRUE", "userAccountControl", "66082", "primaryGroupID", "514")
	add(within("CN=krbtgt,CN=Users"), "objectClass", "user", "objectSid", d.sidOf(502), "isCriticalSystemObject", "TRUE", "userAccountControl", "514")
	if failed == nil {
		failed = t.Modify(within("CN=Domain Admins,CN=Users"), tree.Plus("member", admin.DN))
	}
	if failed == nil {
		failed = t.Modify(within("CN=Users,CN=Builtin"), tree.Plus("member", within("CN=Domain Users,CN=Users")))
	}
	return failed
}

func (d *domain) sidOf(rid uint32) string { return sid(append(slices.Clone(d.sid), rid)...) }

// settle completes entries as a domain controller does.
func (d *domain) settle(before, e *tree.Entry) error {
	rdns, err := tree.ParseDN(e.DN)
	if err != nil {
		return err
	}
	if name := rdns[0][0].Value; e.First("name") != name {
		e.Set("name", name)
	}
	if err := d.settlePassword(e); err != nil {
		return err
	}
	if before != nil {
		return nil
	}
	classes := e.Get("objectClass")
	if len(classes) == 0 {
		return &tree.Error{Code: 65, Text: "0000207C: UpdErr: DSID-031A0F4F, problem 6002 (OBJ_CLASS_VIOLATION), data 0"}
	}
	class, known := adClasses[strings.ToLower(mostSpecific(classes))]
	if known {
		e.Set("objectClass", class.chain...)
		fill(e, "objectCategory", "CN="+class.category+",CN=Schema,CN=Configuration,"+d.suffix)
	}
	fill(e, "instanceType", "4")
	switch {
	case e.Has("objectClass", "user"):
		d.settleAccount(e, rdns[0][0].Value)
	case e.Has("objectClass", "group"):
		fill(e, "groupType", "-2147483646")
		fill(e, "sAMAccountType", "268435456")
		fill(e, "sAMAccountName", rdns[0][0].Value)
		d.identify(e)
	}
	return nil
}

// mostSpecific is the class of those given that has the longest chain.
func mostSpecific(classes []string) string {
	return slices.MaxFunc(classes, func(a, b string) int {
		return len(adClasses[strings.ToLower(a)].chain) - len(adClasses[strings.ToLower(b)].chain)
	})
}

func fill(e *tree.Entry, name, value string) {
	if len(e.Get(name)) == 0 {
		e.Set(name, value)
	}
}

func (d *domain) identify(e *tree.Entry) {
	if len(e.Get("objectSid")) == 0 {
		d.rid++
		e.Set("objectSid", d.sidOf(d.rid))
	}
}

// settleAccount gives a person or a computer what every account has. Other than
// by LDAP on a real server, a new account is not disabled.
func (d *domain) settleAccount(e *tree.Entry, name string) {
	account, group, kind := "512", "513", "805306368"
	if e.Has("objectClass", "computer") {
		account, group, kind = "4096", "515", "805306369"
		name = strings.ToUpper(name) + "$"
	}
	fill(e, "sAMAccountName", name)
	fill(e, "userAccountControl", account)
	fill(e, "primaryGroupID", group)
	fill(e, "sAMAccountType", kind)
	fill(e, "accountExpires", never)
	fill(e, "badPwdCount", "0")
	fill(e, "pwdLastSet", fileTime(d.now()))
	d.identify(e)
}

func (d *domain) settlePassword(e *tree.Entry) error {
	if e.First("pwdLastSet") == "-1" {
		e.Set("pwdLastSet", fileTime(d.now()))
	}
	coded := e.First("unicodePwd")
	if coded == "" {
		return nil
	}
	plain, ok := unquote(coded)
	if !ok || plain == "" {
		return &tree.Error{Code: 53, Text: "0000001F: SvcErr: DSID-031A12D2, problem 5003 (WILL_NOT_PERFORM), data 0"}
	}
	e.Set("unicodePwd")
	e.Set("userPassword", plain)
	e.Set("pwdLastSet", fileTime(d.now()))
	return nil
}

// kept are the attributes of a deleted entry (MS-ADTS 3.1.1.5.5.1.1, the part a
// reader may meet).
var kept = []string{"objectclass", "objectsid", "samaccountname", "instancetype", "useraccountcontrol", "grouptype", "primarygroupid", "cn", "ou", "name"}

// bury makes a tombstone: below Deleted Objects, under a name with the GUID in
// it. With the recycle bin everything but links is kept.
func (d *domain) bury(e *tree.Entry) bool {
	nc := d.suffix
	if config := "CN=Configuration," + d.suffix; tree.Below(e.Key, keyOf(config)) {
		nc = config
	}
	rdns, err := tree.ParseDN(e.DN)
	if err != nil {
		return false
	}
	first := rdns[0][0]
	name := first.Value + "\nDEL:" + guidText(e.UUID)
	_, parent := tree.SplitDN(e.DN)
	for _, a := range slices.Clone(e.Attrs) {
		lower := strings.ToLower(a.Name)
		if lower == "member" || lower == "manager" || !d.recycle && !slices.Contains(kept, lower) {
			e.Set(a.Name)
		}
	}
	e.DN = first.Type + "=" + tree.EscapeValue(name) + ",CN=Deleted Objects," + nc
	e.Set(strings.ToLower(first.Type), name)
	e.Set("name", name)
	e.Set("isDeleted", "TRUE")
	e.Set("lastKnownParent", parent)
	if d.recycle {
		e.Set("msDS-LastKnownRDN", first.Value)
	} else {
		e.Set("isRecycled", "TRUE")
	}
	return true
}

func keyOf(dn string) string {
	key, err := tree.Key(dn)
	if err != nil {
		return ""
	}
	return key
}

// bits reads a number whose bits mean something; nothing is 0.
func bits(e *tree.Entry, name string) int64 {
	n, err := strconv.ParseInt(e.First(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
