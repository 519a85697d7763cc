package ldap

import (
	"fmt"
	"regexp"
	"strings"

	"rollcall.dev/rollcall/internal/directory"
)

// An attribute type has a number and often several names (RFC 4512, 2.5): sn is
// surname is 2.5.4.4. Servers understand all of them, Active Directory and Domino
// fewer, and answer with the first one whatever they were asked with. So they are
// asked with that one, and what comes is handed on under the names it was asked for.

// typeNames are types with more than one name: first the one servers answer with,
// then the others and the number. They are those of RFC 2798, 4519, 4524, 4530 and 2307,
// and of Active Directory where it has a number of its own for the same name.
var typeNames = [][]string{
	{"cn", "commonName", "2.5.4.3"},
	{"sn", "surname", "2.5.4.4"},
	{"serialNumber", "2.5.4.5"},
	{"c", "countryName", "2.5.4.6"},
	{"l", "localityName", "2.5.4.7"},
	{"st", "stateOrProvinceName", "2.5.4.8"},
	{"street", "2.5.4.9"},
	{"o", "organizationName", "2.5.4.10"},
	{"ou", "organizationalUnitName", "2.5.4.11"},
	{"title", "2.5.4.12"},
	{"description", "2.5.4.13"},
	{"businessCategory", "2.5.4.15"},
	{"postalAddress", "2.5.4.16"},
	{"postalCode", "2.5.4.17"},
	{"postOfficeBox", "2.5.4.18"},
	{"physicalDeliveryOfficeName", "2.5.4.19"},
	{"telephoneNumber", "2.5.4.20"},
	{"facsimileTelephoneNumber", "fax", "2.5.4.23"},
	{"member", "2.5.4.31"},
	{"owner", "2.5.4.32"},
	{"seeAlso", "2.5.4.34"},
	{"givenName", "gn", "2.5.4.42"},
	{"initials", "2.5.4.43"},
	{"generationQualifier", "2.5.4.44"},
	{"uniqueMember", "2.5.4.50"},
	{"houseIdentifier", "2.5.4.51"},
	{"uid", "userid", "0.9.2342.19200300.100.1.1"},
	{"mail", "rfc822Mailbox", "0.9.2342.19200300.100.1.3"},
	{"roomNumber", "0.9.2342.19200300.100.1.6"},
	{"manager", "0.9.2342.19200300.100.1.10"},
	{"homePhone", "homeTelephoneNumber", "0.9.2342.19200300.100.1.20"},
	{"secretary", "0.9.2342.19200300.100.1.21"},
	{"dc", "domainComponent", "0.9.2342.19200300.100.1.25"},
	{"associatedDomain", "0.9.2342.19200300.100.1.37"},
	{"homePostalAddress", "0.9.2342.19200300.100.1.39"},
	{"personalTitle", "0.9.2342.19200300.100.1.40"},
	{"mobile", "mobileTelephoneNumber", "0.9.2342.19200300.100.1.41"},
	{"pager", "pagerTelephoneNumber", "0.9.2342.19200300.100.1.42"},
	{"co", "friendlyCountryName", "0.9.2342.19200300.100.1.43", "1.2.840.113556.1.2.131"},
	{"organizationalStatus", "0.9.2342.19200300.100.1.45"},
	{"buildingName", "0.9.2342.19200300.100.1.48"},
	{"carLicense", "2.16.840.1.113730.3.1.1"},
	{"departmentNumber", "2.16.840.1.113730.3.1.2"},
	{"employeeNumber", "2.16.840.1.113730.3.1.3", "1.2.840.113556.1.2.610"},
	{"employeeType", "2.16.840.1.113730.3.1.4", "1.2.840.113556.1.2.613"},
	{"preferredLanguage", "2.16.840.1.113730.3.1.39"},
	{"displayName", "2.16.840.1.113730.3.1.241", "1.2.840.113556.1.2.13"},
	{"uidNumber", "1.3.6.1.1.1.1.0"},
	{"gidNumber", "1.3.6.1.1.1.1.1"},
	{"memberUid", "1.3.6.1.1.1.1.12"},
	{"entryUUID", "1.3.6.1.1.16.4"},
	{"entryDN", "1.3.6.1.1.20"},
	{"createTimestamp", "2.5.18.1"},
	{"modifyTimestamp", "2.5.18.2"},
	{"nsUniqueId", "2.16.840.1.113730.3.1.542"},
	{"memberOf", "1.2.840.113556.1.2.102"},
	{"department", "1.2.840.113556.1.2.141"},
	{"company", "1.2.840.113556.1.2.146"},
	{"streetAddress", "1.2.840.113556.1.2.256"},
	{"objectGUID", "1.2.840.113556.1.4.2"},
	{"userAccountControl", "1.2.840.113556.1.4.8"},
	{"employeeID", "1.2.840.113556.1.4.35"},
	{"objectSid", "1.2.840.113556.1.4.146"},
	{"accountExpires", "1.2.840.113556.1.4.159"},
	{"sAMAccountName", "1.2.840.113556.1.4.221"},
	{"userPrincipalName", "1.2.840.113556.1.4.656"},
}

// firstNames are the first names of types by the others, in lower case.
var firstNames = func() map[string]string {
	out := map[string]string{}
	for _, names := range typeNames {
		for _, other := range names[1:] {
			out[strings.ToLower(other)] = names[0]
		}
	}
	return out
}()

// typeName is an attribute under the name that servers answer with.
func typeName(attribute string) string {
	whole, _, _ := strings.Cut(attribute, ";")
	if first, ok := firstNames[strings.ToLower(whole)]; ok {
		return first + attribute[len(whole):]
	}
	return attribute
}

// typeName knows besides that streetAddress is another name of street in X.500 and
// where that is followed; in Active Directory they are two attributes.
func (p *preset) typeName(attribute string) string {
	name := typeName(attribute)
	whole, _, _ := strings.Cut(name, ";")
	if strings.EqualFold(whole, "streetAddress") && (p.vendor == vendorOpenLDAP || p.vendor == vendor389 || p.vendor == vendorApache) {
		return "street" + name[len(whole):]
	}
	return name
}

var numberPattern = regexp.MustCompile(`^[0-9]`)

// noteNumbers tells of numbers that nothing came under.
func (r *reading) noteNumbers(h *half) {
	if h.kind == directory.User && r.out.Users == 0 || h.kind == directory.Group && r.out.Groups == 0 {
		return
	}
	for _, number := range h.decoder.unnamed() {
		r.note(fmt.Sprintf("No attribute came under the number %s: servers answer with names, so ask for it by its name.", clean(number)))
	}
}

// unnamed are the numbers that were asked for and under which nothing came: servers
// answer with names, and which one is not known here.
func (d *decoder) unnamed() []string {
	var out []string
	for _, a := range d.asked {
		if !numberPattern.MatchString(a.name) {
			continue
		}
		came := false
		for name := range d.known {
			whole, _, _ := strings.Cut(name, ";")
			came = came || whole == a.name
		}
		if !came {
			out = append(out, a.name)
		}
	}
	return out
}
