package cli

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/registry"
	"rollcall.dev/rollcall/internal/seal"
	"rollcall.dev/rollcall/internal/setting"
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
			return r.open(cmd.Context(), func(a *app.App) error {
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
				one, err := localAccount(cmd.Context(), row)
				if err != nil {
					return err
				}
				org, err := theOrganization(cmd.Context(), a, organization)
				if err != nil {
					return err
				}
				list := []ledger.Local{one}
				if err := a.Store.LedgerTable.CreateLocal(cmd.Context(), org, actor(), list); err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(list[0].Account)
				}
				fmt.Fprintf(r.Out, "Created local account %s (%s) in %s.\n", list[0].Account.Text[account.Username], list[0].Account.ID, org)
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
func theOrganization(ctx context.Context, a *app.App, name string) (string, error) {
	list, err := a.Registry.Organizations(ctx, registry.Who{}, "", 0)
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

// localAccount checks the fields of a local account by the same rules as those
// of a synchronised one.
func localAccount(ctx context.Context, row map[string]string) (ledger.Local, error) {
	var out ledger.Local
	var err error
	if out.Account.Text, out.Account.Attributes, err = ledger.Fields(row, now()); err != nil {
		return out, err
	}
	if row["password"] != "" {
		out.Hash, err = seal.HashPassword(ctx, row["password"])
	}
	return out, err
}

func (r *root) accountsImport() *cobra.Command {
	var organization string
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Create local accounts from a CSV file (\"-\" for standard input): all of them or none",
		Long: `The first line names the columns: username, email, first_name, last_name, and
any of display_name, mobile_phone, phone, language, title, department, location,
role, password, and attributes.NAME for custom attributes. Every line is checked before any account is created.`,
		Args: args(1, "a CSV file"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.open(cmd.Context(), func(a *app.App) error {
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
				list, err := readLocals(cmd.Context(), in)
				if err != nil {
					return err
				}
				if err := a.Store.LedgerTable.CreateLocal(cmd.Context(), org, actor(), list); err != nil {
					return err
				}
				if r.output == "json" {
					out := make([]account.Account, len(list))
					for i := range list {
						out[i] = list[i].Account
					}
					return r.json(out)
				}
				fmt.Fprintf(r.Out, "Created %s local accounts in %s.\n", number(len(list)), org)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&organization, "organization", "", "the organization (needed where there are several)")
	return cmd
}

func readLocals(ctx context.Context, in io.Reader) ([]ledger.Local, error) {
	c := csv.NewReader(in)
	head, err := c.Read()
	if err != nil {
		return nil, fault.New(fault.Invalid, "accounts import: the first line cannot be read: %w", err).WithHint("it names the columns: username,email,first_name,last_name")
	}
	known := append(slices.Clone(account.FieldNames()), "password")
	for i, name := range head {
		name = strings.TrimPrefix(strings.TrimSpace(name), "\ufeff")
		if custom, ok := strings.CutPrefix(name, ledger.AttributePrefix); ok {
			if err := config.CheckAttribute(custom); err != nil {
				return nil, fault.New(fault.Invalid, "accounts import: line 1: column %q: %w", name, err)
			}
			head[i] = name
			continue
		}
		head[i] = strings.ToLower(name)
		if !slices.Contains(known, head[i]) {
			err := fault.New(fault.Invalid, "accounts import: line 1: there is no column %q", head[i])
			if near := setting.Nearest(head[i], known); near != "" {
				err = err.WithHint("did you mean %q?", near)
			}
			return nil, err
		}
	}
	var list []ledger.Local
	for {
		fields, err := c.Read()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, fault.New(fault.Invalid, "accounts import: %w; nothing was created", err)
		}
		line, _ := c.FieldPos(0)
		row := map[string]string{}
		for i, v := range fields {
			row[head[i]] = v
		}
		one, err := localAccount(ctx, row)
		if err != nil {
			return nil, fault.New(fault.Invalid, "accounts import: line %d: %w; nothing was created", line, err)
		}
		one.Line = line
		list = append(list, one)
	}
}
