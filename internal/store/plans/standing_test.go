package plans

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

// What is left standing is not compared with everybody who moved, row by row.
func TestWhoMovedIsNotAskedForEachNote(t *testing.T) {
	t.Parallel()
	d := databases.Open(t, databases.PostgreSQL(t)+"&work_mem=64kB")
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		names := []string{"connection", "key", "generation", "kind", "external_id", "ref", "hash", "name", "record"}
		err := tx.Insert(t.Context(), "mirror", names, 20_000, func(i int, into []any) {
			key := directory.RefOf(fmt.Sprint(i))
			into[0], into[1], into[2], into[3], into[4], into[5] = "hq", key[:], int64(2), int64(directory.User), fmt.Sprint(i), key[:]
			into[6], into[7], into[8] = key[:], fmt.Sprint(i), []byte{1}
		}, "")
		if err != nil {
			return err
		}
		err = tx.Insert(t.Context(), "standing", []string{"connection", "key", "kind", "name", "external_id", "text"}, 4_000, func(i int, into []any) {
			key := directory.RefOf(fmt.Sprint(i))
			into[0], into[1], into[2], into[3], into[4], into[5] = "hq", key[:], []string{"problem", "dispute"}[i%2], "", "", ""
		}, "")
		if err != nil {
			return err
		}
		return tx.Analyze(t.Context(), "mirror", "standing")
	})
	if err != nil {
		t.Fatal(err)
	}
	how := databases.Explain(t, d, standing, "hq", int64(0), int64(1))
	if strings.Contains(how, "SubPlan") {
		t.Errorf("for each note there is a question of its own:\n%s", how)
	}
}
