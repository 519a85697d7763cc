// Package servers starts the four directory servers of the tests with one
// sample directory in each, and hands on how they are reached and a way to edit
// them that is the same for all.
package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"rollcall.dev/rollcall/internal/rig/apacheds"
	"rollcall.dev/rollcall/internal/rig/dirsrv"
	"rollcall.dev/rollcall/internal/rig/host"
	"rollcall.dev/rollcall/internal/rig/openldap"
	"rollcall.dev/rollcall/internal/rig/samba"
)

// The vendors, under the names the LDAP source gives them.
const (
	OpenLDAP        = "OpenLDAP"
	ActiveDirectory = "Active Directory" // Samba's
	DirectoryServer = "389 Directory Server"
	ApacheDS        = "Apache Directory"
)

// Vendors are all of them, the one that takes longest to start first.
var Vendors = []string{ActiveDirectory, OpenLDAP, DirectoryServer, ApacheDS}

// Server is a running server with the sample directory. Its edits are made by
// the administrator, over TLS, and are done when they return.
type Server struct {
	Vendor string
	host.Access

	PeopleBase, GroupsBase string // below Base

	life
	dialect dialect
}

// life is what a rig can do besides; see the package host.
type life interface {
	// Halt ends the process in good order, Kill at once; Resume goes on with the
	// same data at the same addresses.
	Halt()
	Kill()
	Resume(ctx context.Context) error
	// Restart is Halt and Resume.
	Restart(ctx context.Context) error
	// Reset brings the sample directory back as it was, under new external IDs but
	// in Active Directory.
	Reset(ctx context.Context) error
	// Stop ends the server and removes its folder.
	Stop() error
}

// Start brings up a server of a vendor.
func Start(ctx context.Context, vendor string) (*Server, error) {
	d, ok := dialects[vendor]
	if !ok {
		return nil, fmt.Errorf("rig: there is no server %q", vendor)
	}
	base := "dc=example,dc=org"
	if vendor == ActiveDirectory {
		base = "DC=rig,DC=example,DC=org"
	}
	dir, err := os.MkdirTemp("", "rollcall-sample-")
	if err != nil {
		return nil, fmt.Errorf("rig: make a folder for the sample directory: %w", err)
	}
	file := filepath.Join(dir, "sample.ldif")
	entries := d.sample(base)
	if vendor == OpenLDAP {
		top := entry{dn: base}
		top.add("objectClass", "domain")
		top.add("dc", "example")
		entries = append([]entry{top}, entries...)
		entries = append(entries, policy(base)...)
	}
	s := &Server{Vendor: vendor, PeopleBase: rdn(d.ou, "people") + "," + base, GroupsBase: rdn(d.ou, "groups") + "," + base, dialect: d}
	if err := os.WriteFile(file, []byte(ldif(entries)), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("rig: write the sample directory: %w", err), os.RemoveAll(dir))
	}
	if err := s.start(ctx, base, file); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	// Reset reads the sample again.
	s.life = &withFolder{s.life, dir}
	return s, nil
}

// People are the sample directory's as they are spelled in this server.
func (s *Server) People() []Person { return s.dialect.people() }

func (s *Server) start(ctx context.Context, base, file string) error {
	switch s.Vendor {
	case OpenLDAP:
		r, err := openldap.Start(ctx, openldap.Options{Suffix: base, LDIF: file, MemberOf: true, RefInt: true})
		if err != nil {
			return err
		}
		s.life, s.Access = r, host.Access{URL: r.URL, TLSURL: r.TLSURL, CAFile: r.CAFile, Base: base,
			ReaderDN: r.ReaderDN, ReaderPassword: r.ReaderPassword, AdminDN: r.AdminDN, AdminPassword: r.AdminPassword}
	case DirectoryServer:
		r, err := dirsrv.Start(ctx, dirsrv.Options{Suffix: base, LDIF: file})
		if err != nil {
			return err
		}
		s.life, s.Access = r, r.Access
	case ApacheDS:
		r, err := apacheds.Start(ctx, apacheds.Options{Suffix: base, LDIF: file})
		if err != nil {
			return err
		}
		s.life, s.Access = r, r.Access
	case ActiveDirectory:
		r, err := samba.Start(ctx, samba.Options{Suffix: base, LDIF: file})
		if err != nil {
			return err
		}
		s.life, s.Access = r, r.Access
	}
	return nil
}

// withFolder removes a folder when the server is stopped.
type withFolder struct {
	life
	dir string
}

func (w *withFolder) Stop() error { return errors.Join(w.life.Stop(), os.RemoveAll(w.dir)) }

// StartAll brings up one server of every vendor, at the same time. When one
// fails the others are stopped.
func StartAll(ctx context.Context) ([]*Server, error) {
	all := make([]*Server, len(Vendors))
	errs := make([]error, len(Vendors))
	var wg sync.WaitGroup
	for i, vendor := range Vendors {
		wg.Go(func() { all[i], errs[i] = Start(ctx, vendor) })
	}
	wg.Wait()
	err := errors.Join(errs...)
	if err != nil {
		return nil, errors.Join(err, StopAll(all))
	}
	return all, nil
}

// StopAll stops servers; those that are nil are passed over.
func StopAll(all []*Server) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, s := range all {
		if s != nil {
			wg.Go(func() { errs[i] = s.Stop() })
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}
