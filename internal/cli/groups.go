package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/fault"
)

func (r *root) groups() *cobra.Command {
	cmd := &cobra.Command{Use: "groups", Short: "List groups, show one with its members"}
	cmd.AddCommand(r.groupsList(), r.groupsShow())
	return cmd
}

func (r *root) groupsList() *cobra.Command {
	var organization, connection string
	cmd := &cobra.Command{
		Use: "list", Short: "List groups with their number of members", Args: args(0, "no words"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.open(cmd.Context(), func(a *app.App) error {
				t := table{head: []string{"GROUP", "MEMBERS", "CONNECTION", "ID"}}
				list := stream{w: r.Out}
				err := a.Store.AccountTable.ListGroups(cmd.Context(), organization, connection, func(g account.Group) error {
					if r.output == "json" {
						return list.add(g)
					}
					t.add(shorten(g.Name, 60), number(g.Members), g.Connection, g.ID.String())
					return nil
				})
				if err != nil {
					return err
				}
				if r.output == "json" {
					return list.close()
				}
				t.print(r.Out)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&organization, "organization", "", "only this organization")
	cmd.Flags().StringVar(&connection, "connection", "", "only this connection")
	return cmd
}

func (r *root) groupsShow() *cobra.Command {
	return &cobra.Command{
		Use: "show GROUP", Short: "Show a group by name or ID, with its members, nested ones included", Args: args(1, "the name or ID of a group"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.open(cmd.Context(), func(a *app.App) error {
				var found []account.Group
				err := a.Store.AccountTable.ListGroups(cmd.Context(), "", "", func(g account.Group) error {
					if g.Name == words[0] || g.ID.String() == words[0] || g.ExternalID == words[0] {
						found = append(found, g)
					}
					return nil
				})
				if err != nil {
					return err
				}
				if len(found) == 0 {
					return fault.New(fault.NotFound, "there is no group %q", words[0]).WithHint("`rollcall groups list` shows them")
				}
				for _, g := range found {
					if err := r.groupText(cmd, a, g); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func (r *root) groupText(cmd *cobra.Command, a *app.App, g account.Group) error {
	t := table{head: []string{"USERNAME", "E-MAIL", "STATUS", "ID"}}
	members := []account.ID{}
	err := a.Store.AccountTable.MembersOf(cmd.Context(), g.ID, func(one *account.Account) error {
		members = append(members, one.ID)
		t.add(one.Text[account.Username], one.Text[account.Email], string(one.Status), one.ID.String())
		return nil
	})
	if err != nil {
		return err
	}
	if r.output == "json" {
		return r.json(struct {
			Group   account.Group `json:"group"`
			Members []account.ID  `json:"members"`
		}{g, members})
	}
	fmt.Fprintf(r.Out, "%s (%s of %s), %s members\n", clean(g.Name), g.ID, g.Connection, number(len(members)))
	t.print(r.Out)
	return nil
}
