package cli

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/store/accounts"
)

func (r *root) accounts() *cobra.Command {
	cmd := &cobra.Command{Use: "accounts", Short: "List, show, export, create and import accounts"}
	cmd.AddCommand(r.accountsList(), r.accountsShow(), r.accountsPasswordLink(), r.accountsExport(), r.accountsCreate(), r.accountsImport())
	return cmd
}

func filterFlags(cmd *cobra.Command, f *accounts.Filter) {
	cmd.Flags().StringVar(&f.Organization, "organization", "", "only this organization")
	cmd.Flags().StringVar(&f.Connection, "connection", "", "only accounts kept by this connection (\"local\" for those of none)")
	cmd.Flags().Var((*statusFlag)(&f.Status), "status", "only active, disabled or deleted ones")
	cmd.Flags().StringVar(&f.Search, "search", "", "only those whose username, e-mail, name or external ID contains this")
}

// statusFlag is a --status that is one there is.
type statusFlag account.Status

func (s *statusFlag) String() string { return string(*s) }

func (s *statusFlag) Type() string { return "status" }

func (s *statusFlag) Set(text string) error {
	if !slices.Contains([]account.Status{account.Active, account.Disabled, account.Deleted}, account.Status(text)) {
		return errors.New("it is active, disabled or deleted")
	}
	*s = statusFlag(text)
	return nil
}

// narrowed says whether a filter that found nothing names things there are. A
// connection that was taken out of the configuration may still have accounts.
func narrowed(ctx context.Context, a place, organization, connection string) error {
	if organization != "" {
		if _, err := theOrganization(ctx, a, organization); err != nil {
			return err
		}
	}
	if connection == "" || connection == account.Local {
		return nil
	}
	_, err := a.Connection(ctx, connection)
	return err
}

// batched calls fn with accounts and their groups.
func batched(cmd *cobra.Command, a place, f accounts.Filter, fn func(*account.Account) error) error {
	found := false
	err := a.Accounts(cmd.Context(), f, func(one *account.Account) error {
		found = true
		return fn(one)
	})
	if err == nil && !found {
		err = narrowed(cmd.Context(), a, f.Organization, f.Connection)
	}
	return err
}

func fullName(a *account.Account) string {
	return strings.TrimSpace(a.Text[account.FirstName] + " " + a.Text[account.LastName])
}

func (r *root) accountsList() *cobra.Command {
	var f accounts.Filter
	var limit uint
	cmd := &cobra.Command{
		Use: "list", Short: "List accounts", Args: args(0, "no words"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.at(cmd.Context(), func(a place) error {
				t := r.table(column{"USERNAME", wraps}, column{"E-MAIL", wraps}, column{"NAME", wraps}, column{"STATUS", fixed}, column{"CONNECTION", wraps})
				list := stream{w: r.Out}
				f.Limit = int(limit)
				err := batched(cmd, a, f, func(one *account.Account) error {
					if r.output == "json" {
						return list.add(one)
					}
					t.add(one.Text[account.Username], one.Text[account.Email], fullName(one), string(one.Status), one.Connection)
					return nil
				})
				if err != nil {
					return err
				}
				if r.output == "json" {
					return list.close()
				}
				f.Limit = 0 // it does not say whom
				if f == (accounts.Filter{}) {
					t.end("There are no accounts yet.")
				} else {
					t.end("No account is like that; `rollcall accounts list` shows all of them.")
				}
				return nil
			})
		},
	}
	filterFlags(cmd, &f)
	cmd.Flags().UintVar(&limit, "limit", 0, "how many to list (0 all)")
	return cmd
}

func (r *root) accountsShow() *cobra.Command {
	return &cobra.Command{
		Use: "show WHO", Short: "Show an account by ID, username, e-mail or external ID", Args: args(1, "an ID, username, e-mail or external ID"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.at(cmd.Context(), func(a place) error {
				list, err := a.Find(cmd.Context(), words[0])
				if err != nil {
					return err
				}
				if r.output == "json" {
					if len(list) == 1 {
						return r.json(list[0])
					}
					return r.json(list)
				}
				for i, one := range list {
					if i > 0 {
						fmt.Fprintln(r.Out)
					}
					if err := r.accountText(cmd.Context(), a, one); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func (r *root) accountText(ctx context.Context, a place, one *account.Account) error {
	manager := ""
	if !one.Manager.IsZero() {
		found, err := a.Names(ctx, []account.ID{one.Manager})
		if err != nil {
			return err
		}
		manager = one.Manager.String()
		if name := found[one.Manager]; name != "" {
			manager = fmt.Sprintf("%s (%s)", name, one.Manager)
		}
	}
	var groups []string
	if len(one.Groups) > 0 {
		names, err := groupNames(ctx, a)
		if err != nil {
			return err
		}
		for _, id := range one.Groups {
			groups = append(groups, names[id])
		}
		slices.Sort(groups)
	}
	status := string(one.Status)
	if why := one.Cause.Sentence(); why != "" {
		status += ": " + why
	}
	line := func(name, value string) { r.paragraph(fmt.Sprintf("%-14s ", name), cell(value)) }
	line("id", one.ID.String())
	line("organization", one.Organization)
	line("connection", one.Connection)
	line("external_id", one.ExternalID)
	for i, name := range account.FieldNames() {
		line(name, one.Text[i])
	}
	line("manager", manager)
	line("status", status)
	line("attributes", one.Attributes)
	line("groups", strings.Join(groups, "; "))
	line("created_at", one.CreatedAt.Local().Format(time.DateTime))
	line("updated_at", one.UpdatedAt.Local().Format(time.DateTime))
	return nil
}

// groupNames gives the names of all groups by ID.
func groupNames(ctx context.Context, a place) (map[account.ID]string, error) {
	names := map[account.ID]string{}
	return names, a.Groups(ctx, "", "", func(g account.Group) error {
		names[g.ID] = g.Name
		return nil
	})
}

func (r *root) accountsExport() *cobra.Command {
	var f accounts.Filter
	var format string
	cmd := &cobra.Command{
		Use: "export", Short: "Export accounts as CSV or JSON", Args: args(0, "no words"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "csv" && format != "json" {
				return usage{fmt.Errorf("--format is csv or json, not %q", format)}
			}
			return r.at(cmd.Context(), func(a place) error {
				if format == "json" {
					list := stream{w: r.Out}
					if err := batched(cmd, a, f, func(one *account.Account) error { return list.add(one) }); err != nil {
						return err
					}
					return list.close()
				}
				w := csv.NewWriter(r.Out)
				if err := w.Write(account.Columns()); err != nil {
					return err
				}
				err := batched(cmd, a, f, func(one *account.Account) error { return w.Write(one.Cells()) })
				w.Flush()
				if err == nil {
					err = w.Error()
				}
				return err
			})
		},
	}
	filterFlags(cmd, &f)
	cmd.Flags().StringVar(&format, "format", "csv", "csv or json")
	return cmd
}
