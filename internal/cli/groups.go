package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/internal/account"
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
		Use: "list", Short: "List groups with their number of members",
		Long: `Lists groups with their number of members. Members of nested groups count, and so
do accounts that are disabled or flagged deleted, who stay in their groups.
"rollcall groups show" tells who is what.`,
		Args: args(0, "no words"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.at(cmd.Context(), func(a place) error {
				t := r.table(column{"GROUP", wraps}, column{"MEMBERS", fixed}, column{"CONNECTION", wraps}, column{"ID", fixed})
				list := stream{w: r.Out}
				err := a.Groups(cmd.Context(), organization, connection, func(g account.Group) error {
					if r.output == "json" {
						return list.add(g)
					}
					t.add(g.Name, number(g.Members), g.Connection, g.ID.String())
					return nil
				})
				if err == nil && list.count+t.count() == 0 {
					err = narrowed(cmd.Context(), a, organization, connection)
				}
				if err != nil {
					return err
				}
				if r.output == "json" {
					return list.close()
				}
				t.end("There are no groups yet.")
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
			return r.at(cmd.Context(), func(a place) error {
				var found []account.Group
				err := a.Groups(cmd.Context(), "", "", func(g account.Group) error {
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
				shown := []groupJSON{}
				for i, g := range found {
					if i > 0 && r.output != "json" {
						fmt.Fprintln(r.Out)
					}
					one, err := r.group(cmd, a, g)
					if err != nil {
						return err
					}
					shown = append(shown, one)
				}
				switch {
				case r.output != "json":
					return nil
				case len(shown) == 1:
					return r.json(shown[0])
				}
				return r.json(shown)
			})
		},
	}
}

type groupJSON struct {
	Group   account.Group `json:"group"`
	Members []account.ID  `json:"members"`
}

// group shows one group; for JSON it only gathers.
func (r *root) group(cmd *cobra.Command, a place, g account.Group) (groupJSON, error) {
	out := groupJSON{Group: g, Members: []account.ID{}}
	if r.output != "json" {
		fmt.Fprintf(r.Out, "%s (%s of %s), %s\n", flat(g.Name), g.ID, g.Connection, counted(g.Members, "member"))
	}
	t := r.table(column{"USERNAME", wraps}, column{"E-MAIL", wraps}, column{"NAME", wraps}, column{"STATUS", fixed})
	idle := 0
	err := a.Members(cmd.Context(), g.ID, func(one *account.Account) error {
		if r.output == "json" {
			out.Members = append(out.Members, one.ID)
			return nil
		}
		if one.Status != account.Active {
			idle++
		}
		t.add(one.Text[account.Username], one.Text[account.Email], fullName(one), string(one.Status))
		return nil
	})
	if err == nil && r.output != "json" {
		t.end("")
		if idle > 0 {
			fmt.Fprintf(r.Out, "%s not active; who is disabled or flagged deleted stays in their groups.\n", counted(idle, "member"))
		}
	}
	return out, err
}
