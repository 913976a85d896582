// Package envfile reads files of NAME=VALUE lines, as agents and monitors keep their settings in.
package envfile

import (
	"errors"
	"fmt"
	"strings"
)

// Parse reads the NAME=VALUE lines of a settings file, as a shell and systemd would: `export ` before a name,
// comments, quotes, a byte order mark and the line ends of Windows are understood; nothing is expanded. A value may
// hold spaces without quotes. An error names the line, never its text, which may be a secret.
func Parse(data []byte) (map[string]string, error) {
	vars := make(map[string]string)
	text := strings.TrimPrefix(string(data), "\uFEFF")
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		vars[name] = value
	}
	return vars, nil
}

var (
	errNoAssignment = errors.New("it must be NAME=VALUE or a comment")
	errOpenQuote    = errors.New("a quote is not closed")
	errNUL          = errors.New("there is a NUL byte: save the file as UTF-8 text")
)

func parseLine(line string) (name, value string, err error) {
	if strings.ContainsRune(line, 0) {
		return "", "", errNUL
	}
	if rest, ok := strings.CutPrefix(line, "export"); ok && rest != strings.TrimLeft(rest, " \t") {
		line = strings.TrimLeft(rest, " \t")
	}
	name, value, ok := strings.Cut(line, "=")
	if !ok || !isName(name) {
		return "", "", errNoAssignment
	}
	value, err = unquote(value)
	return name, value, err
}

// isName reports whether s can name a variable.
func isName(s string) bool {
	for i, r := range s {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// unquote joins the quoted and bare parts of a value. White space around it and a comment after white space go.
func unquote(s string) (string, error) {
	s = strings.TrimLeft(s, " \t")
	var out strings.Builder
	kept := 0 // length up to the last byte that is not bare white space
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\'' || c == '"':
			n, err := quoted(&out, s[i:])
			if err != nil {
				return "", err
			}
			i += n - 1
		case isBlank(c):
			out.WriteByte(c)
			continue
		case c == '#' && (i == 0 || isBlank(s[i-1])):
			return out.String()[:kept], nil
		case c == '\\' && i+1 < len(s) && strings.IndexByte(`\'" #`, s[i+1]) >= 0:
			i++
			out.WriteByte(s[i])
		default:
			out.WriteByte(c)
		}
		kept = out.Len()
	}
	return out.String()[:kept], nil
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// quoted writes the text of the quoted part that s begins with, and returns the part's length in s.
func quoted(out *strings.Builder, s string) (int, error) {
	quote := s[0]
	for i := 1; i < len(s); i++ {
		c := s[i]
		switch {
		case c == quote:
			return i + 1, nil
		case c == '\\' && quote == '"' && i+1 < len(s) && strings.IndexByte("\\\"$`", s[i+1]) >= 0:
			i++
			c = s[i]
		}
		out.WriteByte(c)
	}
	return 0, errOpenQuote
}
