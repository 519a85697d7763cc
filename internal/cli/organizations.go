package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/internal/setting"
)

func (r *root) organizationsCreate() *cobra.Command {
	var o setting.Organization
	cmd := &cobra.Command{
		Use: "create ID", Short: "Make an organization", Args: args(1, "the ID of the new organization"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.at(cmd.Context(), func(a place) error {
				o.ID = words[0]
				made, err := a.CreateOrganization(cmd.Context(), o)
				if err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(made)
				}
				fmt.Fprintf(r.Out, "Made organization %s.\n", made.ID)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&o.Name, "name", "", "what people call it; its ID unless given")
	cmd.Flags().IntVar(&o.LicenceLimit, "licence-limit", 0, "how many active accounts it may have; 0 for no limit")
	return cmd
}

func (r *root) organizationsDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete ID", Short: "Delete an organization that has no connections and no accounts", Args: args(1, "the ID of an organization"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.at(cmd.Context(), func(a place) error {
				if err := a.DeleteOrganization(cmd.Context(), words[0]); err != nil {
					return err
				}
				fmt.Fprintf(r.Out, "Deleted organization %s.\n", words[0])
				return nil
			})
		},
	}
}
