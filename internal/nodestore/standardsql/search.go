package standardsql

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// maxSought is how long a text the database is asked to look for; engines have limits.
const maxSought = 1000

// searched is what a search looks at, in lower case. The id comes first: its collation is that of bytes, and so is that
// of the whole, so that lower knows the letters of ASCII and no others, whatever the locale of the database.
const searched = `lower(id || '
' || name || '
' || ip || '
' || meta || '
' || reason)`

// searchedByAll is what everybody may search.
const searchedByAll = `lower(id || '
' || name || '
' || reason)`

// search looks for a text. One of ASCII is left to the database; of others only matches knows upper and lower case, as
// both engines must agree on it, and the database finds what has the first of their letters at all. İ and the sign of
// kelvin are no ASCII, but their lower case is: a text with them is looked for as it is written.
func (s *selection) search(search string, noAddresses bool) {
	text := Clean(search)
	want := strings.ToLower(text)
	in := searched
	if noAddresses {
		in = searchedByAll
	}
	switch {
	case want == "":
	case sought(want) && sought(text):
		s.where(in + " LIKE " + s.arg("%"+likeEscaper.Replace(want)+"%") + " ESCAPE '!'")
	default:
		s.matches = matcher(want, noAddresses)
		s.letters(in, text)
	}
}

// letters asks for texts with the first few letters beyond ASCII of text, in whatever case.
func (s *selection) letters(in, text string) {
	const most = 3
	n := 0
	for _, r := range text {
		if r < 0x80 || r == utf8.RuneError {
			continue
		}
		if n++; n > most {
			return
		}
		forms := []string{in + " LIKE " + s.arg("%"+string(r)+"%")}
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			forms = append(forms, in+" LIKE "+s.arg("%"+string(f)+"%"))
		}
		s.where("(" + strings.Join(forms, " OR ") + ")")
	}
}

var likeEscaper = strings.NewReplacer("!", "!!", "%", "!%", "_", "!_")

// sought reports whether the database can look for the text.
func sought(want string) bool {
	return len(want) <= maxSought && strings.IndexFunc(want, func(r rune) bool { return r == '\n' || r >= 0x80 }) < 0
}

func matcher(want string, noAddresses bool) func(n *node.Node) bool {
	return func(n *node.Node) bool {
		in := []string{n.ID, n.Name, n.Reason}
		if !noAddresses {
			in = append(in, n.IP, n.Meta)
		}
		for _, s := range in {
			if strings.Contains(strings.ToLower(s), want) {
				return true
			}
		}
		return false
	}
}
