package cli

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/keys"
)

func (r *root) apikeys() *cobra.Command {
	cmd := &cobra.Command{Use: "apikeys", Short: "Create, list and revoke the keys by which programs use the API"}
	cmd.AddCommand(r.apikeysCreate(), r.apikeysList(), r.apikeysRevoke())
	return cmd
}

// as gives a value in another type with the same JSON.
func as[T any](v any) (T, error) {
	var out T
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	return out, err
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
			reach, err := keys.ParseScope(scope)
			if err != nil {
				return err
			}
			var end time.Time
			if expires != "" {
				d, err := setting.ParseDuration(expires)
				if err != nil {
					return usage{fmt.Errorf("--expires: %w", err)}
				}
				end = now().Add(d)
			}
			return r.open(cmd.Context(), func(a *app.App) error {
				text, k, err := a.Store.KeyTable.Create(cmd.Context(), reach, name, end, actor())
				if err != nil {
					return err
				}
				if r.output == "json" {
					shown, err := as[client.Key](k)
					if err != nil {
						return err
					}
					return r.json(client.NewKey{Key: shown, Secret: text})
				}
				fmt.Fprintln(r.Out, text)
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
			return r.open(cmd.Context(), func(a *app.App) error {
				list, err := a.Store.KeyTable.List(cmd.Context(), "", keys.Place{}, math.MaxInt32)
				if err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(append([]*keys.Key{}, list...))
				}
				t := r.table(column{"KEY", fixed}, column{"NAME", wraps}, column{"SCOPE", wraps}, column{"CREATED", fixed}, column{"LAST USED", fixed}, column{"ENDS", wraps})
				for _, k := range list {
					t.add(k.ID, k.Name, k.Scope.String(), k.CreatedAt, k.LastUsedAt, ends(k))
				}
				t.end("There are no API keys; `rollcall apikeys create --scope operator` makes one.")
				return nil
			})
		},
	}
}

func ends(k *keys.Key) string {
	switch {
	case !k.RevokedAt.IsZero():
		return "revoked " + stamp(k.RevokedAt)
	case k.ExpiresAt.IsZero():
		return "never"
	}
	return stamp(k.ExpiresAt)
}

func (r *root) apikeysRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke KEY", Short: "End an API key at once", Args: args(1, "how the key begins, as `rollcall apikeys list` shows it"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.open(cmd.Context(), func(a *app.App) error {
				k, err := a.Store.KeyTable.Revoke(cmd.Context(), "", words[0], actor())
				if err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(k)
				}
				fmt.Fprintf(r.Out, "API key %s ended %s.\n", k.ID, stamp(k.RevokedAt))
				return nil
			})
		},
	}
}
