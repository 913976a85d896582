// Package plain makes foreign texts safe to store and to show.
package plain

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Unprintable runes have no place in a line of text: controls, line separators, and the marks that turn the
// direction of what follows, with which one node could make the names of others read differently.
func Unprintable(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r)
}

// Line makes one line of at most limit bytes, cut between runes. Line ends and tabs become spaces, so that words stay
// apart; other unprintable runes are dropped, NUL above all, which Postgres cannot store. What is not UTF-8 becomes
// U+FFFD.
func Line(s string, limit int) string {
	if len(s) <= limit && clean(s) {
		return s
	}
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case Unprintable(r):
			return -1
		}
		return r
	}, s))
	return strings.TrimRightFunc(cut(s, limit), unicode.IsSpace)
}

// clean reports whether a text is ASCII that is a plain line as it stands, as nearly all are.
func clean(s string) bool {
	if s == "" {
		return true
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return s[0] != ' ' && s[len(s)-1] != ' '
}

// cut shortens a valid UTF-8 text to at most limit bytes.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
