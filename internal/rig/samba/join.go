package samba

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"rollcall.dev/rollcall/internal/rig/host"
)

// Join starts a second domain controller of the domain of a server that was started with
// Options.Replicated. It begins with what the first one has, and learns of no change
// until it is told to Pull. Administrator and reader are the same on both.
func (s *Server) Join(ctx context.Context) (*Server, error) {
	h, err := host.New("samba", "")
	if err != nil {
		return nil, err
	}
	o := &Server{Host: h, name: "dc2", offers: true, joins: s}
	o.Base = s.Base
	if err := o.begin(ctx); err != nil {
		return nil, errors.Join(err, o.Stop())
	}
	return o, nil
}

// join brings in the databases, from the other controller.
func (s *Server) join(ctx context.Context) error {
	if err := s.folders(); err != nil {
		return err
	}
	return s.asAdministrator(ctx, "domain", "join", s.realm, "DC", "--server="+s.joins.address, "--dns-backend=NONE", "--realm="+strings.ToUpper(s.realm))
}

// Pull replicates the domain's naming context from another controller: all its changes,
// and those that it has from others.
func (s *Server) Pull(ctx context.Context, from *Server) error {
	return s.asAdministrator(ctx, "drs", "replicate", s.name, from.address, s.Base, "--local")
}

// asAdministrator runs samba-tool. It is told the file of the password by its environment:
// lists of processes show arguments to everybody.
func (s *Server) asAdministrator(ctx context.Context, args ...string) error {
	file := filepath.Join(s.Dir, "administrator")
	if err := s.WriteFile(file, []byte(s.AdminPassword)); err != nil {
		return err
	}
	return s.Run(ctx, "", "env", append(append([]string{"PASSWD_FILE=" + file, "samba-tool"}, args...),
		"--configfile="+s.configFile(), "--username="+s.workgroup()+"\\Administrator", "--use-kerberos=off")...)
}
