package plans

import (
	"context"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/store/db"
)

// Moved has the other connection look again at the entry of an account that a run of one
// took over from it, or gave back to it: nothing of that entry or its groups moves there.
func Moved(ctx context.Context, tx *db.Tx, by string, was, is *account.Account) error {
	if was.Connection == is.Connection {
		return nil
	}
	for _, end := range []struct {
		*account.Account
		text string
	}{{was, plan.WentTo + is.Connection}, {is, "its account came from connection " + was.Connection}} {
		if end.Connection == by || end.Connection == account.Local {
			continue
		}
		id := directory.ExternalID(end.ExternalID)
		err := stand(ctx, tx, end.Connection, []plan.Note{{Kind: plan.Excluded, Key: directory.KeyOf(directory.User, id), Name: end.Text[account.Username], ExternalID: id, Account: end.ID, Text: end.text}})
		if err != nil {
			return err
		}
	}
	return nil
}
