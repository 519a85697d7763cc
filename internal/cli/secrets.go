package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
)

func (r *root) secrets() *cobra.Command {
	cmd := &cobra.Command{Use: "secrets", Short: "Seal the secrets in the database with a new key"}
	cmd.AddCommand(&cobra.Command{
		Use: "rotate", Short: "Make a new key and seal every secret with it",
		Long: `Puts a new key into the key file, seals every secret in the database with it, and
takes old keys out: the one before the new one stays, for nodes that have not
noticed yet, and the first one, which the fingerprints of passwords keep to. It may
be interrupted at any moment and run again.

Nodes on other machines open the secrets when the key file was copied to them;
they notice the new file by themselves.`, Args: args(0, "no words"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.open(cmd.Context(), func(a *app.App) error { return r.rotate(cmd.Context(), a) })
		},
	})
	return cmd
}

func (r *root) rotate(ctx context.Context, a *app.App) error {
	if err := a.Ring.Rotate(); err != nil {
		return err
	}
	var done int
	var lost []string
	err := a.Store.DB.Write(ctx, func(tx *db.Tx) error {
		done, lost = 0, nil
		for _, reseal := range []func(context.Context, *db.Tx) (int, []string, error){
			a.Store.SecretTable.Reseal, a.Store.HookTable.Reseal, a.Store.UploadTable.Reseal, a.Store.AdminTable.Reseal,
			a.Store.SigningKeys.Reseal, a.Store.TargetTable.Reseal,
		} {
			n, unopened, err := reseal(ctx, tx)
			if err != nil {
				return err
			}
			done, lost = done+n, append(lost, unopened...)
		}
		return events.Append(ctx, tx, []event.Event{{Type: event.SecretsRotated, At: now(), Actor: actor(),
			Why: fmt.Sprintf("%d sealed anew, %d that do not open left as they are", done, len(lost))}})
	})
	if err != nil {
		return err
	}
	if len(lost) > 0 {
		// They may belong to a key that somebody still finds: none is taken out.
		fmt.Fprintf(r.Out, "Sealed %s with a new key. These do not open, and have to be given again: %s. The old keys stay in %s.\n", counted(done, "secret"), strings.Join(lost, ", "), a.Ring.Path)
		return status(exitError)
	}
	if err := a.Ring.Retire(); err != nil {
		return err
	}
	fmt.Fprintf(r.Out, "Sealed %s with a new key. Copy %s to the other nodes.\n", counted(done, "secret"), a.Ring.Path)
	return nil
}
