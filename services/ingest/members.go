package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// member is one of an object.
type member struct {
	name []byte // without quotes
	raw  json.RawMessage
	text string // the same as raw, but a part of what was read: no field needs memory of its own
}

// members are those of one object in their order.
type members []member

// get returns the last of that name, as other readers of JSON do; one without raw for none.
func (m members) get(name string) member {
	for _, one := range slices.Backward(m) {
		if string(one.name) == name {
			return one
		}
	}
	return member{}
}

// lenient takes names twice, as encoding/json does.
var lenient = jsontext.AllowDuplicateNames(true)

// scanners are kept, since each has a buffer.
var scanners = sync.Pool{New: func() any { return new(scanner) }}

type scanner struct {
	in      bytes.Reader
	decoder jsontext.Decoder
}

// split appends the members of an object to m, which may be nil, without looking into them more than to see that they are
// JSON. They are parts of text, and of whole, which is the same. Its errors are those of encoding/json, nil members without
// one mean null.
func split(m members, text []byte, whole string) (members, error) {
	s := scanners.Get().(*scanner)
	defer scanners.Put(s)
	s.in.Reset(text)
	s.decoder.Reset(&s.in, lenient)
	if m, err := s.object(m, text, whole); err == nil {
		return m, nil
	}
	// encoding/json is slower, knows what to say of errors, and takes halves of surrogate pairs.
	return slowly(text)
}

// errSlowly leaves an object to encoding/json.
var errSlowly = errors.New("not read here")

func (s *scanner) object(m members, text []byte, whole string) (members, error) {
	d := &s.decoder
	if d.PeekKind() != '{' {
		return nil, errSlowly
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	if m == nil {
		m = members{} // nil means null
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadValue()
		if err != nil || name.Kind() != '"' || bytes.IndexByte(name, '\\') >= 0 {
			return nil, errSlowly
		}
		end := d.InputOffset()
		name = text[end-int64(len(name))+1 : end-1]
		raw, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		end = d.InputOffset()
		begin := end - int64(len(raw))
		m = append(m, member{name, text[begin:end], whole[begin:end]})
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errSlowly
	}
	return m, nil
}

func slowly(text []byte) (members, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil || raw == nil {
		return nil, err
	}
	m := make(members, 0, len(raw))
	for name, value := range raw {
		m = append(m, member{[]byte(name), value, string(value)})
	}
	return m, nil
}

// unquote is the text of a JSON string, which is valid UTF-8. ok is false for anything else.
func (m member) unquote() (s string, ok bool) {
	if len(m.text) < 2 || m.text[0] != '"' {
		return "", false
	}
	if inner := m.text[1 : len(m.text)-1]; strings.IndexByte(inner, '\\') < 0 {
		return inner, true
	}
	var text string // not s, which would take memory each time
	return text, json.Unmarshal(m.raw, &text) == nil
}
