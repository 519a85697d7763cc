// Package uploads is the table of files given to connections through the API. It
// hands the newest one on to the source that reads it, on whatever node that is. In
// the database they are sealed: a table of people may hold their passwords.
package uploads

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/secrets"
)

// Keep is how many files of a connection are kept.
const Keep = 5

// Uploads is the table.
type Uploads struct {
	DB   *db.DB
	Ring secrets.Sealer
}

func purpose(id string) string { return "upload " + id }

// Upload is one file. Sum is the SHA-256 of its content, in hex.
type Upload struct {
	ID    string    `json:"id"`
	Name  string    `json:"name"`
	Size  int64     `json:"size"`
	Sum   string    `json:"sha256"`
	Actor string    `json:"actor"`
	At    time.Time `json:"at"`
}

// Add keeps a file as the newest of its connection, and lets the oldest go.
func (u *Uploads) Add(ctx context.Context, tx *db.Tx, organization, connection string, f Upload, body []byte) (Upload, error) {
	sum := sha256.Sum256(body)
	f.Size, f.Sum = int64(len(body)), fmt.Sprintf("%x", sum)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(body); err != nil {
		return f, err
	}
	if err := z.Close(); err != nil {
		return f, err
	}
	sealed, err := u.Ring.Seal(purpose(f.ID), packed.Bytes())
	if err != nil {
		return f, err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO uploads (id, organization, connection, name, size, sum, body, actor, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		f.ID, organization, connection, f.Name, f.Size, sum[:], sealed, f.Actor, db.Micros(f.At)); err != nil {
		return f, err
	}
	_, err = tx.Exec(ctx, `DELETE FROM uploads WHERE connection = $1 AND id NOT IN (SELECT id FROM uploads WHERE connection = $1 ORDER BY at DESC, id DESC LIMIT $2)`, connection, Keep)
	return f, err
}

// Reseal seals every file with the newest key. It gives how many it was, and names
// those that do not open any more, which are left as they are.
func (u *Uploads) Reseal(ctx context.Context, tx *db.Tx) (done int, lost []string, err error) {
	var ids []string
	err = db.Each(ctx, tx, `SELECT id FROM uploads ORDER BY id`, nil, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	for _, id := range ids {
		var sealed []byte // one at a time: they may be large
		if err := tx.QueryRowContext(ctx, `SELECT body FROM uploads WHERE id = $1`, id).Scan(&sealed); err != nil {
			return done, lost, db.Explain("read upload "+id, err)
		}
		if newest, err := u.Ring.Newest(sealed); err != nil || newest {
			if err != nil {
				return done, lost, err
			}
			continue
		}
		plain, err := u.Ring.Open(purpose(id), sealed)
		if err != nil {
			lost = append(lost, purpose(id))
			continue
		}
		if sealed, err = u.Ring.Seal(purpose(id), plain); err != nil {
			return done, lost, err
		}
		if _, err := tx.Exec(ctx, `UPDATE uploads SET body = $2 WHERE id = $1`, id, sealed); err != nil {
			return done, lost, err
		}
		done++
	}
	return done, lost, nil
}

// Delete forgets the files of a connection.
func (u *Uploads) Delete(ctx context.Context, tx *db.Tx, connection string) error {
	_, err := tx.Exec(ctx, `DELETE FROM uploads WHERE connection = $1`, connection)
	return err
}

const columns = `id, name, size, sum, actor, at`

func scan(row interface{ Scan(...any) error }, more ...any) (Upload, error) {
	var f Upload
	var sum []byte
	var at int64
	err := row.Scan(append([]any{&f.ID, &f.Name, &f.Size, &sum, &f.Actor, &at}, more...)...)
	f.Sum, f.At = fmt.Sprintf("%x", sum), db.Time(at)
	return f, err
}

// List gives the files of a connection, the newest first.
func (u *Uploads) List(ctx context.Context, connection string) ([]Upload, error) {
	out := []Upload{}
	err := db.Each(ctx, u.DB.Reader(), `SELECT `+columns+` FROM uploads WHERE connection = $1 ORDER BY at DESC, id DESC`, []any{connection}, func(rows *sql.Rows) error {
		f, err := scan(rows)
		out = append(out, f)
		return err
	})
	return out, err
}

// Newest gives a connection's newest file, or a fault.NotFound.
func (u *Uploads) Newest(ctx context.Context, connection string) (Upload, io.ReadCloser, error) {
	var sealed []byte
	f, err := scan(u.DB.Reader().QueryRowContext(ctx, `SELECT `+columns+`, body FROM uploads WHERE connection = $1 ORDER BY at DESC, id DESC LIMIT 1`, connection), &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return f, nil, fault.New(fault.NotFound, "no file was given to connection %s yet", connection).
			WithHint("send one: curl -T people.csv -H 'Authorization: Bearer KEY' .../api/v1/connections/%s/file", connection)
	}
	if err != nil {
		return f, nil, db.Explain("read the file given to connection "+connection, err)
	}
	packed, err := u.Ring.Open(purpose(f.ID), sealed)
	if err != nil {
		return f, nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	return f, z, err
}
