package servertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/cert"
	"rollcall.dev/rollcall/internal/rig/servers"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// reach are the ways to a server, right and wrong ones.
var reach = []check{
	{name: "ldaps://, with a CA of its own", run: func(ctx context.Context, s *servers.Server) error {
		return readable(ctx, s, nil)
	}},
	{name: "StartTLS", run: func(ctx context.Context, s *servers.Server) error {
		return readable(ctx, s, setting.Values{"addr": []string{s.URL}, "tls.start_tls": true})
	}},
	{name: "The Global Catalog", only: servers.ActiveDirectory, run: func(ctx context.Context, s *servers.Server) error {
		return readable(ctx, s, setting.Values{"addr": []string{s.TLSURL + ":3269"}})
	}},
	{name: "A certificate of another CA is refused", run: func(ctx context.Context, s *servers.Server) error {
		dir, err := os.MkdirTemp("", "rollcall-servertest-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		if err := cert.Make(dir, "localhost"); err != nil {
			return err
		}
		other := filepath.Join(dir, "ca.crt")
		return errors.Join(
			refused(ctx, s, setting.Values{"tls.ca_file": other}, fault.Invalid),
			refused(ctx, s, setting.Values{"tls.ca_file": other, "addr": []string{s.URL}, "tls.start_tls": true}, fault.Invalid))
	}},
	{name: "A wrong password is told as such", run: func(ctx context.Context, s *servers.Server) error {
		return errors.Join(
			refused(ctx, s, setting.Values{"bind_password": "Wrong-Password-1"}, fault.Denied),
			refused(ctx, s, setting.Values{"bind_dn": "cn=stranger," + s.Base}, fault.Denied))
	}},
	{name: "`rollcall check` finds nothing to complain of", run: func(ctx context.Context, s *servers.Server) error {
		p, err := look(ctx, s, nil)
		if err != nil {
			return err
		}
		src, err := p.open()
		if err != nil {
			return err
		}
		var errs []error
		src.Check(ctx, func(step source.Step) {
			if step.Verdict != source.OK && step.Verdict != source.Skip {
				errs = append(errs, fmt.Errorf("%s: %s: %s (%s)", step.Name, step.Verdict, step.Detail, step.Hint))
			}
		})
		return errors.Join(append(errs, src.Close())...)
	}},
}

// readable is nil when everybody can be read.
func readable(ctx context.Context, s *servers.Server, more setting.Values) error {
	p, err := full(ctx, s, more)
	if err != nil {
		return err
	}
	if p.last.Users != len(servers.Company()) || p.last.Groups != len(servers.Groups()) {
		return fmt.Errorf("%d people and %d groups were read", p.last.Users, p.last.Groups)
	}
	return nil
}

// refused is nil when a reading fails with an error of a kind, a hint for whom it
// concerns, and no password in it.
func refused(ctx context.Context, s *servers.Server, more setting.Values, kind fault.Kind) error {
	_, err := full(ctx, s, more)
	switch {
	case err == nil:
		return errors.New("it was let in")
	case fault.KindOf(err) != kind || fault.HintOf(err) == "":
		return fmt.Errorf("refused as kind %d with the hint %q: %w", fault.KindOf(err), fault.HintOf(err), err)
	}
	for _, secret := range []string{s.ReaderPassword, "Wrong-Password-1"} {
		if strings.Contains(err.Error()+fault.HintOf(err), secret) {
			return errors.New("the error tells the password")
		}
	}
	return nil
}
