package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/registry"
	"rollcall.dev/rollcall/internal/source/all"
)

func (r *root) connections() *cobra.Command {
	cmd := &cobra.Command{Use: "connections", Short: "List connections; make, change, export, reset or delete them"}
	cmd.AddCommand(r.connectionsList(), r.connectionsApply(), r.connectionsDelete(), r.connectionsExport(), r.connectionsReset())
	return cmd
}

type connectionJSON struct {
	Alias        string   `json:"alias"`
	Organization string   `json:"organization"`
	Source       string   `json:"source"`
	Schedule     *string  `json:"schedule"`
	DryRun       bool     `json:"dry_run"`
	Complete     *bool    `json:"last_reading_complete"`
	LastFullAt   any      `json:"last_full_at"`
	People       int      `json:"people"`
	Groups       int      `json:"groups"`
	Attention    *string  `json:"attention"`
	Unset        []string `json:"unset"`
}

func (r *root) connectionsList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List connections and how they stand", Args: args(0, "no words"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.open(cmd.Context(), func(a *app.App) error {
				t := r.table(column{"ALIAS", fixed}, column{"ORGANIZATION", wraps}, column{"SOURCE", fixed}, column{"SCHEDULE", wraps}, column{"READ IN FULL", fixed},
					column{"PEOPLE", fixed}, column{"GROUPS", fixed})
				out := []connectionJSON{}
				listed, err := a.Registry.Connections(cmd.Context(), "")
				if err != nil {
					return err
				}
				for _, c := range listed {
					s, err := a.Store.LeaseTable.State(cmd.Context(), c.Alias)
					if err != nil {
						return err
					}
					users, groups, err := a.Store.MirrorTable.Count(cmd.Context(), c.Alias)
					if err != nil {
						return err
					}
					j := connectionJSON{Alias: c.Alias, Organization: c.Organization, Source: c.Kind, DryRun: c.Policy.DryRun, People: users, Groups: groups, Unset: []string{}}
					note := s.Attention
					if c.Schedule != "" {
						j.Schedule = &c.Schedule
					}
					if s.Attention != "" {
						j.Attention = &s.Attention
					}
					if s.Reading != nil {
						j.Complete = &s.Complete
						if !s.Complete {
							note = "last reading not complete: " + s.Reading.Reason
						}
					}
					if !s.LastFullAt.IsZero() {
						j.LastFullAt = s.LastFullAt
					}
					if len(c.Unset) > 0 {
						note = "cannot be reached from here: " + c.Unset[0].Problem
						for _, u := range c.Unset {
							j.Unset = append(j.Unset, u.Problem)
						}
					}
					if c.Policy.DryRun && note == "" {
						note = "dry-run: nothing of it is written"
					}
					out = append(out, j)
					t.add(c.Alias, c.Organization, c.Kind, c.Schedule, s.LastFullAt, number(users), number(groups))
					t.below(note)
				}
				if r.output == "json" {
					return r.json(out)
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
			return r.open(cmd.Context(), func(a *app.App) error {
				list, err := a.Registry.Connections(cmd.Context(), "")
				if err != nil {
					return err
				}
				if len(words) == 1 {
					c, err := a.Registry.Connection(cmd.Context(), words[0])
					if err != nil {
						return err
					}
					list = append(list[:0:0], c)
				}
				tenants, err := a.Registry.Tenants(cmd.Context())
				if err != nil {
					return err
				}
				text, err := config.Export(list, tenants, all.Kinds())
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
			return r.open(cmd.Context(), func(a *app.App) error {
				if err := a.Registry.Delete(cmd.Context(), registry.Who{Actor: actor()}, words[0]); err != nil {
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
			return r.open(cmd.Context(), func(a *app.App) error {
				c, err := a.Registry.Connection(cmd.Context(), words[0])
				if err != nil {
					return err
				}
				if err := a.Engine.Reset(cmd.Context(), c); err != nil {
					return err
				}
				fmt.Fprintf(r.Out, "Connection %s is reset; its next reading is a full one. No account was touched.\n", c.Alias)
				return nil
			})
		},
	}
}
