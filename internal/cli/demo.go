package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/rig/company"
	"rollcall.dev/rollcall/internal/rig/people"
	"rollcall.dev/rollcall/internal/store/accounts"
	"rollcall.dev/rollcall/internal/store/hooks"
	"rollcall.dev/rollcall/internal/store/keys"
)

// demoOptions are what somebody may choose of the demonstration.
type demoOptions struct {
	listen string
	folder string
	every  time.Duration
	length time.Duration
}

func (r *root) demo() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use: "demo", Short: "Run a server with a sample directory that changes by itself",
		Long: `Starts a simulated LDAP directory of a made-up company, in which people join, leave
and get new titles every minute; a server that keeps accounts in step with it; and
a catcher that shows what a webhook receives. Everything lives in a temporary
folder, unless --dir names one, and ends with Ctrl-C.`, Args: args(0, "no words"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := r.runDemo(cmd.Context(), o)
			if cmd.Context().Err() != nil && errors.Is(err, context.Canceled) {
				return nil // Ctrl-C is how it ends
			}
			return err
		},
	}
	cmd.Flags().StringVar(&o.listen, "listen", "127.0.0.1:8080", "host:port the server listens on")
	cmd.Flags().StringVar(&o.folder, "dir", "", "keep configuration and database in this folder")
	cmd.Flags().DurationVar(&o.every, "every", time.Minute, "how often something happens in the company")
	cmd.Flags().DurationVar(&o.length, "for", 0, "end after this long; 0 goes on until Ctrl-C")
	return cmd
}

// The company of the demonstration.
var sample = people.Options{People: 300, Groups: 12, LargestGroup: 60, Broken: 6}

func (r *root) runDemo(ctx context.Context, o demoOptions) (err error) {
	if o.every < time.Second {
		return usage{fmt.Errorf("--every %s: a second is the least", o.every)}
	}
	if o.length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.length)
		defer cancel()
	}
	if o.folder == "" {
		if o.folder, err = os.MkdirTemp("", "rollcall-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.folder)) }()
	} else if err := os.MkdirAll(o.folder, 0o700); err != nil {
		return err
	}
	directory, err := company.Start(sample)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, directory.Close()) }()
	path := filepath.Join(o.folder, "rollcall.yaml")
	if err := os.WriteFile(path, []byte(sampleConfiguration(o.listen, directory)), 0o600); err != nil {
		return err
	}
	a, err := app.Open(ctx, path, r.Env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	return r.demonstrate(ctx, a, directory, o)
}

func sampleConfiguration(listen string, c *company.Company) string {
	return fmt.Sprintf(`# The demonstration: a made-up company in a simulated directory.
listen: %s
public_url: http://%s
database: sqlite:rollcall.db
log: {level: warn}
webhooks: {allow_private: true}       # the catcher listens on this machine
organizations: [{id: sample, name: Sample Company, licence_limit: 400}]
connections:
  - alias: demo
    organization: sample
    schedule: every 1m
    jitter: 0s
    role: employee
    region: BE
    backend:
      ldap:
        addr: %s
        bind_dn: %s
        bind_password: %s
        base_dn: %s
        groups: {base_dn: "ou=groups,%s"}
    mapping:
      department: {expr: 'first(departmentNumber)'}
`, listen, listen, c.URL, c.BindDN, c.Password, c.Suffix, c.Suffix)
}

// demonstrate fills the accounts, tells where everything is, and then shows what
// happens until ctx ends.
func (r *root) demonstrate(ctx context.Context, a *app.App, directory *company.Company, o demoOptions) (err error) {
	c, err := a.Registry.Connection(ctx, "demo")
	if err != nil {
		return err
	}
	first, err := a.Engine.Sync(ctx, c, engine.Options{Actor: actor(), Trigger: "manual"})
	if err != nil {
		return err
	}
	key, _, err := a.Store.KeyTable.Create(ctx, keys.Scope{}, "demo", time.Time{}, actor())
	if err != nil {
		return err
	}
	lines := make(chan string)
	caught, err := startCatcher(ctx, lines)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, caught.close()) }()
	hook, secret, err := a.Store.HookTable.Create(ctx, "", hooks.Spec{URL: caught.url, Description: "the demonstration's catcher"}, actor())
	if err != nil {
		return err
	}
	caught.expect(secret)
	served := make(chan error, 1)
	ready := make(chan string, 1)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		served <- a.Serve(ctx, thisVersion().Version, r.Err, nil, r.Env, func(address string) { ready <- address })
	}()
	var base string
	select {
	case err := <-served:
		return err
	case address := <-ready:
		base = "http://" + address
		who, err := somebody(ctx, a)
		if err != nil {
			stop()
			return errors.Join(err, <-served)
		}
		r.welcome(base, key, hook, first, o.every, who)
		r.firstLink(ctx, a, address)
	}
	// The first comes soon: nobody waits a minute to see whether it works.
	tick := time.NewTicker(min(o.every, 10*time.Second))
	defer tick.Stop()
	for {
		select {
		case err := <-served:
			return err
		case line := <-lines:
			fmt.Fprintln(r.Out, line)
		case <-tick.C:
			tick.Reset(o.every)
			what, err := directory.Tick()
			if err != nil {
				stop()
				return errors.Join(err, <-served)
			}
			fmt.Fprintf(r.Out, "%s  directory  %s, %s joined, %s left\n", time.Now().Format(time.TimeOnly), counted(what.Titles, "new title"), number(what.Joiners), number(what.Leavers))
			if o.every < time.Minute {
				// Schedules are no quicker than this; a demonstration may be.
				if err := caught.ask(ctx, base, key); err != nil && ctx.Err() == nil {
					stop()
					return errors.Join(err, <-served)
				}
			}
		}
	}
}

// somebody is the e-mail address of one of the people, to sign in with.
func somebody(ctx context.Context, a *app.App) (email string, err error) {
	err = a.Store.AccountTable.List(ctx, accounts.Filter{Organization: "sample", Status: account.Active, Limit: 1}, func(found *account.Account) error {
		email = found.Text[account.Email]
		return nil
	})
	return email, err
}

func (r *root) welcome(base, key string, hook *hooks.Webhook, first *engine.Result, every time.Duration, who string) {
	fmt.Fprintf(r.Out, `
Rollcall runs at %[1]s with the directory of a made-up company: %[2]s people synchronised.
Every %[3]s something happens in it; what the webhook %[4]s receives is shown below.

  export KEY=%[5]s

  Sign in       %[1]s/login/demo as %[6]s with the password %[7]q, which is everybody's

  Accounts      curl -H "Authorization: Bearer $KEY" "%[1]s/api/v1/accounts?limit=3"
  A run now     curl -H "Authorization: Bearer $KEY" -X POST %[1]s/api/v1/connections/demo/sync
  Events        curl -H "Authorization: Bearer $KEY" "%[1]s/api/v1/events?after=0&limit=3"
  All there is  %[1]s/api/v1/openapi.json
  Metrics       %[1]s/metrics

Ctrl-C ends it.

`, base, number(first.Run.Summary.Create), strings.Replace(every.String(), "m0s", "m", 1), hook.ID, key, who, company.Everybodys)
}
