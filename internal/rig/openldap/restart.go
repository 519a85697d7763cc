package openldap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// NobodyDN is the DN that stands in a group without members, which must have
// one; there is no such entry.
func NobodyDN(suffix string) string { return "cn=nobody," + suffix }

// Halt ends the process in good order. Data and addresses stay, and Resume goes
// on with them. The log of deletions that content sync keeps is lost by it.
func (s *Server) Halt() { s.end(syscall.SIGTERM) }

// Kill ends the process where it stands, as a power cut would.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

func (s *Server) end(signal syscall.Signal) {
	if s.process == nil {
		return
	}
	_ = s.process.Signal(signal)
	select {
	case <-s.ended:
	case <-time.After(20 * time.Second):
		_ = s.process.Kill()
		<-s.ended
	}
	s.process, s.Pid = nil, 0
}

// Resume starts a halted server with the data it has, at the addresses it had.
func (s *Server) Resume(ctx context.Context) error {
	if s.process != nil {
		return errors.New("openldap rig: start it again: it runs already")
	}
	slapd, err := tool("slapd")
	if err != nil {
		return err
	}
	return s.try(ctx, slapd, strings.Replace(s.TLSURL, "localhost", "127.0.0.1", 1))
}

// Restart is Halt and Resume.
func (s *Server) Restart(ctx context.Context) error {
	s.Halt()
	return s.Resume(ctx)
}

// Reset throws the data away and starts anew with what the server began with.
// Addresses, certificates and passwords stay.
func (s *Server) Reset(ctx context.Context) error {
	s.Kill()
	for _, d := range []string{"conf", "db"} {
		dir := filepath.Join(s.Dir, d)
		if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
			return fmt.Errorf("openldap rig: empty its folder: %w", err)
		}
	}
	if err := s.fill(ctx, s.options); err != nil {
		return err
	}
	if err := s.Resume(ctx); err != nil {
		return err
	}
	return s.ensureReader(ctx)
}
