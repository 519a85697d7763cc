package mirrors

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/store/db"
)

func TestMain(m *testing.M) { os.Exit(databases.Main(m)) }

// However much there is to be planned, and however little memory PostgreSQL may take
// for it: nobody is compared with everybody.
func TestWhoMovedIsAskedOnce(t *testing.T) {
	databases.Both(t, func(t *testing.T, dsn string) {
		often := "SCAN due" // of SQLite; the first of its plan is what is gone through anyway
		if strings.HasPrefix(dsn, "postgres") {
			dsn, often = dsn+"&work_mem=64kB", "SubPlan"
		}
		d := databases.Open(t, dsn)
		const people = 20_000
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			if _, err := tx.Exec(t.Context(), `INSERT INTO connections (alias, organization, kind, generation) VALUES ('hq', 'o', 'ldap', 2)`); err != nil {
				return err
			}
			names := []string{"connection", "key", "generation", "kind", "external_id", "ref", "hash", "name", "record"}
			err := tx.Insert(t.Context(), "mirror", names, people, func(i int, into []any) {
				key := directory.RefOf(fmt.Sprint(i))
				into[0], into[1], into[2], into[3], into[4], into[5] = "hq", key[:], int64(1+i%2), int64(directory.User), fmt.Sprint(i), key[:]
				into[6], into[7], into[8] = key[:], fmt.Sprint(i), []byte{1}
			}, "")
			if err != nil {
				return err
			}
			return tx.Analyze(t.Context(), "mirror")
		})
		if err != nil {
			t.Fatal(err)
		}
		for name, q := range map[string]string{"those who moved": due(rowColumns, directory.User, false), "the others": still} {
			how := databases.Explain(t, d, q, "hq", int64(1), int64(0))
			if strings.Contains(how, often) {
				t.Errorf("%s: for each row there is a question of its own:\n%s", name, how)
			}
		}
	})
}
