package standardsql

import (
	"strings"

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

// search looks for a text. One of ASCII is left to the database; of others only matches knows upper and lower case, as
// both engines must agree on it.
func (s *selection) search(search string) {
	want := strings.ToLower(Clean(search))
	switch {
	case want == "":
	case sought(want):
		s.where(searched + " LIKE " + s.arg("%"+likeEscaper.Replace(want)+"%") + " ESCAPE '!'")
	default:
		s.matches = matcher(want)
	}
}

var likeEscaper = strings.NewReplacer("!", "!!", "%", "!%", "_", "!_")

// sought reports whether the database can look for the text.
func sought(want string) bool {
	return len(want) <= maxSought && strings.IndexFunc(want, func(r rune) bool { return r == '\n' || r >= 0x80 }) < 0
}

func matcher(want string) func(n *node.Node) bool {
	return func(n *node.Node) bool {
		for _, s := range [...]string{n.ID, n.Name, n.IP, n.Meta, n.Reason} {
			if strings.Contains(strings.ToLower(s), want) {
				return true
			}
		}
		return false
	}
}
