package tunnel

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// What a call asks for. An agent knows the first nine, a server the others.
const (
	callPreset   = "preset"
	callCheck    = "check"
	callRead     = "read"
	callFind     = "find"
	callLook     = "look"
	callExpires  = "expires"
	callWatch    = "watch"
	callProve    = "prove"
	callIdentify = "identify" // Authenticator.Find
	callHello    = "hello"    // who the agent is; also once its file has changed
	callLeave    = "leave"    // it takes no new calls
	callSync     = "sync"     // a run of its connection
	callNodes    = "nodes"    // how many nodes there are by now
)

// call is the first message of a stream. Which fields count depends on Do.
type call struct {
	Do       string                     `json:"do"`
	Kind     string                     `json:"kind,omitempty"`     // with settings: what to read, of an agent that has no settings of its own
	Settings map[string]json.RawMessage `json:"settings,omitempty"` // of the source
	Hello    *Hello                     `json:"hello,omitempty"`

	Who        string        `json:"who,omitempty"`
	Password   string        `json:"password,omitempty"`
	Attributes []string      `json:"attributes"` // null is not the same as none
	From       source.Cursor `json:"from,omitempty"`
	Changes    bool          `json:"changes,omitempty"` // From is given, so it may ask what is known
	Sweep      bool          `json:"sweep,omitempty"`
	Now        time.Time     `json:"now,omitzero"`
	Full       bool          `json:"full,omitempty"`
}

// Hello is what an agent says of itself.
type Hello struct {
	Oldest  int    `json:"oldest"` // versions of the protocol
	Newest  int    `json:"newest"`
	Program string `json:"program"`
	// Kind is what its file has it read, "" where it reads what the server says.
	Kind string `json:"kind,omitempty"`
	// Basis is a fingerprint of those settings in its file that decide who is read.
	Basis string `json:"basis,omitempty"`
	// Shown are settings of its file that the server's engine goes by.
	Shown map[string]json.RawMessage `json:"shown,omitempty"`
	// Policy is what its file allows.
	Policy *setting.Policy `json:"policy,omitempty"`
}

// welcome is what a server says to that.
type welcome struct {
	Version int    `json:"version"`
	Program string `json:"program"`
}

// agree gives the newest version that both sides understand.
func agree(h *Hello) (int, error) {
	if h.Newest < oldest || h.Oldest > newest || h.Oldest > h.Newest {
		return 0, fault.New(fault.Invalid, "the agent (%s) and the server do not understand one another: it speaks versions %d to %d of the protocol, and the server %d to %d",
			tidy(h.Program, 60), h.Oldest, h.Newest, oldest, newest).WithHint("bring both to the same release")
	}
	return min(newest, h.Newest), nil
}

// encodeSettings gives a source's settings as they are sent. At a provider people sign
// in with the server alone.
func encodeSettings(v setting.Values) (map[string]json.RawMessage, error) {
	out := make(map[string]json.RawMessage, len(v))
	for name, value := range v {
		if strings.HasPrefix(name, "authentication.provider.") || name == source.RemoteBasis {
			continue
		}
		b, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("setting %s: %w", name, err)
		}
		out[name] = b
	}
	return out, nil
}

// DecodeSettings reads settings that the other side sent: those the kind has, and none
// that names a file. The files of this machine are none of the other side's business.
func DecodeSettings(kind source.Kind, sent map[string]json.RawMessage) (setting.Values, error) {
	v := setting.Values{}
	for name, raw := range sent {
		o, ok := setting.Find(kind.Options, name)
		if !ok {
			return nil, fault.New(fault.Invalid, "the agent does not know the setting %q of %s", tidy(name, 100), kind.Name).WithHint("update the agent, or leave the setting out")
		}
		var err error
		switch o.Type {
		case setting.String:
			v[name], err = decoded[string](raw)
		case setting.Bool:
			v[name], err = decoded[bool](raw)
		case setting.Int:
			v[name], err = decoded[int](raw)
		case setting.Duration:
			v[name], err = decoded[time.Duration](raw)
		case setting.List:
			v[name], err = decoded[[]string](raw)
		case setting.Size:
			v[name], err = decoded[int64](raw)
		}
		if err != nil {
			return nil, fault.New(fault.Invalid, "the setting %q of %s is not %s", name, kind.Name, o.Type)
		}
		if text, isText := v[name].(string); o.Local && (!isText || text != "") {
			return nil, fault.New(fault.Denied, "the agent does not read the file that the setting %q of the server names", name).
				WithHint("write the backend into the agent's own file: files it names are read where the agent runs")
		}
	}
	return v, nil
}

func decoded[T any](raw json.RawMessage) (T, error) {
	var v T
	err := json.Unmarshal(raw, &v)
	return v, err
}

// failure is an error on its way.
type failure struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
}

var faults = map[fault.Kind]string{fault.Internal: "internal", fault.NotFound: "not_found", fault.Invalid: "invalid", fault.Conflict: "conflict",
	fault.Denied: "denied", fault.Unavailable: "unavailable", fault.Held: "held"}

const noWatch = "no_watch"

func failureOf(err error) failure {
	f := failure{Kind: faults[fault.KindOf(err)], Text: tidy(err.Error(), 4000), Hint: tidy(fault.HintOf(err), 1000)}
	if errors.Is(err, source.ErrNoWatch) {
		f.Kind = noWatch
	}
	return f
}

// failed reads an error that the other side sent.
func failed(body []byte) error {
	var f failure
	if err := json.Unmarshal(body, &f); err != nil {
		return errFrame
	}
	if f.Kind == noWatch {
		return source.ErrNoWatch
	}
	e := &fault.Error{Kind: fault.Internal, Message: tidy(f.Text, 4000), Hint: tidy(f.Hint, 1000)}
	for kind, name := range faults {
		if name == f.Kind && kind != fault.Held { // nobody in a customer's network holds plans
			e.Kind = kind
		}
	}
	return &toldError{e}
}

// toldError is an error of the other side, which did all it was asked to.
type toldError struct{ err *fault.Error }

func (e *toldError) Error() string { return e.err.Message }
func (e *toldError) Unwrap() error { return e.err }

// ask is what whoever works on a reading asks back.
type ask struct {
	Anew bool                 `json:"anew,omitempty"`
	All  bool                 `json:"all,omitempty"`  // every key that is known
	Kind directory.Kind       `json:"kind,omitempty"` // or whether this one is
	ID   directory.ExternalID `json:"id,omitempty"`
}

// answer is what is said to that. Yes of All says that keys follow.
type answer struct {
	Yes bool `json:"yes"`
}

type progress struct {
	Users  int `json:"users"`
	Groups int `json:"groups"`
}

// outcome is the last message of a call. Which fields count depends on the call.
type outcome struct {
	Preset  *source.Preset  `json:"preset,omitempty"`
	Reading *source.Reading `json:"reading,omitempty"`
	Records int             `json:"records"` // how many were sent
	Found   []source.Found  `json:"found,omitempty"`
	Expires []source.Expiry `json:"expires,omitempty"`
	Proof   *proof          `json:"proof,omitempty"`
	Welcome *welcome        `json:"welcome,omitempty"`
	Run     json.RawMessage `json:"run,omitempty"`
	Nodes   int             `json:"nodes,omitempty"`
}

// proof is a source.Proof without its record, which comes before it.
type proof struct {
	Standing source.Standing `json:"standing"`
	Right    bool            `json:"right"`
	Name     string          `json:"name"`
	Detail   string          `json:"detail"`
}

// tidy makes a text of the other side fit to be kept and shown: no control characters,
// and not longer than it may be.
func tidy(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}

func tidyAll(list []string, items, most int) []string {
	list = list[:min(len(list), items)]
	for i := range list {
		list[i] = tidy(list[i], most)
	}
	return list
}

// tidyRules bounds starting rules; what cannot be one is refused by whoever compiles it.
func tidyRules(rules map[string]setting.Rule) map[string]setting.Rule {
	out := map[string]setting.Rule{}
	for name, r := range rules {
		if len(out) < 200 && len(name) <= 100 && len(r.Expr) <= 10_000 {
			out[tidy(name, 100)] = setting.Rule{Attribute: tidy(r.Attribute, 200), Value: tidy(r.Value, 1000), Expr: tidy(r.Expr, 10_000), None: r.None}
		}
	}
	return out
}
