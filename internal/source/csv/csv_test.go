package csv

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

const header = "username,first name,last name,e-mail,password\n"

// openFile makes a source of a file with this content.
func openFile(t testing.TB, content string, v setting.Values) source.Source {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "people.csv"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if v == nil {
		v = setting.Values{}
	}
	v["path"] = "people.csv"
	s, err := Kind.Open(v, source.Env{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func read(t testing.TB, s source.Source, from source.Cursor) ([]directory.Record, source.Reading, error) {
	t.Helper()
	var out []directory.Record
	reading, err := s.Read(context.Background(), source.Request{From: from}, func(r *directory.Record) error {
		c := *r
		c.Attributes = nil
		for _, a := range r.Attributes {
			c.Attributes = append(c.Attributes, directory.Attribute{Name: a.Name, Values: slices.Clone(a.Values)})
		}
		out = append(out, c)
		return nil
	})
	return out, reading, err
}

// lines shows records in short: ID, attributes, password, problem.
func lines(records []directory.Record) []string {
	var out []string
	for _, r := range records {
		s := string(r.ID) + "|"
		for i, a := range r.Attributes {
			if i > 0 {
				s += " "
			}
			s += a.Name + "=" + strings.Join(a.Values, "+")
		}
		out = append(out, s+"|"+r.Password+"|"+r.Problem)
	}
	return out
}

func TestARowBecomesARecord(t *testing.T) {
	s := openFile(t, "Username,First Name,,Dept,Password\r\njdoe,Jane,x,,s3cret\r\n boss ,Bob,,\"a \"\"b\"\"\nc\",pw\r\n", nil)
	got, reading, err := read(t, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []directory.Record{
		{Kind: directory.User, ID: "jdoe", Name: "jdoe", Ref: "jdoe", Password: "s3cret", Attributes: []directory.Attribute{
			{Name: "Username", Values: []string{"jdoe"}}, {Name: "First Name", Values: []string{"Jane"}}}},
		{Kind: directory.User, ID: "boss", Name: "boss", Ref: "boss", Password: "pw", Attributes: []directory.Attribute{
			{Name: "Username", Values: []string{" boss "}}, {Name: "First Name", Values: []string{"Bob"}}, {Name: "Dept", Values: []string{"a \"b\"\nc"}}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if !reading.Full || !reading.Complete || reading.Users != 2 || reading.Reason != "" || reading.Next != nil {
		t.Errorf("reading %+v", reading)
	}
}

func TestRowsThatCannotBeUsed(t *testing.T) {
	for name, c := range map[string]struct {
		rows       string
		settings   setting.Values
		want       []string
		incomplete bool
	}{
		"a column too few is known by its first one": {
			rows: "a,A,B,a@x\nb,B,C,b@x,pw\n",
			want: []string{"a||" + "|row 2 (a): 4 columns, the header has 5", "b|username=b first name=B last name=C e-mail=b@x|pw|"},
		},
		"a column too many behind the key": {
			rows: "a,A,B,Jr,a@x,pw\n",
			want: []string{"a|||row 2 (a): 6 columns, the header has 5"},
		},
		"empty columns too many do no harm": {
			rows: "a,A,B,a@x,pw,,\n,,,,\n\n",
			want: []string{"a|username=a first name=A last name=B e-mail=a@x|pw|"},
		},
		"a misplaced quote": {
			rows: "a,A,\"B\"x,a@x,pw\nb,B,C,b@x,pw\n",
			want: []string{"a|||row 2 (a): a quote is open or misplaced", "b|username=b first name=B last name=C e-mail=b@x|pw|"},
		},
		"a quote that swallows another row makes the reading incomplete": {
			rows: "a,\"A,B,a@x,pw\nb,\"B\",C,b@x,pw\nc,C,D,c@x,pw\n", incomplete: true,
			want: []string{"|||row 2: a quote is open or misplaced", "c|username=c first name=C last name=D e-mail=c@x|pw|"},
		},
		"a quote that ends far below by chance": {
			rows: "a,\"A,B,a@x,pw\nb,B,C,b@x,pw\nc\",D,c@x,pw\n", incomplete: true,
			want: []string{"|||row 2: a quote in column first name runs over what look like other rows"},
		},
		"two rows made one by two quotes": {
			rows: "a,A,\"B,a@x,pw\nb,B,C\",b@x,pw\n", incomplete: true,
			want: []string{"|||row 2: a quote in column last name runs over what look like other rows"},
		},
		"an address of several lines is a value": {
			rows: "a,A,\"B, C\nD, E\",a@x,pw\n",
			want: []string{"a|username=a first name=A last name=B, C\nD, E e-mail=a@x|pw|"},
		},
		"nothing in the key": {
			rows: ",A,B,a@x,pw\n", incomplete: true,
			want: []string{"|||row 2: nothing in the key column username"},
		},
		"a row that is torn where the key stands behind": {
			rows: "a,A,B,Jr,a@x,pw\n", settings: setting.Values{"key": "e-mail"}, incomplete: true,
			want: []string{"|||row 2: 6 columns, the header has 5"},
		},
		"a NUL byte": {
			rows: "a,A\x00,B,a@x,pw\nb\x00,A,B,a@x,pw\n", incomplete: true,
			want: []string{"a|||row 2 (a): a NUL byte in column first name", "|||row 3: a control character in the key"},
		},
		"zeros in the place of rows": {
			rows: "a,A,B,a@x,pw\nb,B" + strings.Repeat("\x00", 30) + "D,d@x,pw\ne,E,F,e@x,pw\n", incomplete: true,
			want: []string{"a|username=a first name=A last name=B e-mail=a@x|pw|", "|||row 3: several NUL bytes stand in it, so rows may be missing there", "e|username=e first name=E last name=F e-mail=e@x|pw|"},
		},
		"one key twice, without case": {
			rows: "a,A,B,a@x,pw\nb,B,C,b@x,pw\nA,A,B,a2@x,pw\na,A,B,a3@x,pw\n",
			want: []string{"a|||row 2 (a): the same key stands in rows 2, 4, 5", "b|username=b first name=B last name=C e-mail=b@x|pw|",
				"A|||row 4 (A): the same key stands in rows 2, 4, 5", "|||row 5 (a): the same key stands in rows 2, 4, 5"},
		},
		"no password and no default": {
			rows: "a,A,B,a@x,\n",
			want: []string{"a|username=a first name=A last name=B e-mail=a@x||row 2 (a): no password and no default_password"},
		},
		"no password, but a default": {
			rows: "a,A,B,a@x,\nb,A,B,b@x,own\n", settings: setting.Values{"default_password": "start"},
			want: []string{"a|username=a first name=A last name=B e-mail=a@x|start|", "b|username=b first name=A last name=B e-mail=b@x|own|"},
		},
		"passwords are not wanted": {
			rows: "a,A,B,a@x,pw\n", settings: setting.Values{"passwords": "none", "default_password": "start"},
			want: []string{"a|username=a first name=A last name=B e-mail=a@x||"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, reading, err := read(t, openFile(t, header+c.rows, c.settings), nil)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(lines(got), c.want) {
				t.Errorf("got  %q\nwant %q", lines(got), c.want)
			}
			if reading.Complete == c.incomplete || (reading.Reason != "") != c.incomplete {
				t.Errorf("complete %v: %s", reading.Complete, reading.Reason)
			}
			if strings.Contains(fmt.Sprint(reading), "pw") {
				t.Error("a password shows")
			}
		})
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	long := strings.Repeat("x", 100)
	for name, c := range map[string]struct {
		content  string
		settings setting.Values
		want     string
		hint     string
	}{
		"empty":                         {"", nil, "is empty", "still has its header"},
		"only space":                    {" \r\n\n", nil, "is empty", "header"},
		"only a byte order mark":        {"\xef\xbb\xbf", nil, "is empty", "header"},
		"no key column":                 {"usernam,first name\n", nil, `no column "username"`, `did you mean "usernam"? Columns found: usernam, first name`},
		"no header: nothing is shown":   {"jdoe,Jane,s3cret\n", nil, `no column "username"`, "none of the 3 columns"},
		"a column that columns names":   {header, setting.Values{"columns": []string{"badge=Badge"}}, `no column "Badge" (columns: the one for badge)`, "columns found"},
		"a manager column that is told": {header, setting.Values{"manager": "boss"}, `no column "boss" (manager)`, "columns found"},
		"two columns of one name":       {"username,Name,name\n", nil, "have the same name", "of its own"},
		"NUL in the header":             {"user\x00name\n", nil, "NUL", "utf-16"},
		"NUL in a header of UTF-16":     {utf16Bytes("user\x00name\n", false), setting.Values{"encoding": "utf-16"}, "NUL", "save the file as CSV in UTF-8"},
		"an Excel workbook":             {"PK\x03\x04\x14\x00\x00", nil, "is an Excel workbook", "as CSV"},
		"a workbook, told as UTF-16":    {"PK\x03\x04\x14\x00\x00", setting.Values{"encoding": "utf-16"}, "is an Excel workbook", "as CSV"},
		"an old Excel workbook":         {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00", nil, "is an Excel workbook", "as CSV"},
		"a compressed file":             {"\x1f\x8b\x08\x00\x00", nil, "is a compressed file (gzip)", "unpack"},
		"a compressed one, told UTF-16": {"\x1f\x8b\x08\x00\x00", setting.Values{"encoding": "utf-16"}, "is a compressed file (gzip)", "unpack"},
		"an open quote at the end":      {header + "a,A,B,a@x,pw\nb,\"B,C\nd,e,f\n", nil, "begins on line 3", "cut off"},
		"an open quote in the header":   {"username,\"first\n", nil, "open or misplaced quote", "names of the columns"},
		"a row beyond a mebibyte":       {header + "a,A,B,a@x,pw\nb,\"" + strings.Repeat(long+"\n", 12000), nil, "the row behind line 2 is longer than 1 MiB", "quote too many"},
		"half a character of UTF-16":    {"\xff\xfeu\x00s\x00e\x00r\x00n\x00a\x00m\x00e\x00\n\x00a", nil, "middle of a character", "cut off"},
		"larger than allowed":           {header + long, setting.Values{"max_size": int64(100)}, "larger than 100 bytes", "max_size"},
		"key and password are one":      {header, setting.Values{"key": "password"}, "are the same", "password_column"},
	} {
		t.Run(name, func(t *testing.T) {
			records, reading, err := read(t, openFile(t, c.content, c.settings), nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(fault.HintOf(err), c.hint) {
				t.Fatalf("got %v (%s) and %d records, %+v", err, fault.HintOf(err), len(records), reading)
			}
			if strings.Contains(err.Error()+fault.HintOf(err), "s3cret") {
				t.Error("a password shows")
			}
		})
	}
	s, err := Kind.Open(setting.Values{"path": "missing.csv"}, source.Env{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := read(t, s, nil); fault.KindOf(err) != fault.Unavailable || fault.HintOf(err) == "" {
		t.Error(err)
	}
}

func TestAHeaderAloneIsAnEmptyDirectory(t *testing.T) {
	for _, content := range []string{header, strings.TrimSpace(header), header + "\n\r\n,,\n"} {
		got, reading, err := read(t, openFile(t, content, nil), nil)
		if err != nil || len(got) != 0 || !reading.Complete || !reading.Full || reading.Users != 0 {
			t.Errorf("%q: %v, %+v, %v", content, got, reading, err)
		}
	}
}

func utf16Bytes(s string, big bool) string {
	var b bytes.Buffer
	for _, u := range utf16.Encode([]rune(s)) {
		if big {
			b.WriteByte(byte(u >> 8))
		}
		b.WriteByte(byte(u))
		if !big {
			b.WriteByte(byte(u >> 8))
		}
	}
	return b.String()
}

func TestEncodingsAndSeparators(t *testing.T) {
	plain := "username;first name;städt\njdoe;Zoë;Gent\n"
	for name, c := range map[string]struct {
		content  string
		settings setting.Values
	}{
		"UTF-8":                      {plain, nil},
		"UTF-8 with a mark":          {"\xef\xbb\xbf" + plain, nil},
		"UTF-16 little-endian":       {"\xff\xfe" + utf16Bytes(plain, false), nil},
		"UTF-16 big-endian":          {"\xfe\xff" + utf16Bytes(plain, true), nil},
		"UTF-16 without a mark, big": {utf16Bytes(plain, true), setting.Values{"encoding": "utf-16"}},
		"UTF-16 without a mark":      {utf16Bytes(plain, false), setting.Values{"encoding": "utf-16"}},
		"Windows-1252":               {"username;first name;st\xe4dt\njdoe;Zo\xeb;Gent\n", nil},
		"Windows-1252, as told":      {"username;first name;st\xe4dt\njdoe;Zo\xeb;Gent\n", setting.Values{"encoding": "windows-1252"}},
		"commas":                     {strings.ReplaceAll(plain, ";", ","), nil},
		"tabs":                       {strings.ReplaceAll(plain, ";", "\t"), nil},
		"semicolons as told":         {plain, setting.Values{"separator": "semicolon"}},
		"carriage returns alone":     {strings.ReplaceAll(plain, "\n", "\r"), nil},
		"both line ends":             {strings.ReplaceAll(plain, "\n", "\r\n"), nil},
		"Excel's own hint":           {"sep=;\r\n" + plain, nil},
		"blank lines before":         {"\n\n" + plain, nil},
		"commas inside of quotes":    {"username;first name;\"städt\"\njdoe;Zoë;Gent", nil},
	} {
		t.Run(name, func(t *testing.T) {
			v := setting.Values{"passwords": "none"}
			for k, x := range c.settings {
				v[k] = x
			}
			got, reading, err := read(t, openFile(t, c.content, v), nil)
			if err != nil || !reading.Complete {
				t.Fatal(err, reading)
			}
			if want := []string{"jdoe|username=jdoe first name=Zoë städt=Gent||"}; !slices.Equal(lines(got), want) {
				t.Errorf("got %q", lines(got))
			}
		})
	}
}

func TestEncodingIsFoundInTheWholeFile(t *testing.T) {
	var b strings.Builder
	b.WriteString("username;name\n")
	for i := range 20000 {
		fmt.Fprintf(&b, "u%05d;José\n", i)
	}
	content := b.String() // characters of two bytes at every place of a buffer
	got, _, err := read(t, openFile(t, content, setting.Values{"passwords": "none"}), nil)
	if err != nil || len(got) != 20000 || got[19999].First("name") != "José" {
		t.Fatal(len(got), err)
	}
	got, reading, err := read(t, openFile(t, content+"last;Jos\xe9\n", setting.Values{"passwords": "none"}), nil)
	if err != nil || !reading.Complete || got[19999].First("name") != "José" || got[20000].First("name") != "Jos\xe9" {
		t.Fatal(len(got), err) // what is no UTF-8 is a problem of its row, which the mapping tells
	}
	content = strings.ReplaceAll(content, "é", "\xe9")
	got, _, err = read(t, openFile(t, content+"last;José\n", setting.Values{"passwords": "none"}), nil)
	if err != nil || got[19999].First("name") != "José" {
		t.Fatal(len(got), err)
	}
}

func TestTheMoreFrequentEncodingIsTheFiles(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"nothing but Windows-1252":   {"username,name\na,Zo\xeb\nb,M\xfcller\n", "Zoë Müller"},
		"one wrong byte in UTF-8":    {"username,name\na,Zoë Müller\nb,L\xe4\n", "Zoë Müller L\xe4"},
		"as many of both":            {"username,name\na,Zoë\nb,L\xe4\n", "Zoë L\xe4"},
		"more wrong bytes than UTF8": {"username,name\na,Zo\xeb\nb,L\xe4\xe4\nc,É\n", "Zoë Lää Ã‰"},
		"a character that was cut":   {"username,name\na,Zoë\nb,L\xc3", "Zoë L\xc3"},
	} {
		t.Run(name, func(t *testing.T) {
			s := openFile(t, c.content, setting.Values{"passwords": "none"})
			got, reading, err := read(t, s, nil)
			if err != nil || !reading.Complete {
				t.Fatal(reading, err)
			}
			var all []string
			for _, r := range got {
				all = append(all, r.First("name"))
			}
			if strings.Join(all, " ") != c.want {
				t.Errorf("got %q", all)
			}
			// What is known from the beginning is judged alike.
			head, err := s.(*table).head(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if l, err := s.(*table).inspectHead(head); err != nil || (l.encoding == "utf-8") != strings.HasPrefix(c.content, "username,name\na,Zoë") {
				t.Error(l, err)
			}
		})
	}
}

func TestProblemsNameTheLineAlsoBehindAHintAndQuotedNewlines(t *testing.T) {
	got, _, err := read(t, openFile(t, "sep=,\n\nusername,note\na,\"x\ny\"\n\nb\n", setting.Values{"passwords": "none"}), nil)
	if err != nil || len(got) != 2 || got[1].Problem != "row 7 (b): 1 columns, the header has 2" {
		t.Errorf("got %q, %v", lines(got), err)
	}
}

func TestPresetMapsTheColumnsItKnows(t *testing.T) {
	rule := func(name string) setting.Rule { return setting.Rule{Attribute: name} }
	for name, c := range map[string]struct {
		header   string
		settings setting.Values
		anchor   string
		want     map[string]setting.Rule
	}{
		"names in every spelling": {"UserName,firstname,Last-Name,E-Mail,Mobile Phone,MANAGER,Password,shoe size", nil, "UserName", map[string]setting.Rule{
			"username": rule("UserName"), "first_name": rule("firstname"), "last_name": rule("Last-Name"), "email": rule("E-Mail"),
			"mobile_phone": rule("Mobile Phone"), "manager": rule("MANAGER")}},
		"columns of other names": {"Login;Vorname;Nachname;Adresse;Chef;Ausweis;Kennwort", setting.Values{"key": "Login", "manager": "chef", "password_column": "Kennwort",
			"columns": []string{"first_name=vorname", "last_name=Nachname", "email = Adresse", "badge=Ausweis"}}, "Login", map[string]setting.Rule{
			"username": rule("Login"), "first_name": rule("Vorname"), "last_name": rule("Nachname"), "email": rule("Adresse"),
			"manager": rule("Chef"), "badge": rule("Ausweis")}},
		"the key is a field that was given a column": {"Login,email,Geheim", setting.Values{"columns": []string{"username=login", "password=Geheim"}}, "Login", map[string]setting.Rule{
			"username": rule("Login"), "email": rule("email")}},
		"a key that is no username and a username": {"id,username,status", setting.Values{"key": "ID"}, "id", map[string]setting.Rule{
			"username": rule("username"), "status": rule("status")}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := openFile(t, c.header+"\n", c.settings).Preset(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if p.Vendor != "CSV" || p.Anchor != c.anchor || !reflect.DeepEqual(p.Mapping, c.want) {
				t.Errorf("got %+v", p)
			}
		})
	}
}

func TestAPasswordIsNeverAnAttribute(t *testing.T) {
	got, _, err := read(t, openFile(t, "username,Kennwort\na,s3cret\n", setting.Values{"columns": []string{"password=Kennwort"}}), nil)
	if err != nil || !slices.Equal(lines(got), []string{"a|username=a|s3cret|"}) {
		t.Error(lines(got), err)
	}
}

func TestAFileThatChangesWhileItIsReadDoesNotCount(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, path string){
		"it grows": func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteString("c,C,D,c@x,pw\n")
				_ = f.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
		},
		"other bytes of the same size and time": func(t *testing.T, path string) {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)-2] = 'X'
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			b.WriteString(header)
			for i := range 5000 {
				fmt.Fprintf(&b, "u%d,A,B,u%d@example.org,pw\n", i, i)
			}
			s := openFile(t, b.String(), nil)
			seen := 0
			_, err := s.Read(context.Background(), source.Request{}, func(*directory.Record) error {
				if seen++; seen == 1 {
					change(t, s.(*table).path)
				}
				return nil
			})
			if err == nil || !strings.Contains(err.Error(), "the file changed while it was read") || fault.HintOf(err) == "" {
				t.Error(err)
			}
		})
	}
}

func TestReadingEndsWithEmitAndContext(t *testing.T) {
	s := openFile(t, header+"a,A,B,a@x,pw\n", nil)
	mine := fmt.Errorf("mine")
	if _, err := s.Read(context.Background(), source.Request{}, func(*directory.Record) error { return mine }); err != mine { //nolint:errorlint // as it is
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Read(ctx, source.Request{}, func(*directory.Record) error { return nil }); err == nil {
		t.Error("a reading that was given up went on")
	}
}

func TestProgressIsTold(t *testing.T) {
	content := "username\n" + strings.Repeat("x", 3) + "\n"
	for i := range 1500 {
		content += fmt.Sprintf("u%d\n", i)
	}
	var told []int
	_, err := openFile(t, content, setting.Values{"passwords": "none"}).Read(context.Background(),
		source.Request{Progress: func(users, _ int) { told = append(told, users) }}, func(*directory.Record) error { return nil })
	if err != nil || !slices.Equal(told, []int{1000, 1501}) {
		t.Error(told, err)
	}
}

func TestSettingsThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		v    setting.Values
		want string
	}{
		"nothing":                {setting.Values{}, "neither path nor url"},
		"both":                   {setting.Values{"path": "a", "url": "https://x"}, "more than one of"},
		"a user for a file":      {setting.Values{"path": "a", "username": "u"}, "belong to url"},
		"http":                   {setting.Values{"url": "http://example.org/x?token=s3cret"}, "only https"},
		"another scheme":         {setting.Values{"url": "ftp://localhost/x"}, "only https"},
		"no host":                {setting.Values{"url": "https:x"}, "not an address"},
		"credentials in the url": {setting.Values{"url": "https://u:s3cret@example.org/x"}, "holds a user name"},
		"a control character":    {setting.Values{"url": "https://example.org/\x7fs3cret"}, "not an address"},
		"a password alone":       {setting.Values{"url": "https://example.org", "password": "s3cret"}, "username is not"},
		"no pair":                {setting.Values{"path": "a", "columns": []string{"email"}}, "not field=Column"},
		"a CA that is missing":   {setting.Values{"url": "https://example.org", "tls.ca_file": "none.pem"}, "tls.ca_file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Kind.Open(c.v, source.Env{Dir: t.TempDir()})
			if err == nil || !strings.Contains(err.Error(), c.want) || fault.KindOf(err) != fault.Invalid {
				t.Fatal(err)
			}
			if strings.Contains(err.Error()+fault.HintOf(err), "s3cret") {
				t.Error("a secret shows")
			}
		})
	}
}

func TestReferFoldsCase(t *testing.T) {
	if Kind.Refer(" Boss ") != Kind.Refer("bOSS") || Kind.Refer("a") == Kind.Refer("b") {
		t.Error("two spellings of one key differ")
	}
}

func TestCheckGoesFromTheFileToTheRows(t *testing.T) {
	steps := func(s source.Source) string {
		var b strings.Builder
		s.Check(context.Background(), func(st source.Step) { fmt.Fprintf(&b, "%s %s\n", st.Name, st.Verdict) })
		return b.String()
	}
	if got := steps(openFile(t, header+"a,A,B,a@x,pw\n", nil)); got != "file ok\nencoding ok\nseparator ok\nheader ok\nkey column ok\nrows ok\n" {
		t.Error(got)
	}
	if got := steps(openFile(t, "username,password\na,\n", nil)); got != "file ok\nencoding ok\nseparator ok\nheader warn\nkey column ok\nrows warn\n" {
		t.Error(got)
	}
	if got := steps(openFile(t, "email\n", nil)); got != "file ok\nencoding ok\nseparator ok\nkey column fail\n" {
		t.Error(got)
	}
	if got := steps(openFile(t, "", nil)); got != "file ok\nheader fail\n" {
		t.Error(got)
	}
}

func BenchmarkRead(b *testing.B) {
	var text strings.Builder
	text.WriteString(header)
	for i := range 10000 {
		fmt.Fprintf(&text, "u%d,Jane,Doe,u%d@example.org,pw\n", i, i)
	}
	s := openFile(b, text.String(), nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Read(context.Background(), source.Request{}, func(*directory.Record) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(header+"a,A,B,a@x,pw\n"), "auto")
	f.Add([]byte("sep=;\nusername;password\n\"a\"\"\";x\n"), "auto")
	f.Add([]byte("\xff\xfeu\x00s\x00e\x00r\x00n\x00a\x00m\x00e\x00\n\x00a\x00"), "utf-16")
	f.Add([]byte("username,x\na,\"b\nc\nd\"e,f\n\"g"), "windows-1252")
	f.Add([]byte("username,email,x\na,a@x,\"n\nb,b@x\"\rc,Zo\xeb\n\nd,\"d\r\n\x1a"), "auto")
	f.Add([]byte("id,username,manager\r\n1,a,b\r2,b,\r\n2,\x1a\x1a"), "auto")
	dir := f.TempDir()
	path := filepath.Join(dir, "people.csv")
	f.Fuzz(func(t *testing.T, content []byte, encoding string) {
		if _, err := Kind.Options[10].Parse(encoding); err != nil {
			return
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Kind.Open(setting.Values{"path": path, "encoding": encoding, "passwords": "none"}, source.Env{})
		if err != nil {
			t.Fatal(err)
		}
		ids := map[directory.ExternalID]bool{}
		users := 0
		reading, err := s.Read(context.Background(), source.Request{}, func(r *directory.Record) error {
			users++
			if r.ID == "" && r.Problem == "" || r.Ref == "" || r.Name == "" {
				t.Errorf("a record nobody can name: %+v", r)
			}
			if r.ID != "" && ids[r.ID] {
				t.Errorf("ID %q is reported twice", r.ID)
			}
			ids[r.ID] = true
			return nil
		})
		if err == nil && (reading.Users != users || reading.Complete != (reading.Reason == "")) {
			t.Errorf("reading %+v of %d", reading, users)
		}
	})
}

func TestCheckOffersTheColumnsAlsoWhereTheKeyColumnIsMissing(t *testing.T) {
	for _, c := range []struct {
		name, content, step string
		verdict             source.Verdict
		anchor              string
	}{
		{"a table that fits", "username;first_name;last_name;email\na;A;B;a@x.test\n", "header", source.OK, "username"},
		{"no key column", "id;first_name;last_name;email\na;A;B;a@x.test\n", "key column", source.Fail, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var steps []source.Step
			openFile(t, c.content, nil).Check(context.Background(), func(s source.Step) { steps = append(steps, s) })
			for _, s := range steps {
				if s.Section == "" {
					t.Errorf("the step %s belongs to no section", s.Name)
				}
				if s.Proposal == nil {
					continue
				}
				p := s.Proposal
				if s.Name != c.step || s.Verdict != c.verdict || p.Anchor != c.anchor || p.Separator != "semicolon" || len(p.Columns) != 4 || p.Vendor != "CSV" {
					t.Errorf("%+v offers %+v", s, p)
				}
				return
			}
			t.Errorf("nothing is offered: %+v", steps)
		})
	}
}
