package peer

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

const (
	maxWords     = 1024 // of one list; RL-Swarm's have 245 and 220
	maxWordBytes = 32
)

// ParseWords finds two lists in Python source, ADJECTIVES and ANIMALS in any case, each given once as a list of quoted
// words. Nothing is executed. What it does not understand of a list is an error, and so is a source longer than 64 KiB:
// one word too few would give every peer another's name.
func ParseWords(source []byte) (*Words, error) {
	if len(source) > maxSourceBytes {
		return nil, fmt.Errorf("it is longer than %d bytes", maxSourceBytes)
	}
	var w Words
	// To Python each of them is an end of line.
	source = bytes.ReplaceAll(source, []byte("\r\n"), []byte("\n"))
	source = bytes.ReplaceAll(source, []byte("\r"), []byte("\n"))
	p := python{rest: bytes.TrimPrefix(source, []byte("\uFEFF"))}
	for len(p.rest) > 0 {
		var err error
		switch name := p.name(); {
		case strings.EqualFold(name, "adjectives"):
			err = p.assign(name, &w.adjectives)
		case strings.EqualFold(name, "animals"):
			err = p.assign(name, &w.animals)
		default:
			err = p.skip()
		}
		if err != nil {
			return nil, err
		}
	}
	if w.adjectives == nil || w.animals == nil {
		return nil, errors.New("it has no lists ADJECTIVES and ANIMALS")
	}
	return &w, nil
}

// python reads source from the front, a statement at a time.
type python struct {
	rest []byte
}

// take removes a byte that is the next one.
func (p *python) take(c byte) bool {
	if len(p.rest) == 0 || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// name takes the name that a line begins with, "" when it begins with anything else.
func (p *python) name() string {
	n := 0
	for n < len(p.rest) && (letter(p.rest[n]) || p.rest[n] == '_' || '0' <= p.rest[n] && p.rest[n] <= '9') {
		n++
	}
	name := string(p.rest[:n])
	p.rest = p.rest[n:]
	return name
}

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// assign takes the rest of a statement that gives a list its words: "= [...]", perhaps with a type before it.
func (p *python) assign(name string, to *[]string) error {
	line, _, _ := bytes.Cut(p.rest, []byte("\n"))
	before, _, found := bytes.Cut(line, []byte("="))
	before = bytes.TrimLeft(before, " \t")
	if !found || len(before) > 0 && before[0] != ':' || bytes.ContainsAny(before, "#;\\\"'") {
		return fmt.Errorf("%s is not just given a list", name)
	}
	if *to != nil {
		return fmt.Errorf("%s is given twice", name)
	}
	p.rest = p.rest[bytes.IndexByte(p.rest, '=')+1:]
	words, err := p.list()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	*to = words
	return nil
}

// list takes a list of words to the end of its line.
func (p *python) list() ([]string, error) {
	p.rest = bytes.TrimLeft(p.rest, " \t")
	if !p.take('[') {
		return nil, errors.New("it is no list of words")
	}
	var words []string
	for p.blank(); !p.take(']'); p.blank() {
		word, err := p.word()
		if err != nil {
			return nil, fmt.Errorf("word %d: %w", len(words)+1, err)
		}
		if words = append(words, word); len(words) > maxWords {
			return nil, fmt.Errorf("it has more than %d words", maxWords)
		}
		p.take(',') // without one, anything but the end is no word
	}
	if len(words) == 0 {
		return nil, errors.New("it is empty")
	}
	line, rest, _ := bytes.Cut(p.rest, []byte("\n"))
	if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
		return nil, errors.New("something follows it")
	}
	p.rest = rest
	return words, nil
}

// blank takes spaces, ends of lines and comments.
func (p *python) blank() {
	for {
		p.rest = bytes.TrimLeft(p.rest, " \t\n\f")
		if !p.take('#') {
			return
		}
		_, p.rest, _ = bytes.Cut(p.rest, []byte("\n"))
	}
}

// word takes a word in quotes; several without a comma between them are one, as in Python.
func (p *python) word() (string, error) {
	var word strings.Builder
	for {
		var quote byte
		switch {
		case p.take('"'):
			quote = '"'
		case p.take('\''):
			quote = '\''
		case word.Len() == 0:
			return "", errors.New("it is no word in quotes")
		case word.Len() > maxWordBytes:
			return "", fmt.Errorf("it is longer than %d letters", maxWordBytes)
		default:
			return word.String(), nil
		}
		n := 0
		for n < len(p.rest) && (letter(p.rest[n]) || p.rest[n] == '-') {
			n++
		}
		// An empty one may be the begin of triple quotes.
		if n == 0 || n == len(p.rest) || p.rest[n] != quote {
			return "", errors.New("it holds something else than letters")
		}
		word.Write(p.rest[:n])
		p.rest = p.rest[n+1:]
		p.blank()
	}
}

var (
	errCutText    = errors.New("a text in it has no end")
	errCutBracket = errors.New("its brackets do not match")
)

// skip takes the rest of a statement: to an end of line outside brackets and texts.
func (p *python) skip() error {
	depth := 0
	for len(p.rest) > 0 {
		c := p.rest[0]
		if c == '"' || c == '\'' {
			if err := p.text(); err != nil {
				return err
			}
			continue
		}
		p.rest = p.rest[1:]
		switch c {
		case '\n':
			if depth == 0 {
				return nil
			}
		case '#':
			comment, _, _ := bytes.Cut(p.rest, []byte("\n"))
			p.rest = p.rest[len(comment):]
		case '\\': // before an end of line: the statement goes on
			p.take('\n')
		case '[', '(', '{':
			depth++
		case ']', ')', '}':
			depth--
		}
		if depth < 0 {
			return errCutBracket
		}
	}
	if depth > 0 {
		return errCutBracket
	}
	return nil
}

// text takes a text in quotes, single ones or triple ones.
func (p *python) text() error {
	quote := p.rest[:1]
	triple := bytes.Repeat(quote, 3)
	long := bytes.HasPrefix(p.rest, triple)
	if long {
		quote = triple
	}
	for p.rest = p.rest[len(quote):]; len(p.rest) > 0; {
		if bytes.HasPrefix(p.rest, quote) {
			p.rest = p.rest[len(quote):]
			return nil
		}
		if p.rest[0] == '\n' && !long {
			return errCutText
		}
		if p.rest[0] == '\\' && len(p.rest) > 1 {
			p.rest = p.rest[1:]
		}
		p.rest = p.rest[1:]
	}
	return errCutText
}
