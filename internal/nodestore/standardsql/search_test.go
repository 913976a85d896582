package standardsql

import (
	"slices"
	"testing"
	"unicode"
)

// Whatever becomes a letter in lower case is among the forms of it that the database is asked for.
func TestTheFormsOfALetterAreAll(t *testing.T) {
	for r := rune(0x80); r <= unicode.MaxRune; r++ {
		// What is looked for may be written as r or as what r becomes, and the other way round.
		lower := unicode.ToLower(r)
		for _, sought := range []rune{lower, r} {
			if sought < 0x80 {
				continue // it is looked for with ASCII
			}
			forms := []rune{sought}
			for f := unicode.SimpleFold(sought); f != sought; f = unicode.SimpleFold(f) {
				forms = append(forms, f)
			}
			if !slices.Contains(forms, r) || lower >= 0x80 && !slices.Contains(forms, lower) {
				t.Errorf("%q becomes %q: the forms of %q are %q", r, lower, sought, forms)
			}
		}
	}
}
