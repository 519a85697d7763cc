package accounts

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/store/db"
)

func TestMain(m *testing.M) { os.Exit(databases.Main(m)) }

// Whichever way they are looked for, the same are found: those that were made for an
// entry, and those that were there before it and lie elsewhere.
func TestTextsAreFoundInWhicheverWay(t *testing.T) {
	databases.Both(t, func(t *testing.T, dsn string) {
		s := &Accounts{DB: databases.Open(t, dsn)}
		const people = 300
		keys := make([]directory.Digest, people)
		for i := range keys {
			keys[i] = directory.KeyOf(directory.User, directory.ExternalID(fmt.Sprint(i)))
		}
		slices.SortFunc(keys, func(a, b directory.Digest) int { return bytes.Compare(a[:], b[:]) })
		put := func(connection string, elsewhere func(i int) bool) {
			t.Helper()
			columns := []string{"id", "organization", "connection", "key", "title", "version", "status"}
			rest := []string{"username_key", "email_key", "username", "email", "first_name", "last_name", "display_name", "mobile_phone", "phone", "language",
				"department", "location", "role", "cause", "attributes", "created_at", "updated_at"}
			err := s.DB.Write(t.Context(), func(tx *db.Tx) error {
				if _, err := tx.Exec(t.Context(), `INSERT INTO tallies (organization, connection, here, active, changed_at) VALUES ('o', $1, $2, $2, 0)`, connection, people); err != nil {
					return err
				}
				return tx.Insert(t.Context(), "accounts", append(columns, rest...), people, func(i int, into []any) {
					id := account.NewID("o", connection, fmt.Sprint(i))
					if !elsewhere(i) {
						id = id.Beside(keys[i])
					}
					into[0], into[1], into[2], into[3], into[4], into[5], into[6] = id[:], "o", connection, keys[i][:], fmt.Sprint(connection, i), int64(1), "active"
					for k := range rest {
						if into[7+k] = ""; k >= len(rest)-2 {
							into[7+k] = int64(0)
						}
					}
				}, "")
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		check := func(what string, asked []directory.Digest) {
			t.Helper()
			for _, dense := range []bool{false, true} {
				got, err := s.Texts(t.Context(), "hq", asked, dense, []account.Field{account.Title})
				if err != nil {
					t.Fatal(err)
				}
				for i, k := range keys {
					want := fmt.Sprint("hq", i)
					if slices.Contains(asked, k) && (got[k] == nil || got[k].Text[account.Title] != want || got[k].Version != 1 || got[k].Status != account.Active) {
						t.Fatalf("%s, dense %v: %s is %+v", what, dense, want, got[k])
					}
				}
				for k, a := range got {
					if i := slices.Index(keys, k); a.Text[account.Title] != fmt.Sprint("hq", i) {
						t.Fatalf("%s, dense %v: %d is %s", what, dense, i, a.Text[account.Title])
					}
				}
			}
		}
		put("hq", func(i int) bool { return i%7 == 0 || i > 280 })
		check("alone", keys)
		check("a part", keys[100:200])
		check("with gaps", slices.Concat(keys[:3], keys[5:9], keys[299:]))
		put("branch", func(int) bool { return false })
		check("beside as many", keys)
		put("plant", func(int) bool { return false })
		check("among more", keys[10:290])
	})
}
