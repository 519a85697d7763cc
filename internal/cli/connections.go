package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func (r *root) connections() *cobra.Command {
	cmd := &cobra.Command{Use: "connections", Short: "List connections; make, change, export, reset or delete them; let SCIM clients in"}
	cmd.AddCommand(r.connectionsList(), r.connectionsApply(), r.connectionsDelete(), r.connectionsExport(), r.connectionsReset(), r.connectionsToken())
	return cmd
}

type connectionJSON struct {
	Alias        string     `json:"alias"`
	Organization string     `json:"organization"`
	Source       string     `json:"source"`
	Schedule     *string    `json:"schedule"`
	DryRun       bool       `json:"dry_run"`
	Complete     *bool      `json:"last_reading_complete"`
	LastFullAt   *time.Time `json:"last_full_at"`
	People       int        `json:"people"`
	Groups       int        `json:"groups"`
	Attention    *string    `json:"attention"`
	Unset        []string   `json:"unset"`
	reason       string     // why the last reading was not complete
}

// note is what a person should know about a connection in a list.
func (c *connectionJSON) note() string {
	switch {
	case len(c.Unset) > 0:
		return "cannot be reached from here: " + c.Unset[0]
	case c.Complete != nil && !*c.Complete:
		return "last reading not complete: " + c.reason
	case c.Attention != nil:
		return *c.Attention
	case c.DryRun:
		return "dry-run: nothing of it is written"
	}
	return ""
}

func optionalText(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func moment(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

func (r *root) connectionsList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List connections and how they stand", Args: args(0, "no words"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.at(cmd.Context(), func(a place) error {
				t := r.table(column{"ALIAS", fixed}, column{"ORGANIZATION", wraps}, column{"SOURCE", fixed}, column{"SCHEDULE", wraps}, column{"READ IN FULL", fixed},
					column{"PEOPLE", fixed}, column{"GROUPS", fixed})
				list, err := a.Connections(cmd.Context())
				if err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(list)
				}
				for i := range list {
					c := &list[i]
					t.add(c.Alias, c.Organization, c.Source, optionalText(c.Schedule), moment(c.LastFullAt), number(c.People), number(c.Groups))
					t.below(c.note())
				}
				t.end("There are no connections; declare one under `connections:` in rollcall.yaml.")
				return nil
			})
		},
	}
}

func (r *root) connectionsExport() *cobra.Command {
	return &cobra.Command{
		Use: "export [CONNECTION]", Short: "Print connections as they would stand in rollcall.yaml, secrets left out", Args: atMostOne("the alias of a connection"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.at(cmd.Context(), func(a place) error {
				text, err := a.ExportConnections(cmd.Context(), optional(words))
				if err != nil {
					return err
				}
				_, err = r.Out.Write(text)
				return err
			})
		},
	}
}

func (r *root) connectionsDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete CONNECTION", Short: "Delete a connection that does not stand in rollcall.yaml; its accounts stay as they are",
		Args: args(1, "the alias of a connection"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.at(cmd.Context(), func(a place) error {
				if err := a.DeleteConnection(cmd.Context(), words[0]); err != nil {
					return err
				}
				fmt.Fprintf(r.Out, "Connection %s is deleted. Its accounts stay as they are; nothing changes them any more.\n", words[0])
				return nil
			})
		},
	}
}

func (r *root) connectionsReset() *cobra.Command {
	return &cobra.Command{
		Use: "reset CONNECTION", Short: "Forget the bookmark: the next reading is a full one, every entry is planned anew",
		Long: `Forgets what was read, not who is known: no account is touched, and everybody
keeps their account.`,
		Args: args(1, "the alias of a connection"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.at(cmd.Context(), func(a place) error {
				if err := a.Reset(cmd.Context(), words[0]); err != nil {
					return err
				}
				fmt.Fprintf(r.Out, "Connection %s is reset; its next reading is a full one. No account was touched.\n", words[0])
				return nil
			})
		},
	}
}
