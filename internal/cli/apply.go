package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source/all"
	"rollcall.dev/rollcall/internal/store/organizations"
)

// mostApplied is the largest file `connections apply` takes.
const mostApplied = 16 << 20

func (r *root) connectionsApply() *cobra.Command {
	return &cobra.Command{
		Use: "apply FILE", Short: "Make or change connections, from a file in the form of rollcall.yaml",
		Long: `Reads organizations and connections from a file in the form of rollcall.yaml ("-"
for standard input) and makes them, or changes those that are there, in the
database. What the file does not name stays as it is. Variables and files that it
names are those of this process.

What it changes takes effect with the next run, whose plan waits for a person
where people are read or known in another way than before.`, Args: args(1, "a file"),
		RunE: func(cmd *cobra.Command, words []string) error {
			data, err := r.input(words[0])
			if err != nil {
				return err
			}
			cfg, err := config.Declarations(words[0], data, all.Kinds(), r.Env)
			if err != nil {
				return err
			}
			return r.at(cmd.Context(), func(a place) error { return r.applyAll(cmd.Context(), a, cfg) })
		},
	}
}

func (r *root) input(name string) ([]byte, error) {
	in := r.In
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fault.New(fault.NotFound, "%w", err)
		}
		defer f.Close() //nolint:errcheck // only read
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, mostApplied+1))
	if err == nil && len(data) > mostApplied {
		err = fault.New(fault.Invalid, "%s is larger than 16 MB", name)
	}
	return data, err
}

func (r *root) applyAll(ctx context.Context, a place, cfg *config.Config) error {
	for _, c := range cfg.Connections {
		if len(c.Unset) > 0 {
			return fault.New(fault.Invalid, "connection %s: %s", c.Alias, c.Unset[0].Problem).WithHint("give it to this command")
		}
	}
	there, err := a.Organizations(ctx)
	if err != nil {
		return err
	}
	for _, o := range cfg.Organizations {
		i := slices.IndexFunc(there, func(t organizations.Organization) bool { return t.ID == o.ID })
		switch {
		case i < 0:
			_, err = a.CreateOrganization(ctx, o)
		case same(there[i], o):
			continue
		default:
			err = a.UpdateOrganization(ctx, o)
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(r.Out, "organization %s: %s\n", o.ID, done(i < 0))
	}
	for _, c := range cfg.Connections {
		fresh, err := a.ApplyConnection(ctx, c)
		if err != nil {
			return err
		}
		fmt.Fprintf(r.Out, "connection %s: %s\n", c.Alias, done(fresh))
	}
	return nil
}

func same(t organizations.Organization, o setting.Organization) bool {
	limit := 0
	if t.LicenceLimit != nil {
		limit = *t.LicenceLimit
	}
	return t.Name == o.Name && limit == o.LicenceLimit
}

func done(fresh bool) string {
	if fresh {
		return "made"
	}
	return "changed"
}
