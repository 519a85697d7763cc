package apacheds

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"rollcall.dev/rollcall/internal/rig/host"
)

const (
	home          = "/usr/share/apacheds/lib"
	libraries     = "/usr/share/java"
	packaged      = "/etc/apacheds"
	p12Password   = "rig-rig" // the file never leaves the folder
	firstPassword = "secret"  // of every new ApacheDS
)

// What the server needs besides and its package neither holds nor asks for.
var undeclared = []string{"caffeine", "commons-collections4", "commons-lang3", "commons-text", "commons-codec", "commons-io", "slf4j-api", "slf4j-log4j12"}

// What the package's start script registers.
const (
	codec    = "org.apache.directory.api.ldap.codec.controls."
	extras   = "org.apache.directory.api.ldap.extras."
	ppolicy  = extras + "controls.ppolicy_impl.PasswordPolicyFactory"
	syncrepl = extras + "controls.syncrepl_impl."
)

var (
	controls = []string{
		codec + "cascade.CascadeFactory", codec + "manageDsaIT.ManageDsaITFactory", codec + "search.entryChange.EntryChangeFactory",
		codec + "search.pagedSearch.PagedResultsFactory", codec + "search.persistentSearch.PersistentSearchFactory",
		codec + "search.subentries.SubentriesFactory", ppolicy,
		syncrepl + "SyncDoneValueFactory", syncrepl + "SyncInfoValueFactory", syncrepl + "SyncRequestValueFactory", syncrepl + "SyncStateValueFactory",
	}
	operations = []string{
		extras + "extended.ads_impl.cancel.CancelFactory", extras + "extended.ads_impl.certGeneration.CertGenerationFactory",
		extras + "extended.ads_impl.gracefulShutdown.GracefulShutdownFactory", extras + "extended.ads_impl.storedProcedure.StoredProcedureFactory",
		extras + "extended.ads_impl.gracefulDisconnect.GracefulDisconnectFactory",
	}
)

// arguments of java. It is to be up quickly, not to be quick for days.
func (s *Server) arguments() ([]string, error) {
	path := []string{home + "/*"}
	for _, name := range undeclared {
		jar := filepath.Join(libraries, name+".jar")
		if _, err := os.Stat(jar); err != nil {
			return nil, fmt.Errorf("apacheds rig: a library is missing (scripts/install-tools.sh apacheds): %w", err)
		}
		path = append(path, jar)
	}
	return []string{
		"-Djava.awt.headless=true", "-Xmx256m", "-Xshare:auto", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
		"-Djava.io.tmpdir=" + filepath.Join(s.Data, "tmp"),
		"-Dapacheds.controls=" + strings.Join(controls, ","), "-Dapacheds.extendedOperations=" + strings.Join(operations, ","),
		"-Dlog4j.configuration=file:" + filepath.Join(s.Data, "conf", "log4j.properties"), "-Dapacheds.log.dir=" + filepath.Join(s.Data, "log"),
		"-cp", strings.Join(path, ":"), "org.apache.directory.server.UberjarMain", s.Data + "/",
	}, nil
}

// fill writes the configuration, from which the server makes its own at the
// first start.
func (s *Server) fill(context.Context) error {
	for _, d := range []string{"conf", "log", "cache", "partitions", "run", "tmp"} {
		if err := os.MkdirAll(filepath.Join(s.Data, d), 0o755); err != nil {
			return fmt.Errorf("apacheds rig: make its folder: %w", err)
		}
	}
	log, err1 := os.ReadFile(filepath.Join(packaged, "log4j.properties"))
	shipped, err2 := os.ReadFile(filepath.Join(packaged, "config.ldif"))
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("apacheds rig: read a file of its package: %w", err)
	}
	if err := s.WriteFile(filepath.Join(s.Data, "conf", "log4j.properties"), log); err != nil {
		return err
	}
	return s.WriteFile(filepath.Join(s.Data, "conf", "config.ldif"), s.configure(shipped))
}

// configure changes the shipped configuration entry by entry: suffix, ports of
// loopback, certificate, access control, and nothing but LDAP.
func (s *Server) configure(shipped []byte) []byte {
	_, value, _ := strings.Cut(strings.SplitN(s.Base, ",", 2)[0], "=")
	suffixEntry := fmt.Sprintf("dn: %s\nobjectClass: domain\nobjectClass: top\ndc: %s\n\n", s.Base, value)
	// The first value is what the DN begins with.
	type edit struct {
		dn  string
		set map[string]string
	}
	edits := []edit{
		{"ads-directoryserviceid=default,ou=config", map[string]string{"ads-dsaccesscontrolenabled": "TRUE"}},
		{"ads-transportid=", map[string]string{"ads-transportaddress": "127.0.0.1"}},
		{"ads-transportid=ldap,", map[string]string{"ads-systemport": strconv.Itoa(s.port)}},
		{"ads-transportid=ldaps,", map[string]string{"ads-systemport": strconv.Itoa(s.tlsPort)}},
		{"ads-serverid=ldapserver,", map[string]string{"ads-keystorefile": filepath.Join(s.Dir, "tls", "server.p12"), "ads-certificatepassword": p12Password}},
		{"ads-partitionid=example,", map[string]string{"ads-partitionsuffix": s.Base,
			"ads-contextentry": ": " + base64.StdEncoding.EncodeToString([]byte(suffixEntry)), "ads-partitionsynconwrite": "FALSE"}},
	}
	for _, name := range []string{"kerberos", "http", "dhcp", "dns", "changepassword", "ntp"} {
		edits = append(edits, edit{"ads-serverid=" + name + "server,", map[string]string{"ads-enabled": "FALSE"}})
	}
	var out bytes.Buffer
	for entry := range strings.SplitSeq(strings.ReplaceAll(string(shipped), "\n ", ""), "\n\n") {
		lines := strings.Split(strings.TrimSpace(entry), "\n")
		at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "dn: ") })
		if at < 0 {
			continue
		}
		dn := strings.ToLower(strings.TrimPrefix(lines[at], "dn: "))
		for _, e := range edits {
			if !strings.HasPrefix(dn, e.dn) {
				continue
			}
			for name, value := range e.set {
				lines = slices.DeleteFunc(lines, func(l string) bool {
					have, _, _ := strings.Cut(l, ":")
					return strings.EqualFold(have, name)
				})
				lines = append(lines, name+":"+map[bool]string{true: "", false: " "}[strings.HasPrefix(value, ":")]+value)
			}
		}
		out.WriteString(strings.Join(lines, "\n") + "\n\n")
	}
	return out.Bytes()
}

// mayRead lets the reader see everything but passwords and change nothing.
const mayRead = `{ identificationTag "reader", precedence 10, authenticationLevel simple, itemOrUserFirst userFirst: { ` +
	`userClasses { name { "%s" } }, userPermissions { ` +
	`{ protectedItems { entry, allUserAttributeTypesAndValues, attributeType { %[2]s }, allAttributeValues { %[2]s } }, ` +
	`grantsAndDenials { grantBrowse, grantReturnDN, grantRead, grantFilterMatch, grantCompare } }, ` +
	`{ precedence 20, protectedItems { attributeType { userPassword }, allAttributeValues { userPassword } }, ` +
	`grantsAndDenials { denyRead, denyFilterMatch, denyCompare } } } } }`

const operational = "entryUUID, entryCSN, createTimestamp, modifyTimestamp, pwdAccountLockedTime"

// seed gives the administrator a password of its own, and adds the reader with
// its right and the entries of the LDIF.
func (s *Server) seed(ctx context.Context) error {
	c, err := host.Connect(s.TLSURL, s.CAFile, s.AdminDN, firstPassword)
	if err != nil {
		return err
	}
	defer c.Close()
	change := ldap.NewModifyRequest(s.AdminDN, nil)
	change.Replace("userPassword", []string{s.AdminPassword})
	if err := c.Modify(change); err != nil {
		return fmt.Errorf("apacheds rig: set the administrator's password: %w", err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "dn: %s\nchangetype: modify\nadd: administrativeRole\nadministrativeRole: accessControlSpecificArea\n\n", s.Base)
	fmt.Fprintf(&b, "dn: cn=readers,%s\nobjectClass: subentry\nobjectClass: accessControlSubentry\ncn: readers\nsubtreeSpecification: {}\nprescriptiveACI: %s\n\n",
		s.Base, fmt.Sprintf(mayRead, s.ReaderDN, operational))
	fmt.Fprintf(&b, "dn: ou=system,%[1]s\nobjectClass: organizationalUnit\nou: system\n\ndn: %[2]s\nobjectClass: person\ncn: reader\nsn: reader\nuserPassword: %[3]s\n\n",
		s.Base, s.ReaderDN, s.ReaderPassword)
	if s.ldif == "" {
		for _, ou := range []string{"people", "groups"} {
			fmt.Fprintf(&b, "dn: ou=%[1]s,%[2]s\nobjectClass: organizationalUnit\nou: %[1]s\n\n", ou, s.Base)
		}
	} else {
		text, err := os.ReadFile(s.ldif)
		if err != nil {
			return fmt.Errorf("apacheds rig: read the first entries: %w", err)
		}
		b.Write(text)
	}
	return s.Modify(ctx, b.String())
}

// Modify applies LDIF records, additions or changes, as the administrator. It
// stops at the first that fails.
func (s *Server) Modify(ctx context.Context, ldif string) error {
	return s.Run(ctx, ldif, "ldapmodify", "-a", "-x", "-H", s.URL, "-D", s.AdminDN, "-y", filepath.Join(s.Dir, "admin.pw"))
}
