package ledger

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/seal"
	"rollcall.dev/rollcall/internal/setting"
)

// NewLocal checks a row of fields (see Fields, and password) as a local account to
// be made, and hashes its password.
func NewLocal(ctx context.Context, row map[string]string, now time.Time) (Local, error) {
	var out Local
	var err error
	if out.Account.Text, out.Account.Attributes, err = Fields(row, now); err != nil {
		return out, err
	}
	return out, out.hash(ctx, row)
}

func (l *Local) hash(ctx context.Context, row map[string]string) (err error) {
	if row["password"] != "" {
		l.Hash, err = seal.HashPassword(ctx, row["password"])
	}
	return err
}

// ReadTable reads local accounts from a CSV table whose first line names the
// fields, with commas, semicolons or tabs between them. Lines that cannot be are a
// fault.Invalid that names them.
func ReadTable(ctx context.Context, in io.Reader, now time.Time) ([]Local, error) {
	b := bufio.NewReaderSize(in, longestHead)
	if mark, _ := b.Peek(len(byteOrder)); string(mark) == byteOrder { //nolint:errcheck // whoever reads on is told
		if _, err := b.Discard(len(byteOrder)); err != nil {
			return nil, err
		}
	}
	first, _ := b.Peek(longestHead) //nolint:errcheck // as above
	c := csv.NewReader(b)
	c.Comma = account.Separator(string(first))
	head, err := c.Read()
	if err != nil {
		return nil, fault.New(fault.Invalid, "accounts import: the first line cannot be read: %w", err).WithHint("it names the columns: username,email,first_name,last_name")
	}
	if strings.HasPrefix(head[0], "\xff\xfe") || strings.HasPrefix(head[0], "\xfe\xff") {
		return nil, fault.New(fault.Invalid, "accounts import: the table is written in UTF-16").WithHint("save it as CSV in UTF-8")
	}
	known := append(slices.Clone(account.FieldNames()), "password")
	for i, name := range head {
		name = strings.TrimSpace(name)
		// Two columns of one name: whichever was read would be the wrong one for somebody.
		if slices.Contains(head[:i], name) || slices.Contains(head[:i], strings.ToLower(name)) {
			return nil, fault.New(fault.Invalid, "accounts import: line 1: the column %q stands twice", name).WithHint("give each column a name of its own")
		}
		if custom, ok := strings.CutPrefix(name, AttributePrefix); ok {
			if err := config.CheckAttribute(custom); err != nil {
				return nil, fault.New(fault.Invalid, "accounts import: line 1: column %q: %w", name, err)
			}
			head[i] = name
			continue
		}
		head[i] = strings.ToLower(name)
		if !slices.Contains(known, head[i]) {
			err := fault.New(fault.Invalid, "accounts import: line 1: the column %q is none that an account takes", head[i])
			if near := setting.Nearest(head[i], known); near != "" {
				return nil, err.WithHint("did you mean %q?", near)
			}
			return nil, err.WithHint("take it out, or call it %s; known are %s", AttributePrefix+"NAME", strings.Join(known, ", "))
		}
	}
	var list []Local
	wrong := mistakes{kind: fault.Invalid}
	for {
		fields, err := c.Read()
		if errors.Is(err, io.EOF) {
			return list, wrong.err("accounts import: ", "nothing was created")
		}
		if bad := (*csv.ParseError)(nil); errors.As(err, &bad) {
			wrong.add(bad.StartLine, bad.Err)
			if errors.Is(err, csv.ErrFieldCount) {
				continue
			}
			// Where the next line begins is not known.
			return nil, wrong.err("accounts import: ", "nothing was created, and what follows was not looked at")
		}
		if err != nil {
			return nil, fault.New(fault.Invalid, "accounts import: %w; nothing was created", err)
		}
		line, _ := c.FieldPos(0)
		row := map[string]string{}
		for i, v := range fields {
			row[head[i]] = v
		}
		one := Local{Line: line}
		if one.Account.Text, one.Account.Attributes, err = Fields(row, now); err != nil {
			wrong.add(line, err)
			continue
		}
		if wrong.all == 0 { // hashing takes its time
			if err := one.hash(ctx, row); err != nil {
				return nil, fault.New(fault.Invalid, "accounts import: line %d: %w; nothing was created", line, err)
			}
		}
		list = append(list, one)
	}
}

// byteOrder is what spreadsheet programs put before a table in UTF-8.
const byteOrder = "\ufeff"

// longestHead is how much of a table is looked at for what is between its columns.
const longestHead = 64 << 10
