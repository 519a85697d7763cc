package scim

// The schemas of RFC 7643, sections 4.1 to 4.3. Every type has canonical values, also
// where the RFC has none: Entra ID finds `emails[type eq "work"].value` by them.

var externalID = attr("externalId", "string", "The identifier given by the client.", caseExact)

var userSchema = schema{UserSchema, "User", "User Account", []Attribute{
	externalID,
	attr("userName", "string", "The name the person signs in with.", required, unique),
	attr("name", "complex", "The parts of the person's name.", subs(
		attr("formatted", "string", "The whole name, for display."),
		attr("familyName", "string", "The last name."),
		attr("givenName", "string", "The first name."),
		attr("middleName", "string", "The middle names."),
		attr("honorificPrefix", "string", "A title before the name."),
		attr("honorificSuffix", "string", "A suffix behind the name."),
	)),
	attr("displayName", "string", "The name to show."),
	attr("nickName", "string", "What the person is called."),
	attr("profileUrl", "reference", "The address of a page about the person.", leadsTo("external")),
	attr("title", "string", "The position."),
	attr("userType", "string", "How the person belongs to the organization, as Employee."),
	attr("preferredLanguage", "string", "The language, as in Accept-Language."),
	attr("locale", "string", "The locale for dates and numbers."),
	attr("timezone", "string", "The time zone, as Europe/Brussels."),
	attr("active", "boolean", "Whether the person may sign in."),
	attr("password", "string", "Taken and thrown away: Rollcall keeps no pushed password.", writeOnly),
	plural("emails", "e-mail address", nil, "work", "home", "other"),
	plural("phoneNumbers", "telephone number", nil, "work", "home", "mobile", "fax", "pager", "other"),
	plural("ims", "instant messaging address", nil, "aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo", "other"),
	plural("photos", "photo", func(v *Attribute) {
		v.Type = "reference"
		leadsTo("external")(v)
	}, "photo", "thumbnail"),
	attr("addresses", "complex", "Each postal address of the user.", multi, subs(
		attr("formatted", "string", "The whole address, for display."),
		attr("streetAddress", "string", "Street and number."),
		attr("locality", "string", "The city."),
		attr("region", "string", "The state or region."),
		attr("postalCode", "string", "The postal code."),
		attr("country", "string", "The country."),
		attr("type", "string", "What the address is for.", usually("work", "home", "other")),
		attr("primary", "boolean", "Whether it is the preferred one; one at most is."),
	)),
	attr("groups", "complex", "The groups the user is a member of.", multi, readOnly, subs(
		attr("value", "string", "The identifier of the group.", caseExact, readOnly),
		attr("$ref", "reference", "The address of the group.", leadsTo("Group"), readOnly),
		attr("display", "string", "The name of the group.", readOnly),
		attr("type", "string", "Whether the user is in it, or in one within it.", readOnly, usually("direct", "indirect")),
	)),
	plural("entitlements", "entitlement", nil, "default"),
	plural("roles", "role", nil, "default"),
	plural("x509Certificates", "certificate", func(v *Attribute) {
		v.Type = "binary"
		v.CaseExact = true
	}, "work", "other"),
}}

var enterpriseSchema = schema{EnterpriseSchema, "EnterpriseUser", "Enterprise User", []Attribute{
	attr("employeeNumber", "string", "The number given by the organization."),
	attr("costCenter", "string", "The cost center."),
	attr("organization", "string", "The organization."),
	attr("division", "string", "The division."),
	attr("department", "string", "The department."),
	attr("manager", "complex", "The person's manager.", subs(
		attr("value", "string", "The identifier of the manager.", caseExact),
		attr("$ref", "reference", "The address of the manager.", leadsTo("User")),
		attr("displayName", "string", "The manager's name."),
	)),
}}

var groupSchema = schema{GroupSchema, "Group", "Group", []Attribute{
	externalID,
	attr("displayName", "string", "The name of the group.", required),
	attr("members", "complex", "The members of the group.", multi, subs(
		attr("value", "string", "The identifier of the member.", caseExact),
		attr("$ref", "reference", "The address of the member.", leadsTo("User", "Group")),
		attr("type", "string", "Whether the member is a person or a group.", usually("User", "Group")),
		attr("display", "string", "The name of the member."),
	)),
}}
