package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/admins"
)

func (r *root) admins() *cobra.Command {
	cmd := &cobra.Command{
		Use: "admins", Short: "Make, invite, list and take away the people who may use the console",
		Long: `The people who may use the console. These commands work on the database of the
configuration, never through --server: whoever can open the database is trusted.

ROLE is one of
  operator         everything
  administrator    everything of one organization, named with --organization
  auditor          reads; one organization, or all without --organization`,
	}
	cmd.AddCommand(r.adminsCreate(), r.adminsInvite(), r.adminsList(), r.adminsUpdate(), r.adminsReset(), r.adminsSessions(),
		r.adminsDo("disable", "Keep an administrator out at once", "Disabled %s. Their sessions have ended.\n", (*admins.Admins).Disable),
		r.adminsDo("enable", "Let a disabled administrator in again", "Enabled %s.\n", (*admins.Admins).Enable),
		r.adminsDo("delete", "Take an administrator away for good", "Deleted %s. Their sessions have ended.\n", func(s *admins.Admins, ctx context.Context, by admins.By, id string) (*admins.Administrator, error) {
			a, err := s.Get(ctx, by, id)
			if err != nil {
				return nil, err
			}
			return a, s.Delete(ctx, by, a.ID)
		}))
	return cmd
}

func byCommand() admins.By { return admins.By{Actor: actor()} }

// who fills a Spec from options.
func who(cmd *cobra.Command, spec *admins.Spec) {
	cmd.Flags().StringVar(&spec.Email, "email", "", "the e-mail address to sign in with")
	cmd.Flags().StringVar(&spec.Name, "name", "", "the person's name")
	cmd.Flags().StringVar((*string)(&spec.Role), "role", "", "operator, administrator or auditor (default operator; administrator with --organization)")
	cmd.Flags().StringVar(&spec.Organization, "organization", "", "the only organization it is for")
}

// complete puts in the role that goes without saying.
func complete(spec *admins.Spec) error {
	if spec.Email == "" {
		return usage{errors.New("--email is missing")}
	}
	if spec.Role == "" {
		spec.Role = admins.Operator
		if spec.Organization != "" {
			spec.Role = admins.Manager
		}
	}
	return nil
}

func (r *root) adminsCreate() *cobra.Command {
	var spec admins.Spec
	var stdin bool
	cmd := &cobra.Command{
		Use: "create --email E --password-stdin", Short: "Make an administrator with a password", Args: args(0, "no words, only options"),
		Long: `Makes an administrator, whose password is read from standard input: options show in
the list of processes. It takes at least 12 characters. To let somebody choose a
password of their own, see ` + "`rollcall admins invite`" + `.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := complete(&spec); err != nil {
				return err
			}
			if !stdin {
				return usage{errors.New("the password is read with --password-stdin; `rollcall admins invite` lets the person choose one")}
			}
			var err error
			if spec.Password, err = oneLine(r.In); err != nil {
				return err
			}
			return r.open(cmd.Context(), func(a *app.App) error {
				made, err := a.Store.AdminTable.Create(cmd.Context(), byCommand(), spec)
				if err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(made)
				}
				fmt.Fprintf(r.Out, "Made %s, %s.\n", clean(made.Email), rights(made.Role, made.Organization))
				return nil
			})
		},
	}
	who(cmd, &spec)
	cmd.Flags().BoolVar(&stdin, "password-stdin", false, "read the password from standard input")
	return cmd
}

// oneLine reads a secret that is one line of text.
func oneLine(in io.Reader) (string, error) {
	const most = 4096
	b, err := io.ReadAll(io.LimitReader(in, most))
	if err != nil {
		return "", fault.New(fault.Invalid, "read the password: %w", err)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if text == "" || strings.ContainsAny(text, "\r\n") {
		return "", fault.New(fault.Invalid, "the password on standard input is not one line of text").
			WithHint("for instance: pass show rollcall | rollcall admins create --email eve@example.com --password-stdin")
	}
	return text, nil
}

// rights is a role in words.
func rights(role admins.Role, organization string) string {
	switch {
	case organization != "":
		return string(role) + " of " + organization
	case role == admins.Auditor:
		return "auditor of all organizations"
	}
	return string(role)
}

// oneTime prints a link that is good once.
func (r *root) oneTime(a *app.App, token string, l *admins.Link, what string) error {
	url := strings.TrimSuffix(a.Config.PublicURL, "/") + admins.Path + token
	if r.output == "json" {
		return r.json(struct {
			URL  string       `json:"url"`
			Link *admins.Link `json:"link"`
		}{url, l})
	}
	fmt.Fprintln(r.Out, url)
	fmt.Fprintf(r.Err, "%s It is good once, until %s, and is not shown again.\n", what, stamp(l.ExpiresAt))
	return nil
}

func (r *root) adminsInvite() *cobra.Command {
	var spec admins.Spec
	cmd := &cobra.Command{
		Use: "invite --email E", Short: "Print a one-time link by which somebody becomes an administrator", Args: args(0, "no words, only options"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := complete(&spec); err != nil {
				return err
			}
			return r.open(cmd.Context(), func(a *app.App) error {
				token, l, err := a.Store.AdminTable.Invite(cmd.Context(), byCommand(), spec)
				if err != nil {
					return err
				}
				return r.oneTime(a, token, l, fmt.Sprintf("By this link %s becomes %s.", clean(l.Email), rights(l.Role, l.Organization)))
			})
		},
	}
	who(cmd, &spec)
	return cmd
}

func (r *root) adminsReset() *cobra.Command {
	var email string
	var factor bool
	cmd := &cobra.Command{
		Use: "reset --email E", Short: "Print a one-time link for a forgotten password, or take a lost second factor away", Args: args(0, "no words, only options"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if email == "" {
				return usage{errors.New("--email is missing")}
			}
			ctx := cmd.Context()
			return r.open(ctx, func(a *app.App) error {
				s := a.Store.AdminTable
				one, err := s.Get(ctx, byCommand(), email)
				if err != nil {
					return err
				}
				if factor {
					if err := s.ResetSecondFactor(ctx, byCommand(), one.ID); err != nil {
						return err
					}
					fmt.Fprintf(r.Out, "%s signs in with the password alone until a second factor is set up again. Their sessions have ended.\n", clean(one.Email))
					return nil
				}
				token, l, err := s.ResetLink(ctx, byCommand(), one.ID)
				if err != nil {
					return err
				}
				return r.oneTime(a, token, l, fmt.Sprintf("By this link %s chooses another password.", clean(l.Email)))
			})
		},
	}
	cmd.Flags().StringVar(&email, "email", "", "whose")
	cmd.Flags().BoolVar(&factor, "second-factor", false, "take away authenticator app, passkeys and recovery codes, and print no link")
	return cmd
}

func (r *root) adminsList() *cobra.Command {
	var organization string
	cmd := &cobra.Command{
		Use: "list", Short: "List the people who may use the console", Args: args(0, "no words"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.open(cmd.Context(), func(a *app.App) error {
				list := []*admins.Administrator{}
				for after := ""; ; {
					page, err := a.Store.AdminTable.List(cmd.Context(), byCommand(), organization, after, 500)
					if err != nil {
						return err
					}
					list = append(list, page...)
					if len(page) < 500 {
						break
					}
					after = page[len(page)-1].Email
				}
				if r.output == "json" {
					return r.json(list)
				}
				t := r.table(column{"E-MAIL", fixed}, column{"NAME", wraps}, column{"ROLE", wraps}, column{"SECOND FACTOR", fixed}, column{"LAST SIGN-IN", fixed}, column{"STATUS", fixed})
				for _, one := range list {
					status, factor := "active", "no"
					if one.Disabled {
						status = "disabled"
					}
					if one.SecondFactor {
						factor = "yes"
					}
					t.add(one.Email, one.Name, rights(one.Role, one.Organization), factor, one.SignedInAt, status)
				}
				t.end("There are no administrators; `rollcall serve` prints a link for the first one, or use `rollcall admins create`.")
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&organization, "organization", "", "only those of this organization")
	return cmd
}

func (r *root) adminsUpdate() *cobra.Command {
	var name, role, organization string
	cmd := &cobra.Command{
		Use: "update EMAIL", Short: "Change name, role or organization; another role ends the sessions", Args: args(1, "the e-mail address of an administrator"),
		RunE: func(cmd *cobra.Command, words []string) error {
			var p admins.Patch
			if cmd.Flags().Changed("name") {
				p.Name = &name
			}
			if cmd.Flags().Changed("role") {
				p.Role = (*admins.Role)(&role)
				if *p.Role == admins.Operator {
					p.Organization = &organization
				}
			}
			if cmd.Flags().Changed("organization") {
				p.Organization = &organization
			}
			return r.open(cmd.Context(), func(a *app.App) error {
				one, err := a.Store.AdminTable.Get(cmd.Context(), byCommand(), words[0])
				if err != nil {
					return err
				}
				if one, err = a.Store.AdminTable.Update(cmd.Context(), byCommand(), one.ID, p); err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(one)
				}
				fmt.Fprintf(r.Out, "%s is %s.\n", clean(one.Email), rights(one.Role, one.Organization))
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "the person's name")
	cmd.Flags().StringVar(&role, "role", "", "operator, administrator or auditor")
	cmd.Flags().StringVar(&organization, "organization", "", "the only organization it is for; \"\" makes an auditor one of all")
	return cmd
}

// adminsDo is a command that does one thing to one administrator.
func (r *root) adminsDo(name, short, says string, do func(*admins.Admins, context.Context, admins.By, string) (*admins.Administrator, error)) *cobra.Command {
	return &cobra.Command{
		Use: name + " EMAIL", Short: short, Args: args(1, "the e-mail address of an administrator"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.open(cmd.Context(), func(a *app.App) error {
				one, err := a.Store.AdminTable.Get(cmd.Context(), byCommand(), words[0])
				if err != nil {
					return err
				}
				if one, err = do(a.Store.AdminTable, cmd.Context(), byCommand(), one.ID); err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(one)
				}
				fmt.Fprintf(r.Out, says, clean(one.Email))
				return nil
			})
		},
	}
}

func (r *root) adminsSessions() *cobra.Command {
	var revoke string
	cmd := &cobra.Command{
		Use: "sessions EMAIL", Short: "List the sessions of an administrator, or end them", Args: args(1, "the e-mail address of an administrator"),
		RunE: func(cmd *cobra.Command, words []string) error {
			ctx := cmd.Context()
			return r.open(ctx, func(a *app.App) error {
				s := a.Store.AdminTable
				one, err := s.Get(ctx, byCommand(), words[0])
				if err != nil {
					return err
				}
				switch revoke {
				case "":
				case "all":
					if _, err := s.RevokeOthers(ctx, byCommand(), one.ID, ""); err != nil {
						return err
					}
				default:
					if err := s.Revoke(ctx, byCommand(), one.ID, revoke); err != nil {
						return err
					}
				}
				list, err := s.Sessions(ctx, byCommand(), one.ID)
				if err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(append([]*admins.Session{}, list...))
				}
				t := r.table(column{"SESSION", fixed}, column{"ADDRESS", fixed}, column{"BROWSER", wraps}, column{"SIGNED IN", fixed}, column{"LAST SEEN", fixed})
				for _, x := range list {
					t.add(x.ID, x.Address, x.Agent, x.CreatedAt, x.SeenAt)
				}
				t.end(clean(one.Email) + " has no sessions.")
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&revoke, "revoke", "", "end this session, or `all`, before listing")
	return cmd
}

// firstLink prints how to make the first operator, where there is no administrator.
// It never goes into the log: whoever reads it becomes the operator.
func (r *root) firstLink(ctx context.Context, a *app.App, address string) {
	token, err := a.Store.AdminTable.FirstLink(ctx)
	switch {
	case err != nil:
		fmt.Fprintf(r.Err, "rollcall: there is no link for the first operator: %v; `rollcall admins create` makes one\n", err)
	case token != "":
		fmt.Fprintf(r.Out, "Create the first operator: %s\n", publicURL(a.Config, address)+admins.Path+token)
	}
}

// publicURL is where people reach the server: where nobody said so, the address it
// listens on, seen from this machine.
func publicURL(c *config.Config, address string) string {
	host, port, err := net.SplitHostPort(address)
	if c.PublicURL != config.DefaultPublicURL || err != nil {
		return strings.TrimSuffix(c.PublicURL, "/")
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() || ip.IsLoopback() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}
