package tail

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxLine bounds one line, in bytes.
const MaxLine = 2 << 10

// Lines splits text into lines as a person sees them: both kinds of line ends, and the carriage returns with which
// programs draw over a line, separate; what colours them and moves the cursor goes; what is no UTF-8 is replaced;
// empty lines are left out and long ones are cut.
func Lines(text []byte) []string {
	var lines []string
	for len(text) > 0 {
		line := text
		if i := bytes.IndexAny(text, "\r\n"); i >= 0 {
			line, text = text[:i], text[i+1:]
		} else {
			text = nil
		}
		if clean := clean(line); clean != "" {
			lines = append(lines, clean)
		}
	}
	return lines
}

func clean(line []byte) string {
	if plain(line) {
		return strings.TrimRight(string(cut(line)), " ")
	}
	out := make([]byte, 0, min(len(line), MaxLine+utf8.UTFMax))
	for i := 0; i < len(line) && len(out) <= MaxLine; {
		if n := sequence(line[i:]); n > 0 {
			i += n
			continue
		}
		r, size := utf8.DecodeRune(line[i:])
		i += size
		switch {
		case r == '\t':
			out = append(out, ' ')
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029':
		default:
			out = utf8.AppendRune(out, r)
		}
	}
	return strings.TrimRight(string(cut(out)), " ")
}

// plain reports whether a line is printable ASCII: most are.
func plain(line []byte) bool {
	for _, c := range line {
		if c < ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// cut shortens a line to MaxLine bytes, between runes.
func cut(line []byte) []byte {
	if len(line) <= MaxLine {
		return line
	}
	n := MaxLine
	for n > 0 && !utf8.RuneStart(line[n]) {
		n--
	}
	return line[:n]
}

const escapeByte = 0x1b

// sequence is the length of the terminal control sequence that text begins with, 0 when there is none: ESC [ … letter,
// ESC ] … BEL or ESC \, and ESC with one more character.
func sequence(text []byte) int {
	if text[0] != escapeByte {
		return 0
	}
	if len(text) == 1 {
		return 1
	}
	switch text[1] {
	case '[':
		for i := 2; i < len(text); i++ {
			if text[i] >= 0x40 && text[i] <= 0x7e {
				return i + 1
			}
		}
		return len(text)
	case ']':
		for i := 2; i < len(text); i++ {
			if text[i] == 0x07 {
				return i + 1
			}
			if text[i] == escapeByte {
				return min(i+2, len(text))
			}
		}
		return len(text)
	case '(', ')':
		return min(3, len(text))
	}
	return 2
}
