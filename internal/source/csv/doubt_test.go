package csv

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// who gives the IDs of records, in brackets where there is a problem.
func who(t *testing.T, content string, v setting.Values) (string, source.Reading) {
	t.Helper()
	all := setting.Values{"passwords": "none"}
	for k, x := range v {
		all[k] = x
	}
	got, reading, err := read(t, openFile(t, content, all), nil)
	if err != nil {
		t.Fatal(err)
	}
	if reading.Users != len(got) || reading.Complete != (reading.Reason == "") {
		t.Errorf("%d records, and %+v", len(got), reading)
	}
	var out []string
	for _, r := range got {
		if r.Problem != "" {
			out = append(out, "("+string(r.ID)+")")
		} else {
			out = append(out, string(r.ID))
		}
	}
	return strings.Join(out, " "), reading
}

func TestAFileThatEndsInTheMiddleOfARowIsIncomplete(t *testing.T) {
	const three = "username,first name,last name\n"
	for name, c := range map[string]struct {
		content string
		v       setting.Values
		want    string
		reason  string // "" for a complete reading
	}{
		"in a value":                         {content: three + "u54,A,B\nu55,Fir", want: "u54", reason: "the file ends in the middle of line 3; it was cut off"},
		"behind a separator":                 {content: three + "u54,A,B\nu55,", want: "u54", reason: "middle of line 3"},
		"before the key":                     {content: three + "u54,A,B\n,", want: "u54", reason: "middle of line 3"},
		"in a key that looks like another's": {content: three + "u5,A,B\nu54,A,B\nu5", want: "u5 u54", reason: "middle of line 4"},
		"in quotes":                          {content: three + "u54,A,B\nu55,\"Fi", want: "u54", reason: "middle of line 3"},
		"in quotes of the last column":       {content: three + "u54,A,B\nu55,A,\"B", want: "u54", reason: "middle of line 3"},
		"behind the first of two quotes":     {content: three + "u54,A,B\nu55,\"A\"\"", want: "u54", reason: "middle of line 3"},
		"in quotes over several lines":       {content: three + "u54,A,B\nu55,\"Fi\nrst", want: "u54", reason: "inside of quotes that open in the row of line 3"},
		"in the line end":                    {content: strings.ReplaceAll(three, "\n", "\r\n") + "u54,A,B\r\nu55,A\r", want: "u54", reason: "middle of line 3"},
		"in quotes before the line end":      {content: three + "u54,A,B\r\nu55,\"A\r", want: "u54", reason: "middle of line 3"},
		"behind a misplaced quote":           {content: three + "u54,A,B\nu55,A\"", want: "u54", reason: "middle of line 3"},
		"with a row that is in doubt before": {content: three + ",A,B\nu55,A", want: "()", reason: "middle of line 3"},
		"in UTF-16":                          {content: "\xff\xfe" + utf16Bytes(three+"u54,A,B\nu55,A", false), want: "u54", reason: "middle of line 3"},
		"in the middle of a character":       {content: "username,név,last name\nu54,Zoë,B\nu55,Zo\xc3", want: "u54", reason: "middle of line 3"},
		"a row of its own line end alone":    {content: three + "u54,A,B\nu55,A\n", want: "u54 (u55)"},
		"a last row without a line end":      {content: three + "u54,A,B\nu55,A,B", want: "u54 u55"},
		"a last row that ends in nothing":    {content: three + "u54,A,B\nu55,A,", want: "u54 u55"},
		"a last row in quotes":               {content: three + "u54,A,B\nu55,A,\"B\"", want: "u54 u55"},
		"white space behind the last row":    {content: three + "u54,A,B\n  ", want: "u54"},
		"carriage returns alone":             {content: strings.ReplaceAll(three+"u54,A,B\nu55,A\n", "\n", "\r"), want: "u54 (u55)"},
		"a misplaced quote in the last row":  {content: three + "u54,A,B\nu55,A\"A,B", want: "u54 (u55)"},
	} {
		t.Run(name, func(t *testing.T) {
			got, reading := who(t, c.content, c.v)
			if got != c.want || reading.Complete != (c.reason == "") || !strings.Contains(reading.Reason, c.reason) {
				t.Errorf("got %q, %v: %s", got, reading.Complete, reading.Reason)
			}
		})
	}
}

// Wherever a file is cut, nobody who stands behind the cut may seem to be gone,
// unless the cut falls between two rows or into the last value of one.
func TestWhereverAFileIsCutNobodyIsGone(t *testing.T) {
	rows := []string{"username,first name,mail,town\n", "anna,\"Anna, \"\"A\"\"\",a@x,Gent\n", "bo,Bo,\"b@x\nb2@x\",\"Y\"\n", "cy,Cyé,c@x,Z\n"}
	whole := strings.Join(rows, "")
	fine := map[int]bool{}
	for i := 1; i <= len(rows); i++ {
		end := len(strings.Join(rows[:i], ""))
		for at := strings.LastIndexByte(whole[:end], ',') + 1; at <= end; at++ {
			fine[at] = true
		}
	}
	for at := len(rows[0]); at <= len(whole); at++ {
		_, reading, err := read(t, openFile(t, whole[:at], setting.Values{"passwords": "none"}), nil)
		if err == nil && reading.Complete && !fine[at] {
			t.Errorf("cut to %q, the reading counts as complete", whole[:at])
		}
	}
}

func TestAnAnswerThatEndsInTheMiddleOfARowIsIncomplete(t *testing.T) {
	s, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Connection", "close")
		w.(http.Flusher).Flush() // no length is told
		_, _ = fmt.Fprint(w, people+"bo")
	}, nil)
	got, reading, err := read(t, s, nil)
	if err != nil || len(got) != 1 || reading.Complete || reading.Next != nil || !strings.Contains(reading.Reason, "middle of line 3") {
		t.Error(got, reading, err)
	}
}

func TestRowsThatRanTogetherAreInDoubt(t *testing.T) {
	const three = "username,first name,last name\n"
	for name, c := range map[string]struct {
		content string
		want    string
		reason  string
	}{
		"a carriage return between":               {three + "a,A,A\rb,B,B\nc,C,C\n", "() c", "row 2: a carriage return stands in the middle of it"},
		"in a file with both line ends":           {strings.ReplaceAll(three, "\n", "\r\n") + "a,A,A\rb,B,B\r\nc,C,C\r\n", "() c", "row 2: a carriage return"},
		"between rows that are too short":         {three + "a\rb\nc,C,C\n", "() c", "row 2: a carriage return"},
		"and the number of columns is right":      {three + "a,A\rb,B\nc,C,C\n", "() c", "row 2: a carriage return"},
		"behind quotes that are misplaced":        {three + "a,\"A\"x,A\rb,B,B\nc,C,C\n", "() c", "row 2: a carriage return"},
		"a newline was lost":                      {three + "a,A,Ab,B,B\nc,C,C\n", "() c", "row 2: 5 columns, the header has 3, so it may be several rows"},
		"two newlines were lost":                  {three + "a,A,Ab,B,Bc,C,C\nd,D,D\n", "() d", "7 columns"},
		"a newline was lost at a misplaced quote": {three + "a,\"A\"x,Ab,B,B\nc,C,C\n", "() c", "misplaced, and it may be several rows"},
		"the header of a second file follows":     {three + "a,A,A" + three + "b,B,B\n", "() b", "5 columns"},
		"the header's newline was lost":           {"username,first name,last nameb,Bo,Berg\na,A,A\nc,C,C\n", "(a) (c)", "the first person may stand in the header's line"},
		"two columns":                             {"username,town\na,Ab,B\nc,C\n", "() c", "3 columns"},
		"a separator too many in a name":          {three + "a,A,A,Jr\nc,C,C\n", "(a) c", ""},
		"separators too many, and nothing":        {three + "a,A,A,,,,\nc,C,C\n", "a c", ""},
		"a carriage return in quotes":             {three + "a,A,\"A\rA\"\nc,C,C\n", "a c", ""},
		"carriage returns at the ends":            {three + "a,A,A\r\r\nc,C,C\r\r\n", "a c", ""},
		"a Windows newline in quotes":             {three + "a,A,\"A\r\nA\"\r\nc,C,C\r\n", "a c", ""},
		"short rows under a header":               {"username,a,b,c,d\nx,1,2\ny,1,2,3,4\n", "(x) y", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, reading := who(t, c.content, nil)
			if got != c.want || reading.Complete != (c.reason == "") || !strings.Contains(reading.Reason, c.reason) {
				t.Errorf("got %q, %v: %s", got, reading.Complete, reading.Reason)
			}
		})
	}
}

func TestAHeaderWithAPersonInItsLineIsRefused(t *testing.T) {
	_, _, err := read(t, openFile(t, "username,town\ra,A\nb,B\n", nil), nil)
	if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "carriage return") || !strings.Contains(fault.HintOf(err), "one kind") {
		t.Error(err, fault.HintOf(err))
	}
}

func TestAQuoteThatSwallowsRowsIsToldFromTextOfSeveralLines(t *testing.T) {
	const six = "username,email,first_name,last_name,title,note\n"
	for name, c := range map[string]struct {
		rows     string
		header   string
		v        setting.Values
		complete bool
	}{
		"rows that are short":                    {rows: "a,a@x,A,A,t,\"n\nb,b@x,B,B\nc,c@x,C,C\"\n"},
		"one short row":                          {rows: "a,a@x,A,A,t,\"n\nb,b@x,B,B\"\n"},
		"a key and an address":                   {rows: "a,a@x,A,A,t,\"n\nb,b@x\"\n"},
		"short rows without an address":          {rows: "a,,A,A,t,\"n\nb,,B,B\"\n"},
		"rows with the key behind":               {rows: "a@x,A,A,t,n,\"a\nb@x,B,B,t,n\nc@x,C,C,t\",\n", header: "email,first_name,last_name,title,note,username\n"},
		"rows with names for keys":               {rows: "Ann Ames,a@x,A,\"A\nBo Berg,b@x,B\",t,n\n"},
		"rows with semicolons":                   {rows: "a;a@x;A;A;t;\"n\nb;b@x;B;B\"\n", header: strings.ReplaceAll(six, ",", ";")},
		"two columns with addresses":             {rows: "a,\"a@x\nb,b@x\"\n", header: "username,email\n"},
		"an address":                             {rows: "a,a@x,A,A,t,\"Main Street 5, Floor 2\n1000 Brussels, Belgium\"\n", complete: true},
		"an address without spaces":              {rows: "a,a@x,A,A,t,\"Main Street 5,Floor 2\n1000 Brussels,Belgium\n\"\n", complete: true},
		"a postal code, a place and a country":   {rows: "a,a@x,A,A,t,\"Main Street 5\n1000,Brussels,Belgium\n\"\n", complete: true},
		"prose":                                  {rows: "a,a@x,A,A,t,\"Hello,\nred, green, blue, and so on\nJane, who knows, said so, too, twice\n\"\n", complete: true},
		"an address in a narrow table":           {rows: "a,A,\"Main Street 5, Floor 2\n1000 Brussels, Belgium\"\n", header: "username,name,address\n", complete: true},
		"prose in a narrow table":                {rows: "a,A,\"Likes\nred, green, blue\nand no other\"\n", header: "username,name,note\n", complete: true},
		"rows with a space in a value":           {rows: "a,A,\"n\nb, B,x\nc,C\"\n", header: "username,name,note\n"},
		"rows written with spaces":               {rows: "a, A, t,\"n\nb, B, t, n\nc, C, t, n\"\n", header: "username,name,title,note\n"},
		"a list of words":                        {rows: "a,a@x,A,A,t,\"Knows\nC,Go,Java\n\"\n", complete: true},
		"an amount of money":                     {rows: "a,a@x,A,A,t,\"Budget\n1,000,000\n\"\n", complete: true},
		"somebody to ask, with a space":          {rows: "a,a@x,A,A,t,\"Ask\nBob, bob@x\nor Eve Ames,eve@x\"\n", complete: true},
		"addresses of e-mail below one another":  {rows: "a,a@x,A,A,t,\"a1@x\na2@x\n\"\n", complete: true},
		"semicolons in a table with semicolons":  {rows: "a;a@x;A;A;t;\"first; then\nsecond; third\"\n", header: strings.ReplaceAll(six, ",", ";"), complete: true},
		"commas in a table with semicolons":      {rows: "a;a@x;A;A;t;\"n\nb,b@x,B,B,B,B\n\"\n", header: strings.ReplaceAll(six, ",", ";"), complete: true},
		"a note in two columns":                  {rows: "a,\"x\nb,y\"\n", header: "username,note\n", complete: true},
		"a note with an address in two columns":  {rows: "a,\"Call\nbob,bob@x\"\n", header: "username,note\n", complete: true},
		"an empty first field is no person":      {rows: "a,a@x,A,A,t,\"n\n,b@x,B,B\n\"\n", complete: true},
		"the same text, made of quotes in pairs": {rows: "a,a@x,A,A,t,\"\"\"n\"\"\nsaid \"\"he, she, it\"\"\"\n", complete: true},
	} {
		t.Run(name, func(t *testing.T) {
			if c.header == "" {
				c.header = six
			}
			got, reading := who(t, c.header+c.rows, c.v)
			if reading.Complete != c.complete {
				t.Errorf("got %q, complete %v: %s", got, reading.Complete, reading.Reason)
			}
			if !c.complete && !strings.Contains(reading.Reason, "runs over what look like other rows") {
				t.Error(reading.Reason)
			}
		})
	}
}

func TestACtrlZAtTheEndOfAFileIsNoRow(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		want    string
	}{
		"behind the last line":      {people + "\x1a", "jdoe"},
		"behind the last value":     {strings.TrimSpace(people) + "\x1a", "jdoe"},
		"many, to fill a block":     {people + strings.Repeat("\x1a", 127), "jdoe"},
		"in UTF-16":                 {"\xff\xfe" + utf16Bytes(people+"\x1a", false), "jdoe"},
		"behind a header":           {"username,first name\n\x1a", ""},
		"in the middle":             {people + "\x1a\nbo,Bo\n", "jdoe () bo"},
		"in the middle and the end": {people + "b\x1ao,Bo\n\x1a", "jdoe ()"},
	} {
		t.Run(name, func(t *testing.T) {
			got, reading := who(t, c.content, nil)
			if got != c.want || reading.Complete == strings.Contains(got, "()") {
				t.Errorf("got %q, %+v", got, reading)
			}
		})
	}
	// Its place in the buffers makes no difference.
	for pad := 4080; pad < 4110; pad++ {
		content := "username,n\na," + strings.Repeat("x", pad) + "\n\x1a\x1a"
		if got, reading := who(t, content, nil); got != "a" || !reading.Complete {
			t.Fatal(pad, got, reading)
		}
		middle := "username,n\na," + strings.Repeat("x", pad) + "\x1a\x1ax"
		got, _, err := read(t, openFile(t, middle, setting.Values{"passwords": "none"}), nil)
		if err != nil || !strings.HasSuffix(got[0].First("n"), "x\x1a\x1ax") {
			t.Fatal(pad, len(got), err)
		}
	}
}

func TestCheckWarnsOfAFileThatWasCut(t *testing.T) {
	var last source.Step
	openFile(t, header+"a,A,B,a@x,pw\nb,B", nil).Check(context.Background(), func(st source.Step) { last = st })
	if last.Name != "rows" || last.Verdict != source.Warn || !strings.Contains(last.Detail, "middle of line 3") || last.Hint == "" || !slices.Equal(last.Names, []string{"a"}) {
		t.Errorf("%+v", last)
	}
}
