// Package openldap starts a real OpenLDAP server on loopback and hands its
// addresses, certificates and passwords to tests, benchmarks and the demo. Each
// server has a folder, a configuration and a process of its own; nothing of the
// machine's own slapd is read or written.
package openldap

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options say what server to start. The zero value is an empty directory.
type Options struct {
	// Dir is the server's folder; "" takes a new one that Stop removes. A folder
	// that holds a server from before is started again with what is in it, and
	// LDIF and the other options are then left aside.
	Dir    string
	Suffix string // default dc=example,dc=org
	// LDIF is a file loaded offline before the start. "" makes the suffix and
	// ou=people, ou=groups and ou=system. Entries may carry entryUUID; those
	// that do not are given one.
	LDIF string
	// SizeLimit is how many entries the reader may have of one search, over all
	// of its pages; 0 is unlimited. The administrator is never limited.
	SizeLimit int
	MapSize   int64 // upper bound of the database in bytes; default 2 GiB
	MemberOf  bool  // keep memberOf up to date on changes made while it runs
	// RefInt takes who is deleted out of groups and managers, and carries on who is
	// renamed. A group that would lose its last member gets NobodyDN.
	RefInt bool
	// NoSync leaves out content sync (RFC 4533) and its log of deletions.
	NoSync   bool
	ClientCA bool // ask every TLS client for a certificate of our CA
}

// Server is a running slapd. The reader may see everything but passwords and
// write nothing; the administrator is the database's root and no entry.
type Server struct {
	URL    string // ldap://127.0.0.1:port, with StartTLS
	TLSURL string // ldaps://localhost:port
	CAFile string
	// ClientCert and ClientKey are a client certificate of the same CA.
	ClientCert, ClientKey         string
	Suffix                        string
	AdminDN, AdminPassword        string
	ReaderDN, ReaderPassword, Dir string
	Pid                           int

	options Options
	process *os.Process
	ended   chan struct{}
	own     bool // Dir is ours to remove
	once    sync.Once
	stopErr error
}

// Start brings a server up and returns when it answers. The context bounds the
// start only: the server runs until Stop.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Suffix == "" {
		o.Suffix = "dc=example,dc=org"
	}
	if o.MapSize == 0 {
		o.MapSize = 2 << 30
	}
	s := &Server{
		Suffix:   o.Suffix,
		AdminDN:  "cn=admin," + o.Suffix,
		ReaderDN: "cn=reader,ou=system," + o.Suffix,
		Dir:      o.Dir,
		options:  o,
	}
	if s.Dir == "" {
		dir, err := os.MkdirTemp("", "rollcall-openldap-")
		if err != nil {
			return nil, fmt.Errorf("openldap rig: make its folder: %w", err)
		}
		s.Dir, s.own = dir, true
	}
	if err := s.start(ctx, o); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, o Options) error {
	dir, err := filepath.Abs(s.Dir)
	if err != nil {
		return fmt.Errorf("openldap rig: folder %q: %w", s.Dir, err)
	}
	s.Dir = dir
	s.CAFile = filepath.Join(dir, "tls", "ca.crt")
	s.ClientCert = filepath.Join(dir, "tls", "client.crt")
	s.ClientKey = filepath.Join(dir, "tls", "client.key")
	_, err = os.Stat(filepath.Join(dir, "conf", "cn=config.ldif"))
	fresh := errors.Is(err, fs.ErrNotExist)
	if fresh {
		for _, d := range []string{"conf", "db", "tls"} {
			if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
				return fmt.Errorf("openldap rig: make its folder: %w", err)
			}
		}
		if err := makeCertificates(filepath.Join(dir, "tls")); err != nil {
			return err
		}
	}
	if s.AdminPassword, err = password(filepath.Join(dir, "admin.pw")); err != nil {
		return err
	}
	if s.ReaderPassword, err = password(filepath.Join(dir, "reader.pw")); err != nil {
		return err
	}
	if fresh {
		if err := s.fill(ctx, o); err != nil {
			return err
		}
	}
	if err := s.launch(ctx); err != nil {
		return err
	}
	if fresh {
		return s.ensureReader(ctx)
	}
	return nil
}

// password keeps a random password in a file without a line end: the tools'
// -y takes the whole file for the password.
func password(file string) (string, error) {
	if b, err := os.ReadFile(file); err == nil {
		return string(b), nil
	}
	p := rand.Text()
	if err := os.WriteFile(file, []byte(p), 0o600); err != nil {
		return "", fmt.Errorf("openldap rig: keep a password: %w", err)
	}
	return p, nil
}

// fill writes the configuration and the first entries, both offline.
func (s *Server) fill(ctx context.Context, o Options) error {
	conf, err := s.config(o)
	if err != nil {
		return err
	}
	file := filepath.Join(s.Dir, "config.ldif")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return fmt.Errorf("openldap rig: write its configuration: %w", err)
	}
	if err := run(ctx, "", "slapadd", "-n", "0", "-F", filepath.Join(s.Dir, "conf"), "-l", file); err != nil {
		return err
	}
	if o.LDIF == "" {
		o.LDIF = filepath.Join(s.Dir, "base.ldif")
		if err := os.WriteFile(o.LDIF, []byte(baseEntries(o.Suffix)), 0o600); err != nil {
			return fmt.Errorf("openldap rig: write the first entries: %w", err)
		}
	}
	return run(ctx, "", "slapadd", "-q", "-n", "1", "-F", filepath.Join(s.Dir, "conf"), "-l", o.LDIF)
}

// launch starts slapd on free ports and waits until it answers.
func (s *Server) launch(ctx context.Context) error {
	slapd, err := tool("slapd")
	if err != nil {
		return err
	}
	// A port can be taken by another process between our choosing and slapd's
	// listening, so a slapd that ends at once is given other ports.
	var failed error
	for range 5 {
		port, tlsPort, err := freePorts()
		if err != nil {
			return err
		}
		s.URL = fmt.Sprintf("ldap://127.0.0.1:%d", port)
		s.TLSURL = fmt.Sprintf("ldaps://localhost:%d", tlsPort)
		if failed = s.try(ctx, slapd, fmt.Sprintf("ldaps://127.0.0.1:%d", tlsPort)); failed == nil || ctx.Err() != nil {
			return failed
		}
	}
	return failed
}

func (s *Server) try(ctx context.Context, slapd, tlsListen string) error {
	log, err := os.Create(filepath.Join(s.Dir, "log"))
	if err != nil {
		return fmt.Errorf("openldap rig: make its log: %w", err)
	}
	defer log.Close()
	// -d keeps it in the foreground, so that the process is ours to end.
	cmd := exec.Command(slapd, "-F", filepath.Join(s.Dir, "conf"), "-h", s.URL+"/ "+tlsListen+"/", "-d", "0")
	cmd.Stdout, cmd.Stderr = log, log
	dieWithUs(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("openldap rig: start slapd: %w", err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	s.process, s.ended, s.Pid = cmd.Process, ended, cmd.Process.Pid

	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if s.answers() {
			return nil
		}
		select {
		case <-ended:
			s.process = nil
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("openldap rig: slapd ended while starting: %s", bytes.TrimSpace(text))
		case <-ctx.Done():
			return fmt.Errorf("openldap rig: wait for slapd: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// Modify applies LDIF change records as the administrator. It stops at the
// first that fails.
func (s *Server) Modify(ldif string) error {
	return s.modify(context.Background(), ldif)
}

func (s *Server) modify(ctx context.Context, ldif string) error {
	return run(ctx, ldif, "ldapmodify", "-x", "-H", s.URL, "-D", s.AdminDN, "-y", filepath.Join(s.Dir, "admin.pw"))
}

// Stop ends the server and removes its folder if Start made it. It may be
// called again.
func (s *Server) Stop() error {
	s.once.Do(func() {
		if s.process != nil {
			// Not there any more is as good as ended.
			_ = s.process.Signal(syscall.SIGTERM)
			select {
			case <-s.ended:
			case <-time.After(20 * time.Second):
				_ = s.process.Kill()
				<-s.ended
			}
		}
		if s.own {
			s.stopErr = os.RemoveAll(s.Dir)
		}
	})
	return s.stopErr
}

// tool finds a program of OpenLDAP. The servers' folders are often not in an
// ordinary user's PATH.
func tool(name string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return p, nil
	}
	for _, d := range []string{"/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/local/libexec"} {
		if p, err := exec.LookPath(filepath.Join(d, name)); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("openldap rig: %s is not installed (Debian: slapd and ldap-utils)", name)
}

func run(ctx context.Context, stdin, name string, args ...string) error {
	path, err := tool(name)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("openldap rig: %s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}
