package standardsql

import (
	"slices"
	"testing"
	"unicode"
)

// Whatever becomes a letter in lower case is among the forms of it that the database is asked for.
func TestTheFormsOfALetterAreAll(t *testing.T) {
	for r := rune(0x80); r <= unicode.MaxRune; r++ {
		lower := unicode.ToLower(r)
		if lower < 0x80 {
			continue // it is looked for with ASCII
		}
		forms := []rune{lower}
		for f := unicode.SimpleFold(lower); f != lower; f = unicode.SimpleFold(f) {
			forms = append(forms, f)
		}
		if !slices.Contains(forms, r) {
			t.Errorf("%q becomes %q, whose forms are %q", r, lower, forms)
		}
	}
}
