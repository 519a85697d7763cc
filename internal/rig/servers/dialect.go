package servers

import (
	"strings"

	"github.com/go-ldap/ldap/v3"

	"rollcall.dev/rollcall/internal/rig/samba"
)

// dialect is how one vendor spells what the sample directory and the edits say.
type dialect struct {
	ou, cn string // how the names of RDNs are spelled
	login  string // the attribute with the UID
	// person and group are the attributes a new entry has besides cn, names, mail,
	// title and manager, or members.
	person func(e *entry, base, uid, password string)
	group  func(e *entry, name string)
	// disabled are the attributes that disable somebody, enabled those of everybody
	// else; an empty value is none at all.
	disabled, enabled ldap.Attribute
	password          func(plain string) (attribute, value string)
	// placeholder is the DN that stands in a group without members, where a group
	// must have one: no entry has it. "" where groups may be empty.
	placeholder func(base string) string
	// narrow is true where a name with a character beyond Unicode's first 65,536
	// is refused; it is then spelled with another.
	narrow bool
	// follows is true where groups and managers are carried on by the server when
	// somebody is renamed, moved or deleted.
	follows bool
}

func inetOrgPerson(e *entry, _, uid, password string) {
	e.add("objectClass", "inetOrgPerson")
	e.add("uid", uid)
	e.add("userPassword", password)
}

func groupOfNames(e *entry, _ string) { e.add("objectClass", "groupOfNames") }

func userPassword(plain string) (attribute, value string) { return "userPassword", plain }

func nobody(base string) string { return "cn=nobody," + base }

// lockedForEver is the value of pwdAccountLockedTime that no unlocking after a
// while ends (draft-behera-ldap-password-policy 5.3.3).
const lockedForEver = "000001010000Z"

var dialects = map[string]dialect{
	OpenLDAP: {
		ou: "ou", cn: "cn", login: "uid", person: inetOrgPerson, group: groupOfNames, password: userPassword,
		disabled:    ldap.Attribute{Type: "pwdAccountLockedTime", Vals: []string{lockedForEver}},
		enabled:     ldap.Attribute{Type: "pwdAccountLockedTime"},
		placeholder: nobody, follows: true,
	},
	DirectoryServer: {
		ou: "ou", cn: "cn", login: "uid", person: inetOrgPerson, group: groupOfNames, password: userPassword,
		disabled: ldap.Attribute{Type: "nsAccountLock", Vals: []string{"true"}},
		enabled:  ldap.Attribute{Type: "nsAccountLock"},
		// Its groupOfNames may be without members, against RFC 4519.
		placeholder: func(string) string { return "" }, follows: true,
	},
	ApacheDS: {
		ou: "ou", cn: "cn", login: "uid", person: inetOrgPerson, group: groupOfNames, password: userPassword,
		disabled:    ldap.Attribute{Type: "pwdAccountLockedTime", Vals: []string{lockedForEver}},
		enabled:     ldap.Attribute{Type: "pwdAccountLockedTime"},
		placeholder: nobody, narrow: true,
	},
	ActiveDirectory: {
		ou: "OU", cn: "CN", login: "sAMAccountName",
		person: func(e *entry, base, uid, password string) {
			e.add("objectClass", "user")
			e.add("sAMAccountName", uid)
			e.add("userPrincipalName", uid+"@"+realm(base))
			e.add("unicodePwd", samba.QuotedPassword(password))
		},
		group: func(e *entry, name string) {
			e.add("objectClass", "group")
			e.add("sAMAccountName", account(name))
		},
		// The bits of a normal account, and with it the one for disabled ([MS-ADTS] 2.2.16).
		disabled:    ldap.Attribute{Type: "userAccountControl", Vals: []string{"514"}},
		enabled:     ldap.Attribute{Type: "userAccountControl", Vals: []string{"512"}},
		password:    func(plain string) (string, string) { return "unicodePwd", samba.QuotedPassword(plain) },
		placeholder: func(string) string { return "" }, follows: true,
	},
}

// realm is the domain's name for a base: "rig.example.org".
func realm(base string) string {
	var parts []string
	for p := range strings.SplitSeq(base, ",") {
		_, value, _ := strings.Cut(p, "=")
		parts = append(parts, strings.ToLower(value))
	}
	return strings.Join(parts, ".")
}

// account is a group's name without the characters an account name may not have.
func account(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(`"/\[]:;|=,+*?<>@`, r) {
			return -1
		}
		return r
	}, name)
}

// sample is the whole sample directory below base, managers before their people
// and members before their groups.
func (d *dialect) sample(base string) []entry {
	peopleBase, groupsBase := rdn(d.ou, "people")+","+base, rdn(d.ou, "groups")+","+base
	var out []entry
	folder := func(name, below string) {
		e := entry{dn: rdn(d.ou, name) + "," + below}
		e.add("objectClass", "organizationalUnit")
		e.add("ou", name)
		out = append(out, e)
	}
	folder("people", base)
	folder("groups", base)
	for _, u := range Units {
		folder(u, peopleBase)
	}
	dns := map[string]string{}
	for _, p := range d.people() {
		e := d.newPerson(base, rdn(d.ou, p.Unit)+","+peopleBase, p)
		e.add("title", p.Title)
		e.add("manager", dns[p.Manager])
		dns[p.UID] = e.dn
		out = append(out, e)
	}
	for _, g := range groups {
		var members []string
		for _, uid := range g.Members {
			members = append(members, dns[uid])
		}
		for _, name := range g.Groups {
			members = append(members, rdn(d.cn, name)+","+groupsBase)
		}
		out = append(out, d.newGroup(base, groupsBase, g.Name, members))
	}
	return out
}

// policy is what OpenLDAP needs to lock anybody out.
func policy(base string) []entry {
	folder := entry{dn: "ou=policies," + base}
	folder.add("objectClass", "organizationalUnit")
	folder.add("ou", "policies")
	p := entry{dn: "cn=default," + folder.dn}
	p.add("objectClass", "device", "pwdPolicy")
	p.add("cn", "default")
	p.add("pwdAttribute", "userPassword")
	p.add("pwdLockout", "TRUE")
	p.add("pwdMaxFailure", "5")
	p.add("pwdLockoutDuration", "60")
	// Passwords of those under it end after a day, and after a reset must be changed.
	strict := entry{dn: "cn=strict," + folder.dn}
	strict.add("objectClass", "device", "pwdPolicy")
	strict.add("cn", "strict")
	strict.add("pwdAttribute", "userPassword")
	strict.add("pwdMaxAge", "86400")
	strict.add("pwdMustChange", "TRUE")
	return []entry{folder, p, strict}
}

// people are those of the sample directory as this vendor can spell them.
func (d *dialect) people() []Person {
	people := Company()
	for i := range people {
		if d.narrow {
			people[i].Surname = strings.Map(func(r rune) rune {
				if r > 0xffff {
					return '吉'
				}
				return r
			}, people[i].Surname)
		}
	}
	return people
}

func (d *dialect) newPerson(base, below string, p Person) entry {
	e := entry{dn: rdn(d.cn, p.Name()) + "," + below}
	d.person(&e, base, p.UID, PersonPassword)
	e.add("cn", p.Name())
	e.add("givenName", p.Given)
	e.add("sn", p.Surname)
	e.add("displayName", p.Name())
	e.add("mail", p.Mail)
	state := d.enabled
	if p.Disabled {
		state = d.disabled
	}
	e.add(state.Type, state.Vals...)
	return e
}

func (d *dialect) newGroup(base, below, name string, members []string) entry {
	e := entry{dn: rdn(d.cn, name) + "," + below}
	d.group(&e, name)
	e.add("cn", name)
	if len(members) == 0 {
		members = append(members, d.placeholder(base))
	}
	e.add("member", members...)
	return e
}
