package dirsrv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	certificate = "Server-Cert"
	p12Password = "rig" // the file never leaves the folder
	backend     = "userroot"
	templates   = "/usr/share/dirsrv/data"
	packaged    = "/etc/dirsrv"
)

// dse is a configuration: the entries of a dse.ldif, each as its lines.
type dse struct{ entries []string }

func readDSE(file string) (*dse, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("389ds rig: read its configuration: %w", err)
	}
	return &dse{strings.Split(string(text), "\n\n")}, nil
}

// number gives an attribute of an entry, or 0.
func (d *dse) number(dn, attribute string) int {
	for _, e := range d.entries {
		if !is(e, dn) {
			continue
		}
		for line := range strings.Lines(e) {
			if name, value, _ := strings.Cut(line, ": "); strings.EqualFold(name, attribute) {
				n, _ := strconv.Atoi(strings.TrimSpace(value))
				return n
			}
		}
	}
	return 0
}

// set replaces attributes ("name: value" each) of an entry that is there.
func (d *dse) set(dn string, attributes ...string) error {
	for i, e := range d.entries {
		if !is(e, dn) {
			continue
		}
		var kept []string
		for _, line := range strings.Split(strings.TrimSpace(e), "\n") {
			name, _, _ := strings.Cut(line, ":")
			replaced := false
			for _, a := range attributes {
				to, _, _ := strings.Cut(a, ":")
				replaced = replaced || strings.EqualFold(name, to)
			}
			if !replaced {
				kept = append(kept, line)
			}
		}
		d.entries[i] = strings.Join(append(kept, attributes...), "\n")
		return nil
	}
	return fmt.Errorf("389ds rig: the template of the configuration has no %q", dn)
}

func is(entry, dn string) bool {
	first, _, _ := strings.Cut(strings.TrimSpace(entry), "\n")
	return strings.EqualFold(first, "dn: "+dn)
}

// fill makes what the installer would: folders, configuration and certificates,
// owned by the server's user.
func (s *Server) fill(ctx context.Context) error {
	conf := s.conf()
	for _, d := range []string{"conf/schema", "db", "ldif", "run", "lock", "log", "bak", "tmp"} {
		if err := os.MkdirAll(filepath.Join(s.Data, d), 0o755); err != nil {
			return fmt.Errorf("389ds rig: make its folder: %w", err)
		}
	}
	if err := errors.Join(
		copyFile(packaged+"/config/slapd-collations.conf", conf), copyFile(packaged+"/config/certmap.conf", conf),
		copyFile(packaged+"/schema/99user.ldif", filepath.Join(conf, "schema"))); err != nil {
		return err
	}
	if err := s.configure(); err != nil {
		return err
	}
	nss, tls := "sql:"+conf, filepath.Join(s.Dir, "tls")
	if err := s.Run(ctx, "", "certutil", "-N", "-d", nss, "--empty-password"); err != nil {
		return err
	}
	if err := s.Run(ctx, "", "certutil", "-A", "-d", nss, "-n", "CA", "-t", "CT,,", "-i", s.CAFile); err != nil {
		return err
	}
	if err := s.Run(ctx, "", "pk12util", "-i", filepath.Join(tls, "server.p12"), "-d", nss, "-K", "", "-W", p12Password); err != nil {
		return err
	}
	return giveAway(s.Data)
}

func (s *Server) configure() error {
	values := map[string]string{
		"schema_dir": filepath.Join(s.conf(), "schema"), "cert_dir": s.conf(), "config_dir": s.conf(), "inst_dir": s.conf(),
		"bak_dir": s.in("bak"), "db_dir": s.in("db"), "db_home_dir": s.in("db"), "ldif_dir": s.in("ldif"),
		"lock_dir": s.in("lock"), "log_dir": s.in("log"), "run_dir": s.in("run"), "tmp_dir": s.in("tmp"),
		"ldapi": s.in("run/ldapi"), "ldapi_enabled": "off", "ldapi_autobind": "off",
		"fqdn": "localhost", "ds_port": strconv.Itoa(s.port), "ds_user": userName(),
		"rootdn": s.AdminDN, "ds_passwd": hashed(s.AdminPassword), "ds_suffix": s.Base, "ds_bename": backend, "db_lib": "bdb",
	}
	var text strings.Builder
	for _, name := range []string{"template-dse.ldif", "template-suffix-db.ldif"} {
		template, err := os.ReadFile(filepath.Join(templates, name))
		if err != nil {
			return fmt.Errorf("389ds rig: read a template: %w", err)
		}
		for line := range strings.Lines(string(template)) {
			if !strings.HasPrefix(line, "#") {
				text.WriteString(line)
			}
		}
		text.WriteString("\n")
	}
	filled := text.String()
	for k, v := range values {
		filled = strings.ReplaceAll(filled, "%"+k+"%", v)
	}
	d := dse{strings.Split(filled, "\n\n")}
	plugin := func(name string, more ...string) error {
		return d.set("cn="+name+",cn=plugins,cn=config", append(more, "nsslapd-pluginEnabled: on")...)
	}
	err := errors.Join(
		d.set("cn=config", "nsslapd-listenhost: 127.0.0.1", "nsslapd-securelistenhost: 127.0.0.1", "nsslapd-security: on",
			"nsslapd-securePort: "+strconv.Itoa(s.tlsPort), "nsslapd-accesslog-logging-enabled: off",
			// Passwords set later are hashed the quick way as well.
			"passwordStorageScheme: SSHA512",
			// As in the other servers, five wrong passwords lock an account.
			"passwordLockout: on", "passwordMaxFailure: 5", "nsslapd-pwpolicy-local: on"),
		d.set("cn=RSA,cn=encryption,cn=config", "nsSSLPersonalitySSL: "+certificate),
		plugin("MemberOf Plugin"),
		plugin("referential integrity postoperation", "referint-membership-attr: member", "referint-membership-attr: uniqueMember",
			"referint-membership-attr: manager", "referint-update-delay: 0"),
		plugin("Retro Changelog Plugin", "nsslapd-attribute: nsuniqueid:targetUniqueId"),
		plugin("Content Synchronization"),
		// The database is thrown away with the test: nothing waits for the disk.
		d.set("cn=config,cn=ldbm database,cn=plugins,cn=config", "nsslapd-db-durable-transaction: off", "nsslapd-mode: 600",
			"nsslapd-cache-autosize: 0", "nsslapd-dbcachesize: 10000000"),
	)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, e := range d.entries {
		if e = strings.TrimSpace(e); e != "" {
			b.WriteString(e + "\n\n")
		}
	}
	return s.WriteFile(filepath.Join(s.conf(), "dse.ldif"), b.Bytes())
}

func (s *Server) in(folder string) string { return filepath.Join(s.Data, folder) }

func copyFile(from, toDir string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("389ds rig: read a file of its package: %w", err)
	}
	if err := os.WriteFile(filepath.Join(toDir, filepath.Base(from)), text, 0o600); err != nil {
		return fmt.Errorf("389ds rig: copy a file of its package: %w", err)
	}
	return nil
}

// seed adds the suffix, the entries of the LDIF and the reader.
func (s *Server) seed(ctx context.Context) error {
	attribute, value, _ := strings.Cut(strings.SplitN(s.Base, ",", 2)[0], "=")
	class := map[string]string{"dc": "domain", "ou": "organizationalUnit"}[strings.ToLower(attribute)]
	if class == "" {
		class = "organization"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "dn: %s\nobjectClass: %s\n%s: %s\naci: (targetattr!=\"userPassword\")(version 3.0; acl \"reader\"; allow (read,search,compare) userdn=\"ldap:///%s\";)\n\n",
		s.Base, class, attribute, value, s.ReaderDN)
	if s.ldif == "" {
		for _, ou := range []string{"people", "groups"} {
			fmt.Fprintf(&b, "dn: ou=%[1]s,%[2]s\nobjectClass: organizationalUnit\nou: %[1]s\n\n", ou, s.Base)
		}
	} else {
		text, err := os.ReadFile(s.ldif)
		if err != nil {
			return fmt.Errorf("389ds rig: read the first entries: %w", err)
		}
		b.Write(text)
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "dn: ou=system,%[1]s\nobjectClass: organizationalUnit\nou: system\n\ndn: %[2]s\nobjectClass: person\ncn: reader\nsn: reader\nuserPassword: %[3]s\n",
		s.Base, s.ReaderDN, hashed(s.ReaderPassword))
	return s.Modify(ctx, b.String())
}

// Modify applies LDIF records, additions or changes, as the administrator. It
// stops at the first that fails.
func (s *Server) Modify(ctx context.Context, ldif string) error {
	return s.Run(ctx, ldif, "ldapmodify", "-a", "-x", "-H", s.URL, "-D", s.AdminDN, "-y", filepath.Join(s.Dir, "admin.pw"))
}
