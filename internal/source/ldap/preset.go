package ldap

import (
	"maps"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// preset is what suits one kind of server. Settings override every part of it.
type preset struct {
	vendor  string
	is      func(d *rootDSE) bool
	anchor  string
	people  string
	groups  string
	name    string   // the attribute a group's name comes from
	members []string // the attributes a group's members come from
	logins  []string // the attributes with what people sign in with
	primary bool     // people have a primary group, which does not name them
	mapping map[string]setting.Rule
}

// presets in the order they are tried; the last takes what is left. What a
// server says of its controls is not evidence: Apache Directory lists those of
// Active Directory too.
var presets = []preset{
	{
		vendor: vendorAD,
		is: func(d *rootDSE) bool {
			return d.has("supportedCapabilities", oidActiveDirectory) || d.first("forestFunctionality") != ""
		},
		anchor: objectGUID,
		// Neither trusts (sAMAccountType) nor Guest, krbtgt and the built-in
		// Administrator (isCriticalSystemObject) are people.
		people:  "(&(objectCategory=person)(objectClass=user)(sAMAccountType=805306368)(!(isCriticalSystemObject=TRUE)))",
		groups:  "(objectClass=group)",
		name:    "cn",
		members: []string{"member"},
		logins:  []string{"userPrincipalName", "sAMAccountName", "mail"},
		primary: true,
		mapping: map[string]setting.Rule{
			"username":     {Expr: "firstOf(userPrincipalName, sAMAccountName)"},
			"email":        {Attribute: "mail"},
			"first_name":   {Attribute: "givenName"},
			"last_name":    {Attribute: "sn"},
			"display_name": {Expr: "firstOf(displayName, cn)"},
			"mobile_phone": {Attribute: "mobile"},
			"phone":        {Attribute: "telephoneNumber"},
			"language":     {Attribute: "preferredLanguage"},
			"title":        {Attribute: "title"},
			"department":   {Attribute: "department"},
			"location":     {Expr: "firstOf(l, physicalDeliveryOfficeName)"},
			"manager":      {Attribute: "manager"},
			"status":       {Expr: "adStatus(userAccountControl, accountExpires)"},
		},
	},
	{
		vendor: vendorOpenLDAP,
		is: func(d *rootDSE) bool {
			return d.has("objectClass", "OpenLDAProotDSE") || d.has("structuralObjectClass", "OpenLDAProotDSE")
		},
		anchor:  entryUUID,
		people:  "(objectClass=inetOrgPerson)",
		groups:  groupsOfNames,
		name:    "cn",
		members: []string{"member", "uniqueMember"},
		logins:  []string{uid, "mail"},
		mapping: inetOrgPerson("ldapStatus(pwdAccountLockedTime, shadowExpire, loginDisabled)"),
	},
	{
		vendor: vendor389,
		is: func(d *rootDSE) bool {
			return d.vendorIs("389 project", "fedora project", "red hat", "sun microsystems", "oracle corporation")
		},
		anchor:  nsUniqueID,
		people:  "(|(objectClass=inetOrgPerson)(objectClass=nsPerson))",
		groups:  groupsOfNames,
		name:    "cn",
		members: []string{"member", "uniqueMember"},
		logins:  []string{uid, "mail"},
		mapping: inetOrgPerson("lockStatus(nsAccountLock)"),
	},
	{
		vendor:  vendorApache,
		is:      func(d *rootDSE) bool { return d.vendorIs("apache software foundation") },
		anchor:  entryUUID,
		people:  "(objectClass=inetOrgPerson)",
		groups:  groupsOfNames,
		name:    "cn",
		members: []string{"member", "uniqueMember"},
		logins:  []string{uid, "mail"},
		mapping: inetOrgPerson("ldapStatus(pwdAccountLockedTime, shadowExpire, loginDisabled)"),
	},
	{
		// Domino has no attribute for a disabled person: who is in one of the deny
		// groups set is.
		vendor:  vendorDomino,
		is:      func(d *rootDSE) bool { return d.vendorIs("ibm lotus", "lotus", "hcl") },
		anchor:  "dominoUNID",
		people:  "(|(objectClass=dominoPerson)(objectClass=inetOrgPerson))",
		groups:  "(|(objectClass=dominoGroup)(objectClass=groupOfNames))",
		name:    "cn",
		members: []string{"member"},
		logins:  []string{uid, "mail", "cn"},
		mapping: inetOrgPerson("denyStatus(" + deniedAttribute + ")"),
	},
	{
		vendor:  "LDAP",
		is:      func(*rootDSE) bool { return true },
		anchor:  entryUUID,
		people:  "(objectClass=inetOrgPerson)",
		groups:  groupsOfNames,
		name:    "cn",
		members: []string{"member", "uniqueMember"},
		logins:  []string{uid, "mail"},
		mapping: inetOrgPerson("ldapStatus(pwdAccountLockedTime, shadowExpire, loginDisabled)"),
	},
}

// The vendors whose servers are treated in a way of their own.
const (
	vendorAD       = "Active Directory"
	vendorOpenLDAP = "OpenLDAP"
	vendor389      = "389 Directory Server"
	vendorApache   = "Apache Directory"
	vendorDomino   = "Domino"
)

// The attributes servers give each entry themselves, never to change.
const (
	objectGUID = "objectGUID"
	entryUUID  = "entryUUID"
	nsUniqueID = "nsUniqueId"
)

const (
	groupsOfNames      = "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames))"
	oidActiveDirectory = "1.2.840.113556.1.4.800"
)

// inetOrgPerson is the starting mapping of RFC 2798, with a server's own way of
// telling that somebody is locked out.
func inetOrgPerson(status string) map[string]setting.Rule {
	m := map[string]setting.Rule{
		"username":     {Expr: "firstOf(uid, mail)"},
		"email":        {Attribute: "mail"},
		"first_name":   {Attribute: "givenName"},
		"last_name":    {Attribute: "sn"},
		"display_name": {Expr: "firstOf(displayName, cn)"},
		"mobile_phone": {Attribute: "mobile"},
		"phone":        {Attribute: "telephoneNumber"},
		"language":     {Attribute: "preferredLanguage"},
		"title":        {Attribute: "title"},
		"department":   {Expr: "firstOf(departmentNumber, ou)"},
		"location":     {Attribute: "l"},
		"manager":      {Attribute: "manager"},
	}
	if status != "" {
		m["status"] = setting.Rule{Expr: status}
	}
	return m
}

// rootDSE is what a server says of itself (RFC 4512, 5.1), by attribute name in
// lower case.
type rootDSE struct {
	attributes map[string][]string
}

// The attributes are named one by one: asking for all makes some servers show
// what nobody needs.
var rootAttributes = []string{
	"objectClass", "structuralObjectClass", "namingContexts", "defaultNamingContext",
	"supportedControl", "supportedExtension", "supportedCapabilities", "supportedLDAPVersion",
	"vendorName", "vendorVersion", "forestFunctionality", "dnsHostName",
	"dsServiceName", "highestCommittedUSN",
}

func (d *rootDSE) all(name string) []string { return d.attributes[strings.ToLower(name)] }

func (d *rootDSE) first(name string) string {
	if v := d.all(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

func (d *rootDSE) has(name, value string) bool {
	return slices.ContainsFunc(d.all(name), func(v string) bool { return strings.EqualFold(v, value) })
}

func (d *rootDSE) vendorIs(prefixes ...string) bool {
	v := strings.ToLower(strings.TrimSpace(d.first("vendorName")))
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(v, p) })
}

// contexts are the naming contexts; Domino's, a single NUL, is the empty one.
func (d *rootDSE) contexts() []string {
	var out []string
	for _, c := range d.all("namingContexts") {
		out = append(out, strings.Trim(c, "\x00"))
	}
	return out
}

func (d *rootDSE) preset() *preset {
	i := slices.IndexFunc(presets, func(p preset) bool { return p.is(d) })
	return &presets[i]
}

// proposal is what the server's preset and the server itself say that settings
// may be.
func (d *rootDSE) proposal() *source.Proposal {
	p := d.preset()
	out := &source.Proposal{Vendor: p.vendor, Version: clean(strings.TrimSpace(d.first("vendorName") + " " + d.first("vendorVersion"))), Filter: p.people, Anchor: p.anchor,
		GroupFilter: p.groups, GroupName: p.name, GroupMembers: slices.Clone(p.members), Mapping: maps.Clone(p.mapping)}
	offered := d.contexts()
	if usual := d.first("defaultNamingContext"); usual != "" {
		offered = append([]string{usual}, offered...)
	}
	seen := map[string]bool{}
	for _, context := range offered {
		if at := Refer(context); context != "" && !seen[at] {
			seen[at] = true
			out.Bases = append(out.Bases, clean(context))
		}
	}
	return out
}
