package cli

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/clients"
)

func (r *root) clients() *cobra.Command {
	cmd := &cobra.Command{Use: "clients", Short: "Register, list and change the applications that people sign in to"}
	cmd.AddCommand(r.clientsCreate(), r.clientsList(), r.clientsShow(), r.clientsUpdate(), r.clientsDelete(), r.clientsRotate(), r.clientsKeys())
	return cmd
}

// clientFlags are what a client is to be, as options.
type clientFlags struct {
	name, backchannel, algorithm            string
	redirects, logouts, connections, scopes []string
	pkce                                    bool
	access, id, refreshIdle, refreshMax     string
	given                                   func(option string) bool
}

func (f *clientFlags) declare(cmd *cobra.Command) {
	set := cmd.Flags()
	f.given = set.Changed
	set.StringVar(&f.name, "name", "", "what people see when they sign in")
	set.StringArrayVar(&f.redirects, "redirect-uri", nil, "where answers are sent, letter by letter; may be given several times")
	set.StringArrayVar(&f.logouts, "post-logout-redirect-uri", nil, "where people may be sent when they have signed out; may be given several times")
	set.StringVar(&f.backchannel, "backchannel-logout-uri", "", "told when a login ends")
	set.StringArrayVar(&f.connections, "connection", nil, "a connection by which people may sign in (all unless given); may be given several times")
	set.StringSliceVar(&f.scopes, "scopes", nil, "of openid,profile,email,phone,groups,offline_access (all but the last unless given)")
	set.StringVar(&f.algorithm, "signing-algorithm", "", "RS256 (the default) or ES256")
	set.BoolVar(&f.pkce, "require-pkce", true, "refuse requests without PKCE; a confidential client that cannot do it sets this to false")
	set.StringVar(&f.access, "access-token-life", "", "such as 10m, the default")
	set.StringVar(&f.id, "id-token-life", "", "such as 1h, the default")
	set.StringVar(&f.refreshIdle, "refresh-idle", "", "after how long an unused refresh token ends, such as 14d, the default")
	set.StringVar(&f.refreshMax, "refresh-max", "", "after how long any does, such as 90d, the default")
}

// patch is what was given of it.
func (f *clientFlags) patch() (in client.OIDCClientPatchInput, err error) {
	for name, into := range map[string]func(){
		"name": func() { in.Name = &f.name }, "redirect-uri": func() { in.RedirectURIs = &f.redirects }, "post-logout-redirect-uri": func() { in.PostLogoutRedirectURIs = &f.logouts },
		"backchannel-logout-uri": func() { in.BackchannelLogoutURI = &f.backchannel }, "connection": func() { in.Connections = &f.connections }, "scopes": func() { in.Scopes = &f.scopes },
		"signing-algorithm": func() { in.SigningAlgorithm = &f.algorithm }, "require-pkce": func() { in.RequirePKCE = &f.pkce },
	} {
		if f.given(name) {
			into()
		}
	}
	// An empty text takes a list away.
	for _, list := range []*[]string{in.PostLogoutRedirectURIs, in.Connections} {
		if list != nil && len(*list) == 1 && (*list)[0] == "" {
			*list = []string{}
		}
	}
	for name, of := range map[string]struct {
		text string
		into **int64
	}{"access-token-life": {f.access, &in.AccessTokenSeconds}, "id-token-life": {f.id, &in.IDTokenSeconds}, "refresh-idle": {f.refreshIdle, &in.RefreshIdleSeconds}, "refresh-max": {f.refreshMax, &in.RefreshMaxSeconds}} {
		if of.text == "" {
			continue
		}
		d, err := setting.ParseDuration(of.text)
		if err != nil {
			return in, usage{fmt.Errorf("--%s: %w", name, err)}
		}
		seconds := int64(d / time.Second)
		*of.into = &seconds
	}
	return in, nil
}

func (r *root) clientsCreate() *cobra.Command {
	var f clientFlags
	var organization string
	var public bool
	cmd := &cobra.Command{
		Use: "create", Short: "Register an application and print its ID and secret, this once", Args: args(0, "no words, only options"),
		Long: `Registers an application and prints its client ID and, below it, its secret. The
secret is kept nowhere: whoever loses it makes another one by rotate-secret.`,
		Example: `  rollcall clients create --name Timesheets --redirect-uri https://app.example.com/callback`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			patch, err := f.patch()
			if err != nil {
				return err
			}
			in := client.OIDCClientInput{Organization: organization, Type: string(clients.Confidential), OIDCClientPatchInput: patch}
			if public {
				in.Type = string(clients.Public)
			}
			return r.at(cmd.Context(), func(a place) error {
				made, err := a.CreateClient(cmd.Context(), in)
				if err != nil {
					return err
				}
				return r.printSecret(made)
			})
		},
	}
	f.declare(cmd)
	cmd.Flags().StringVar(&organization, "organization", "", "whose people may sign in (those of all unless given)")
	cmd.Flags().BoolVar(&public, "public", false, "a program in a browser or on a device, which can keep no secret")
	return cmd
}

func (r *root) printSecret(c client.NewOIDCClient) error {
	if r.output == "json" {
		return r.json(c)
	}
	fmt.Fprintln(r.Out, c.ID)
	if c.Secret == nil {
		fmt.Fprintf(r.Err, "This is the client ID of %s. It is public: it has no secret, and uses PKCE.\n", c.Name)
		return nil
	}
	fmt.Fprintln(r.Out, *c.Secret)
	fmt.Fprintf(r.Err, "These are the client ID and the secret of %s. The secret is not shown again.\n", c.Name)
	if c.OldSecretUntil != nil {
		fmt.Fprintf(r.Err, "The one before is good until %s.\n", stamp(*c.OldSecretUntil))
	}
	return nil
}

func (r *root) clientsList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the applications that people sign in to", Args: args(0, "no words"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.at(cmd.Context(), func(a place) error {
				list, err := a.Clients(cmd.Context())
				if err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(append([]client.OIDCClient{}, list...))
				}
				t := r.table(column{"CLIENT ID", fixed}, column{"NAME", wraps}, column{"TYPE", fixed}, column{"ORGANIZATION", fixed}, column{"CONNECTIONS", wraps}, column{"CREATED", fixed})
				for i := range list {
					c := &list[i]
					t.add(c.ID, c.Name, c.Type, orAll(c.Organization), orEvery(c.Connections), c.CreatedAt)
				}
				t.end("There are no clients; `rollcall clients create` registers one.")
				return nil
			})
		},
	}
}

func orAll(organization *string) string {
	if organization == nil {
		return "all"
	}
	return *organization
}

func orEvery(list []string) string {
	if len(list) == 0 {
		return "all"
	}
	return strings.Join(list, ", ")
}

func (r *root) clientsShow() *cobra.Command {
	return &cobra.Command{
		Use: "show CLIENT", Short: "Show an application", Args: args(1, "a client ID"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.at(cmd.Context(), func(a place) error {
				c, err := a.Client(cmd.Context(), words[0])
				if err != nil {
					return err
				}
				return r.printClient(c)
			})
		},
	}
}

func (r *root) printClient(c client.OIDCClient) error {
	if r.output == "json" {
		return r.json(c)
	}
	life := func(seconds int64) string { return (time.Duration(seconds) * time.Second).String() }
	backchannel := "none"
	if c.BackchannelLogoutURI != nil {
		backchannel = *c.BackchannelLogoutURI
	}
	for _, row := range [][2]string{
		{"client ID", c.ID}, {"name", c.Name}, {"type", c.Type}, {"organization", orAll(c.Organization)}, {"connections", orEvery(c.Connections)}, {"redirect URIs", strings.Join(c.RedirectURIs, " ")},
		{"post-logout redirect URIs", strings.Join(c.PostLogoutRedirectURIs, " ")}, {"back-channel logout URI", backchannel}, {"scopes", strings.Join(c.Scopes, " ")},
		{"signing algorithm", c.SigningAlgorithm}, {"PKCE required", map[bool]string{true: "yes", false: "no"}[c.RequirePKCE]}, {"access token life", life(c.AccessTokenSeconds)},
		{"ID token life", life(c.IDTokenSeconds)}, {"refresh token, unused", life(c.RefreshIdleSeconds)}, {"refresh token, at most", life(c.RefreshMaxSeconds)},
	} {
		r.paragraph(fmt.Sprintf("%-26s ", row[0]), row[1])
	}
	return nil
}

func (r *root) clientsUpdate() *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use: "update CLIENT", Short: "Change an application; what is not given stays", Args: args(1, "a client ID"),
		RunE: func(cmd *cobra.Command, words []string) error {
			patch, err := f.patch()
			if err != nil {
				return err
			}
			return r.at(cmd.Context(), func(a place) error {
				c, err := a.UpdateClient(cmd.Context(), words[0], patch)
				if err != nil {
					return err
				}
				return r.printClient(c)
			})
		},
	}
	f.declare(cmd)
	return cmd
}

func (r *root) clientsDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete CLIENT", Short: "Take an application away, with everything it was given", Args: args(1, "a client ID"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.at(cmd.Context(), func(a place) error {
				if err := a.DeleteClient(cmd.Context(), words[0]); err != nil {
					return err
				}
				fmt.Fprintf(r.Out, "Deleted client %s.\n", words[0])
				return nil
			})
		},
	}
}

func (r *root) clientsRotate() *cobra.Command {
	var overlap string
	cmd := &cobra.Command{
		Use: "rotate-secret CLIENT", Short: "Make another secret and print it, this once", Args: args(1, "a client ID"),
		RunE: func(cmd *cobra.Command, words []string) error {
			d, err := setting.ParseDuration(overlap)
			if err != nil {
				return usage{fmt.Errorf("--overlap: %w", err)}
			}
			return r.at(cmd.Context(), func(a place) error {
				c, err := a.RotateClientSecret(cmd.Context(), words[0], d)
				if err != nil {
					return err
				}
				return r.printSecret(c)
			})
		},
	}
	cmd.Flags().StringVar(&overlap, "overlap", "24h", "how long the one before stays good; 0s where it is known to others")
	return cmd
}

func (r *root) clientsKeys() *cobra.Command {
	var forget bool
	cmd := &cobra.Command{
		Use: "rotate-keys", Short: "Make new keys to sign tokens with, at once", Args: args(0, "no words"),
		Long: `Keys that sign tokens take turns by themselves, every 90 days. This makes new ones
that sign from now on, for when one may have become known, or cannot be opened any
more. Applications read the new ones when they meet them.

With --forget the keys before are forgotten: nothing they signed is believed any
more. Without, they stay published for a day.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.open(cmd.Context(), func(a *app.App) error {
				if err := a.Store.SigningKeys.Rotate(cmd.Context(), forget, actor()); err != nil {
					return err
				}
				fmt.Fprintln(r.Out, "Tokens are signed with new keys. Other nodes notice within a minute.")
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&forget, "forget", false, "believe nothing any more that the keys before signed")
	return cmd
}

func (d direct) Clients(ctx context.Context) ([]client.OIDCClient, error) {
	list, err := d.Store.ClientTable.List(ctx, "", "", math.MaxInt32)
	if err != nil {
		return nil, err
	}
	return as[[]client.OIDCClient](list)
}

func (d direct) Client(ctx context.Context, id string) (client.OIDCClient, error) {
	c, err := d.Store.ClientTable.Get(ctx, "", id)
	return shownClient(c, err)
}

func shownClient(c *clients.Client, err error) (client.OIDCClient, error) {
	if err != nil {
		return client.OIDCClient{}, err
	}
	return as[client.OIDCClient](c)
}

func withSecret(c *clients.Client, secret string, err error) (client.NewOIDCClient, error) {
	shown, err := shownClient(c, err)
	out := client.NewOIDCClient{OIDCClient: shown}
	if secret != "" {
		out.Secret = &secret
	}
	return out, err
}

func (d direct) CreateClient(ctx context.Context, in client.OIDCClientInput) (client.NewOIDCClient, error) {
	return withSecret(d.Store.ClientTable.Create(ctx, "", clients.Spec{Organization: in.Organization, Type: clients.Type(in.Type), OIDCClientPatchInput: in.OIDCClientPatchInput}, actor()))
}

func (d direct) UpdateClient(ctx context.Context, id string, in client.OIDCClientPatchInput) (client.OIDCClient, error) {
	return shownClient(d.Store.ClientTable.Update(ctx, "", id, clients.Spec{OIDCClientPatchInput: in}, actor()))
}

func (d direct) DeleteClient(ctx context.Context, id string) error {
	return d.Store.ClientTable.Delete(ctx, "", id, actor())
}

func (d direct) RotateClientSecret(ctx context.Context, id string, overlap time.Duration) (client.NewOIDCClient, error) {
	return withSecret(d.Store.ClientTable.RotateSecret(ctx, "", id, overlap, actor()))
}

func (r remote) Clients(ctx context.Context) ([]client.OIDCClient, error) {
	return gather[client.OIDCClient](r.c.OIDCClients(ctx), math.MaxInt)
}

func (r remote) Client(ctx context.Context, id string) (client.OIDCClient, error) {
	c, err := r.c.OIDCClient(ctx, id)
	return c, told(err)
}

func (r remote) CreateClient(ctx context.Context, in client.OIDCClientInput) (client.NewOIDCClient, error) {
	c, err := r.c.CreateOIDCClient(ctx, in)
	return c, told(err)
}

func (r remote) UpdateClient(ctx context.Context, id string, in client.OIDCClientPatchInput) (client.OIDCClient, error) {
	c, err := r.c.UpdateOIDCClient(ctx, id, in)
	return c, told(err)
}

func (r remote) DeleteClient(ctx context.Context, id string) error {
	return told(r.c.DeleteOIDCClient(ctx, id))
}

func (r remote) RotateClientSecret(ctx context.Context, id string, overlap time.Duration) (client.NewOIDCClient, error) {
	seconds := int(overlap / time.Second)
	c, err := r.c.RotateClientSecret(ctx, id, client.RotateInput{OverlapSeconds: &seconds})
	return c, told(err)
}
