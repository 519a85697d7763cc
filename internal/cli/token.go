package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/setting"
)

func (r *root) connectionsToken() *cobra.Command {
	var name, expires, overlap, revoke string
	var rotate, oauth, list bool
	cmd := &cobra.Command{
		Use: "token CONNECTION", Short: "Make what a SCIM client signs in with and print it, this once; or list, rotate, revoke",
		Long: `Makes a token for the SCIM client of an identity provider (Entra ID, Okta) that
pushes to a connection of kind scim, and prints the tenant URL and the token.
It is kept nowhere: whoever loses it makes another one. Two are valid at a
time, so that one can be changed for the other without a gap.

With --oauth it is the secret of an OAuth 2.0 client instead, with which the
identity provider gets access tokens (client credentials).`,
		Args: args(1, "the alias of a connection"),
		RunE: func(cmd *cobra.Command, words []string) error {
			if more := count(rotate, list, revoke != ""); more > 1 {
				return usage{fmt.Errorf("--rotate, --list and --revoke are three different things")}
			}
			kind := "bearer"
			if oauth {
				kind = "oauth"
			}
			return r.at(cmd.Context(), func(a place) error {
				switch ctx := cmd.Context(); {
				case list:
					return r.listTokens(ctx, a, words[0])
				case revoke != "":
					return r.revokeToken(ctx, a, words[0], revoke)
				case rotate:
					in := client.PushRotateInput{Kind: kind}
					if overlap != "" {
						d, err := setting.ParseDuration(overlap)
						if err != nil {
							return usage{fmt.Errorf("--overlap: %w", err)}
						}
						seconds := int(d / time.Second)
						in.OverlapSeconds = &seconds
					}
					t, err := a.RotatePushToken(ctx, words[0], in)
					return r.printToken(t, err)
				}
				in := client.PushTokenInput{Name: name, Kind: kind, NoExpiry: expires == "never"}
				if expires != "" && !in.NoExpiry {
					d, err := setting.ParseDuration(expires)
					if err != nil {
						return usage{fmt.Errorf("--expires: %w", err)}
					}
					end := now().Add(d)
					in.ExpiresAt = &end
				}
				t, err := a.CreatePushToken(cmd.Context(), words[0], in)
				return r.printToken(t, err)
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "who has it")
	cmd.Flags().StringVar(&expires, "expires", "", "after how long it ends, such as 180d, or never (365d unless given)")
	cmd.Flags().BoolVar(&oauth, "oauth", false, "the secret of an OAuth 2.0 client in place of a token")
	cmd.Flags().BoolVar(&rotate, "rotate", false, "make one in the place of the newest, which stays good for a while")
	cmd.Flags().StringVar(&overlap, "overlap", "", "with --rotate: how long both are good, such as 2h (a day unless given)")
	cmd.Flags().StringVar(&revoke, "revoke", "", "end the token that begins like this, at once")
	cmd.Flags().BoolVar(&list, "list", false, "list the tokens there are, by how they begin")
	return cmd
}

func count(given ...bool) (n int) {
	for _, g := range given {
		if g {
			n++
		}
	}
	return n
}

// printToken prints what goes into the identity provider's form, line by line, and
// what is to be said about it elsewhere.
func (r *root) printToken(t client.NewPushToken, err error) error {
	if err != nil {
		return err
	}
	if r.output == "json" {
		return r.json(t)
	}
	fmt.Fprintf(r.Out, "Tenant URL:     %s\n", t.TenantURL)
	if t.ClientID != nil {
		fmt.Fprintf(r.Out, "Token endpoint: %s\nClient ID:      %s\nClient secret:  %s\n", optionalText(t.TokenURL), *t.ClientID, t.Secret)
	} else {
		fmt.Fprintf(r.Out, "Secret token:   %s\n", t.Secret)
	}
	until := "It never expires."
	if t.ExpiresAt != nil {
		until = "It is good until " + stamp(*t.ExpiresAt) + "."
	}
	fmt.Fprintf(r.Err, "%s It is not shown again.\n", until)
	return nil
}

func (r *root) listTokens(ctx context.Context, a place, alias string) error {
	list, err := a.PushTokens(ctx, alias)
	if err != nil {
		return err
	}
	if r.output == "json" {
		return r.json(append([]client.PushToken{}, list...))
	}
	t := r.table(column{"TOKEN", fixed}, column{"KIND", fixed}, column{"NAME", wraps}, column{"CREATED", fixed}, column{"LAST USED", fixed}, column{"ENDS", wraps})
	for i := range list {
		k := &list[i]
		end := "never"
		switch {
		case k.RevokedAt != nil:
			end = "revoked " + stamp(*k.RevokedAt)
		case k.ExpiresAt != nil:
			end = stamp(*k.ExpiresAt)
		}
		t.add(k.ID, k.Kind, k.Name, k.CreatedAt, moment(k.LastUsedAt), end)
	}
	t.end("There are no tokens; `rollcall connections token " + alias + "` makes one.")
	return nil
}

func (r *root) revokeToken(ctx context.Context, a place, alias, id string) error {
	t, err := a.RevokePushToken(ctx, alias, id)
	if err != nil {
		return err
	}
	if r.output == "json" {
		return r.json(t)
	}
	fmt.Fprintf(r.Out, "Token %s of connection %s ended %s.\n", t.ID, alias, stamp(moment(t.RevokedAt)))
	return nil
}

func (d direct) CreatePushToken(ctx context.Context, alias string, in client.PushTokenInput) (client.NewPushToken, error) {
	return d.Store.PusherTable.Make(ctx, alias, in, d.Config.PublicURL, actor())
}

func (d direct) RotatePushToken(ctx context.Context, alias string, in client.PushRotateInput) (client.NewPushToken, error) {
	return d.Store.PusherTable.Replace(ctx, alias, in, d.Config.PublicURL, actor())
}

func (d direct) PushTokens(ctx context.Context, alias string) ([]client.PushToken, error) {
	list, err := d.Store.PusherTable.List(ctx, alias)
	out := make([]client.PushToken, len(list))
	for i := range list {
		out[i] = list[i].Shown()
	}
	return out, err
}

func (d direct) RevokePushToken(ctx context.Context, alias, id string) (client.PushToken, error) {
	t, err := d.Store.PusherTable.Revoke(ctx, alias, id, actor())
	return t.Shown(), err
}

func (r remote) CreatePushToken(ctx context.Context, alias string, in client.PushTokenInput) (client.NewPushToken, error) {
	t, err := r.c.CreatePushToken(ctx, alias, in)
	return t, told(err)
}

func (r remote) RotatePushToken(ctx context.Context, alias string, in client.PushRotateInput) (client.NewPushToken, error) {
	t, err := r.c.RotatePushToken(ctx, alias, in)
	return t, told(err)
}

func (r remote) PushTokens(ctx context.Context, alias string) ([]client.PushToken, error) {
	list, err := r.c.PushTokens(ctx, alias)
	return list, told(err)
}

func (r remote) RevokePushToken(ctx context.Context, alias, id string) (client.PushToken, error) {
	t, err := r.c.RevokePushToken(ctx, alias, id)
	return t, told(err)
}
