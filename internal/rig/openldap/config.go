package openldap

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// config is the whole cn=config of a server, as LDIF for slapadd.
func (s *Server) config(o Options) (string, error) {
	schema, err := firstDir("core.ldif", "/etc/ldap/schema", "/etc/openldap/schema", "/usr/local/etc/openldap/schema")
	if err != nil {
		return "", err
	}
	modules, err := firstDir("back_mdb*", "/usr/lib/ldap", "/usr/lib64/openldap", "/usr/lib/openldap", "/usr/local/libexec/openldap")
	if err != nil {
		return "", err
	}
	verify, limit := "never", "size=unlimited time=unlimited"
	if o.ClientCA {
		verify = "demand"
	}
	if o.SizeLimit > 0 {
		limit = fmt.Sprintf("size.soft=%[1]d size.hard=%[1]d size.prtotal=%[1]d time=unlimited", o.SizeLimit)
	}
	tls := filepath.Join(s.Dir, "tls")
	var b strings.Builder
	fmt.Fprintf(&b, `dn: cn=config
objectClass: olcGlobal
cn: config
olcTLSCACertificateFile: %[1]s/ca.crt
olcTLSCertificateFile: %[1]s/server.crt
olcTLSCertificateKeyFile: %[1]s/server.key
olcTLSVerifyClient: %[2]s

dn: cn=module{0},cn=config
objectClass: olcModuleList
cn: module{0}
olcModulePath: %[3]s
olcModuleLoad: back_mdb
olcModuleLoad: syncprov
olcModuleLoad: memberof
olcModuleLoad: refint
olcModuleLoad: ppolicy

dn: cn=schema,cn=config
objectClass: olcSchemaConfig
cn: schema

`, tls, verify, modules)
	for _, name := range []string{"core", "cosine", "nis", "inetorgperson"} {
		fmt.Fprintf(&b, "include: file://%s/%s.ldif\n", schema, name)
	}
	// The database is thrown away with the test: nothing waits for the disk.
	fmt.Fprintf(&b, `
dn: olcDatabase={-1}frontend,cn=config
objectClass: olcDatabaseConfig
olcDatabase: {-1}frontend
olcSizeLimit: 500
olcAccess: {0}to dn.base="" by * read
olcAccess: {1}to dn.base="cn=subschema" by * read

dn: olcDatabase={0}config,cn=config
objectClass: olcDatabaseConfig
olcDatabase: {0}config
olcAccess: {0}to * by * none

dn: olcDatabase={1}mdb,cn=config
objectClass: olcDatabaseConfig
objectClass: olcMdbConfig
olcDatabase: {1}mdb
olcSuffix: %[1]s
olcDbDirectory: %[2]s
olcDbMaxSize: %[3]d
olcDbNoSync: TRUE
olcDbEnvFlags: writemap
olcRootDN: %[4]s
olcRootPW: %[5]s
olcDbIndex: objectClass eq
olcDbIndex: entryUUID,entryCSN eq
olcDbIndex: uid,cn,mail,member,memberUid eq
olcDbIndex: modifyTimestamp eq
olcLimits: {0}dn.exact="%[6]s" %[7]s
olcAccess: {0}to attrs=userPassword by self write by anonymous auth by * none
olcAccess: {1}to * by users read by * none

`, o.Suffix, filepath.Join(s.Dir, "db"), o.MapSize, s.AdminDN, s.AdminPassword, s.ReaderDN, limit)
	overlay := 0
	next := func() int { overlay++; return overlay - 1 }
	if o.MemberOf {
		fmt.Fprintf(&b, `dn: olcOverlay={%[1]d}memberof,olcDatabase={1}mdb,cn=config
objectClass: olcOverlayConfig
objectClass: olcMemberOfConfig
olcOverlay: {%[1]d}memberof
olcMemberOfGroupOC: groupOfNames
olcMemberOfMemberAD: member
olcMemberOfMemberOfAD: memberOf
olcMemberOfRefInt: TRUE

`, next())
	}
	if o.RefInt {
		fmt.Fprintf(&b, `dn: olcOverlay={%[1]d}refint,olcDatabase={1}mdb,cn=config
objectClass: olcOverlayConfig
objectClass: olcRefintConfig
olcOverlay: {%[1]d}refint
olcRefintAttribute: member
olcRefintAttribute: uniqueMember
olcRefintAttribute: manager
olcRefintNothing: %[2]s

`, next(), NobodyDN(o.Suffix))
	}
	fmt.Fprintf(&b, `dn: olcOverlay={%[1]d}ppolicy,olcDatabase={1}mdb,cn=config
objectClass: olcOverlayConfig
objectClass: olcPPolicyConfig
olcOverlay: {%[1]d}ppolicy
olcPPolicyDefault: cn=default,ou=policies,%[2]s
olcPPolicyUseLockout: TRUE

`, next(), o.Suffix)
	if o.NoSync {
		return b.String(), nil
	}
	fmt.Fprintf(&b, `dn: olcOverlay={%[1]d}syncprov,olcDatabase={1}mdb,cn=config
objectClass: olcOverlayConfig
objectClass: olcSyncProvConfig
olcOverlay: {%[1]d}syncprov
olcSpSessionlog: 10000
`, next())
	return b.String(), nil
}

func firstDir(holds string, dirs ...string) (string, error) {
	for _, d := range dirs {
		if m, _ := filepath.Glob(filepath.Join(d, holds)); len(m) > 0 {
			return d, nil
		}
	}
	return "", fmt.Errorf("openldap rig: %s is in none of %s; is OpenLDAP's server installed?", holds, strings.Join(dirs, ", "))
}

func baseEntries(suffix string) string {
	var b strings.Builder
	attribute, value, _ := strings.Cut(strings.SplitN(suffix, ",", 2)[0], "=")
	switch strings.ToLower(attribute) {
	case "dc":
		fmt.Fprintf(&b, "dn: %s\nobjectClass: dcObject\nobjectClass: organization\no: rig\ndc: %s\n\n", suffix, value)
	case "ou":
		fmt.Fprintf(&b, "dn: %s\nobjectClass: organizationalUnit\nou: %s\n\n", suffix, value)
	default:
		fmt.Fprintf(&b, "dn: %s\nobjectClass: organization\no: %s\n\n", suffix, value)
	}
	for _, ou := range []string{"people", "groups", "system"} {
		fmt.Fprintf(&b, "dn: ou=%[1]s,%[2]s\nobjectClass: organizationalUnit\nou: %[1]s\n\n", ou, suffix)
	}
	return b.String()
}

// freePorts gives two ports of loopback nobody listened on a moment ago.
func freePorts() (plain, tls int, err error) {
	a, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, 0, fmt.Errorf("openldap rig: find a free port: %w", err)
	}
	b, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, 0, errors.Join(fmt.Errorf("openldap rig: find a free port: %w", err), a.Close())
	}
	plain, tls = a.Addr().(*net.TCPAddr).Port, b.Addr().(*net.TCPAddr).Port
	return plain, tls, errors.Join(a.Close(), b.Close())
}

func writeFile(dir, name string, content []byte) error {
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
		return fmt.Errorf("openldap rig: write %s: %w", name, err)
	}
	return nil
}
