package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/ledger"
)

func (r *root) accountsCreate() *cobra.Command {
	var organization string
	var fromStdin bool
	values := map[string]*string{}
	var attributes []string
	cmd := &cobra.Command{
		Use: "create", Short: "Create a local account, one no connection keeps", Args: args(0, "no words, only options"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.at(cmd.Context(), func(a place) error {
				row := map[string]string{}
				for name, v := range values {
					row[name] = *v
				}
				for _, text := range attributes {
					name, value, ok := strings.Cut(text, "=")
					if !ok {
						return usage{fmt.Errorf("--attribute is NAME=VALUE, not %q", text)}
					}
					if err := config.CheckAttribute(name); err != nil {
						return usage{fmt.Errorf("--attribute: %w", err)}
					}
					row[ledger.AttributePrefix+name] = value
				}
				if fromStdin {
					line, err := bufio.NewReader(r.In).ReadString('\n')
					if err != nil && !errors.Is(err, io.EOF) {
						return err
					}
					row["password"] = strings.TrimRight(line, "\r\n")
				}
				org, err := theOrganization(cmd.Context(), a, organization)
				if err != nil {
					return err
				}
				made, err := a.CreateAccount(cmd.Context(), org, row)
				if err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(made)
				}
				fmt.Fprintf(r.Out, "Created local account %s (%s) in %s.\n", made.Text[account.Username], made.ID, org)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&organization, "organization", "", "the organization (needed where there are several)")
	cmd.Flags().BoolVar(&fromStdin, "password-stdin", false, "read a password from standard input")
	for _, name := range account.FieldNames() {
		values[name] = cmd.Flags().String(strings.ReplaceAll(name, "_", "-"), "", name)
	}
	cmd.Flags().StringArrayVar(&attributes, "attribute", nil, "a custom attribute as NAME=VALUE; may be given several times")
	return cmd
}

// theOrganization is the one named, or the only one there is.
func theOrganization(ctx context.Context, a place, name string) (string, error) {
	list, err := a.Organizations(ctx)
	if err != nil {
		return "", err
	}
	var ids []string
	for _, o := range list {
		ids = append(ids, o.ID)
	}
	switch {
	case name == "" && len(ids) == 1:
		return ids[0], nil
	case name == "":
		return "", usage{fmt.Errorf("--organization is one of %s", strings.Join(ids, ", "))}
	case !slices.Contains(ids, name):
		return "", fault.New(fault.NotFound, "there is no organization %q", name).WithHint("`rollcall organizations list` shows those there are")
	}
	return name, nil
}

func (r *root) accountsImport() *cobra.Command {
	var organization string
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Create local accounts from a CSV file (\"-\" for standard input): all of them or none",
		Long: `The first line names the columns: username, email, first_name, last_name, and
any of display_name, mobile_phone, phone, language, title, department, location,
role, password, and attributes.NAME for custom attributes; commas, semicolons or
tabs stand between them. Every line is checked before any account is created.`,
		Args: args(1, "a CSV file"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.at(cmd.Context(), func(a place) error {
				org, err := theOrganization(cmd.Context(), a, organization)
				if err != nil {
					return err
				}
				in := r.In
				if words[0] != "-" {
					f, err := os.Open(words[0])
					if err != nil {
						return fault.New(fault.Invalid, "accounts import: %w", err)
					}
					defer f.Close() //nolint:errcheck // it was only read
					in = f
				}
				list, err := a.ImportAccounts(cmd.Context(), org, in)
				if err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(list)
				}
				fmt.Fprintf(r.Out, "Created %s in %s.\n", counted(len(list), "local account"), org)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&organization, "organization", "", "the organization (needed where there are several)")
	return cmd
}
