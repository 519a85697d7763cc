package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/setting"
)

func (r *root) apikeys() *cobra.Command {
	cmd := &cobra.Command{Use: "apikeys", Short: "Create, list and revoke the keys by which programs use the API"}
	cmd.AddCommand(r.apikeysCreate(), r.apikeysList(), r.apikeysRevoke())
	return cmd
}

func (r *root) apikeysCreate() *cobra.Command {
	var scope, name, expires string
	cmd := &cobra.Command{
		Use: "create", Short: "Create an API key and print it, this once", Args: args(0, "no words, only options"),
		Long: `Creates an API key and prints it. It is kept nowhere: whoever loses it creates
another one.

SCOPE is one of
  operator                     everything
  read-only                    everything, to read
  organization:ID              one organization
  organization:ID:read-only    one organization, to read`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in := client.KeyInput{Scope: scope, Name: name}
			if expires != "" {
				d, err := setting.ParseDuration(expires)
				if err != nil {
					return usage{fmt.Errorf("--expires: %w", err)}
				}
				end := now().Add(d)
				in.ExpiresAt = &end
			}
			return r.at(cmd.Context(), func(a place) error {
				k, err := a.CreateKey(cmd.Context(), in)
				if err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(k)
				}
				fmt.Fprintln(r.Out, k.Secret)
				fmt.Fprintf(r.Err, "This is API key %s with the scope %s. It is not shown again.\n", k.ID, k.Scope)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&scope, "scope", "", "what the key reaches, see above")
	cmd.Flags().StringVar(&name, "name", "", "what it is for")
	cmd.Flags().StringVar(&expires, "expires", "", "after how long it ends, such as 90d (default never)")
	return cmd
}

func (r *root) apikeysList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List API keys by how they begin, revoked ones too", Args: args(0, "no words"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.at(cmd.Context(), func(a place) error {
				list, err := a.Keys(cmd.Context())
				if err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(append([]client.Key{}, list...))
				}
				t := r.table(column{"KEY", fixed}, column{"NAME", wraps}, column{"SCOPE", wraps}, column{"CREATED", fixed}, column{"LAST USED", fixed}, column{"ENDS", wraps})
				for i := range list {
					k := &list[i]
					t.add(k.ID, k.Name, k.Scope, k.CreatedAt, moment(k.LastUsedAt), ends(k))
				}
				t.end("There are no API keys; `rollcall apikeys create --scope operator` makes one.")
				return nil
			})
		},
	}
}

func ends(k *client.Key) string {
	switch {
	case k.RevokedAt != nil:
		return "revoked " + stamp(*k.RevokedAt)
	case k.ExpiresAt == nil:
		return "never"
	}
	return stamp(*k.ExpiresAt)
}

func (r *root) apikeysRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke KEY", Short: "End an API key at once", Args: args(1, "how the key begins, as `rollcall apikeys list` shows it"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.at(cmd.Context(), func(a place) error {
				k, err := a.RevokeKey(cmd.Context(), words[0])
				if err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(k)
				}
				fmt.Fprintf(r.Out, "API key %s ended %s.\n", k.ID, stamp(moment(k.RevokedAt)))
				return nil
			})
		},
	}
}
