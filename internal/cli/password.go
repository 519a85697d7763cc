package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
)

func (r *root) accountsPasswordLink() *cobra.Command {
	return &cobra.Command{
		Use: "password-link WHO", Short: "Print a one-time link by which somebody chooses another password, good for a day", Args: args(1, "an ID, username, e-mail or external ID"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.at(cmd.Context(), func(a place) error {
				list, err := a.Find(cmd.Context(), words[0])
				if err != nil {
					return err
				}
				if len(list) > 1 {
					return fault.New(fault.Conflict, "%q is %d accounts", words[0], len(list)).WithHint("`rollcall accounts show %s` shows them; name one by its ID", words[0])
				}
				link, err := a.PasswordLink(cmd.Context(), list[0])
				if err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(link)
				}
				fmt.Fprintln(r.Out, link.URL)
				fmt.Fprintf(r.Err, "Whoever has it can choose the password of %s, once, until %s. It is not shown again.\n", list[0].Text[account.Username], link.ExpiresAt.Format(time.DateTime))
				return nil
			})
		},
	}
}

func (d direct) PasswordLink(ctx context.Context, a *account.Account) (client.PasswordLink, error) {
	address, ends, err := d.SignIn.PasswordLink(ctx, a, actor())
	return client.PasswordLink{URL: address, ExpiresAt: ends.Truncate(time.Second)}, err
}

func (r remote) PasswordLink(ctx context.Context, a *account.Account) (client.PasswordLink, error) {
	return from[client.PasswordLink](r.c.PasswordLink(ctx, a.ID.String()))
}
