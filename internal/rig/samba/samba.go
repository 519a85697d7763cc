// Package samba starts a real Active Directory domain controller, Samba's, on
// loopback and hands its addresses, certificates and passwords to tests. Each
// server has a folder, a domain and a process of its own; nothing of the
// machine's own Samba is read or written. It serves LDAP and the Global Catalog
// and nothing else: no file shares, no Kerberos, no DNS. Where another controller
// is to join the domain, it serves replication as well.
package samba

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"rollcall.dev/rollcall/internal/rig/cert"
	"rollcall.dev/rollcall/internal/rig/host"
)

// Options say what server to start. The zero value is a new domain.
type Options struct {
	// Dir is the server's folder; "" takes a new one that Stop removes. A folder
	// that holds a server from before is started again with what is in it, at
	// another address.
	Dir    string
	Suffix string // default DC=rig,DC=example,DC=org; DC parts alone
	// Replicated lets other controllers join the domain; see Server.Join.
	Replicated bool
	// LDIF is a file of entries and changes, brought in before the start without
	// the checks of LDAP. "" makes OU=people and OU=groups.
	LDIF string
}

// Server is a running domain controller. The administrator is the domain's
// Administrator, the reader an ordinary user: it sees what every member of the
// domain sees, so no deleted objects.
type Server struct {
	*host.Host
	host.Access // the ports are always 389 and 636

	// The Global Catalog is on 3268, and 3269 with TLS.
	GlobalCatalogURL, GlobalCatalogTLSURL string

	realm   string // rig.example.org
	address string
	ldif    string
	name    string // dc1
	offers  bool   // replication
	joins   *Server
}

// The ports are Samba's; it has no setting for others.
const (
	portLDAP, portLDAPS     = 389, 636
	portGlobal, portGlobals = 3268, 3269
	portMapper              = 135
)

// Start brings a server up and returns when it answers. The first of a process
// takes some seconds, those with the same suffix and LDIF after it one or two. The
// context bounds the start only: the server runs until Stop.
func Start(ctx context.Context, o Options) (*Server, error) {
	h, err := host.New("samba", o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{Host: h, ldif: o.LDIF, name: "dc1", offers: o.Replicated}
	s.Base = cmp.Or(o.Suffix, "DC=rig,DC=example,DC=org")
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Server) begin(ctx context.Context) (err error) {
	var parts []string
	for p := range strings.SplitSeq(s.Base, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if !strings.EqualFold(name, "dc") {
			return fmt.Errorf("samba rig: the suffix %q is not that of a domain, as in DC=example,DC=org", s.Base)
		}
		parts = append(parts, strings.ToLower(value))
	}
	s.realm = strings.Join(parts, ".")
	s.AdminDN, s.ReaderDN = "CN=Administrator,CN=Users,"+s.Base, "CN=reader,CN=Users,"+s.Base
	if s.joins != nil {
		s.AdminPassword, s.ReaderPassword = s.joins.AdminPassword, s.joins.ReaderPassword
	} else if err := s.Passwords(&s.Access); err != nil {
		return err
	}
	if s.address, err = s.ClaimAddress(portLDAP, portLDAPS, portGlobal, portGlobals, portMapper); err != nil {
		return err
	}
	s.URL, s.TLSURL = "ldap://"+s.address, "ldaps://"+s.address
	s.GlobalCatalogURL, s.GlobalCatalogTLSURL = fmt.Sprintf("%s:%d", s.URL, portGlobal), fmt.Sprintf("%s:%d", s.TLSURL, portGlobals)
	tls := filepath.Join(s.Dir, "tls")
	s.CAFile = filepath.Join(tls, "ca.crt")
	if err := cert.Make(tls, s.name+"."+s.realm, s.address, "localhost"); err != nil {
		return err
	}
	// The address is another at each start, so the configuration is.
	if err := s.WriteFile(s.configFile(), []byte(s.config())); err != nil {
		return err
	}
	samba, err := s.Tool("samba")
	if err != nil {
		return err
	}
	return s.Begin(ctx, host.Life{
		Fill: s.fill,
		Command: func() *exec.Cmd {
			return exec.Command(samba, "-F", "--no-process-group", "--model=single", "--configfile="+s.configFile())
		},
		Answers: s.Answers,
	})
}

func (s *Server) configFile() string { return filepath.Join(s.Dir, "smb.conf") }

// database is where ldbmodify finds everything.
func (s *Server) database() string { return filepath.Join(s.Data, "private", "sam.ldb") }

// config keeps everything of the server below its folder. Simple binds without
// TLS are let in, as test clients of all kinds make them.
func (s *Server) config() string {
	at := func(name string) string { return filepath.Join(s.Data, name) }
	tls := filepath.Join(s.Dir, "tls")
	services := "ldap"
	if s.offers {
		services = "ldap, rpc, cldap"
	}
	return fmt.Sprintf(`[global]
  netbios name = %s
  workgroup = %s
  realm = %s
  server role = active directory domain controller
  server services = %s
  dcerpc endpoint servers = epmapper, wkssvc, samr, netlogon, lsarpc, drsuapi, dssetup
  interfaces = %s/8
  bind interfaces only = yes
  private dir = %s
  state directory = %s
  cache directory = %s
  lock directory = %s
  pid directory = %s
  ncalrpc dir = %s
  winbindd socket directory = %s
  ntp signd socket directory = %s
  binddns dir = %s
  log file = %s
  log level = 0
  tls enabled = yes
  tls cafile = %s
  tls certfile = %s
  tls keyfile = %s
  ldap server require strong auth = no
  ldb:nosync = true
  idmap_ldb:use rfc2307 = yes
[sysvol]
  path = %s
  read only = no
[netlogon]
  path = %s
  read only = no
`, strings.ToUpper(s.name), s.workgroup(), strings.ToUpper(s.realm), services, s.address,
		at("private"), at("state"), at("cache"), at("lock"), at("run"), at("ncalrpc"), at("run/winbindd"), at("run/ntp_signd"), at("state/bind-dns"), at("log/log.%m"),
		filepath.Join(tls, "ca.crt"), filepath.Join(tls, "server.crt"), filepath.Join(tls, "server.key"), at("state/sysvol"), at("state/sysvol/"+s.realm+"/scripts"))
}

func (s *Server) workgroup() string {
	first, _, _ := strings.Cut(s.realm, ".")
	return strings.ToUpper(first)
}

func (s *Server) folders() error {
	for _, d := range []string{"private", "state/sysvol/" + s.realm + "/scripts", "cache", "lock", "run", "ncalrpc", "log"} {
		if err := os.MkdirAll(filepath.Join(s.Data, d), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("samba rig: make its folder: %w", err)
		}
	}
	// Samba insists on it.
	if err := os.Chmod(filepath.Join(s.Data, "private"), 0o700); err != nil {
		return fmt.Errorf("samba rig: make its folder: %w", err)
	}
	return nil
}
