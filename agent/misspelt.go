package agent

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Unknown names the settings of a file that nothing reads, one line each, with the name that may have been meant. Names
// of the environment are not looked at: most of them are not for the agent.
func Unknown(file map[string]string) []string {
	known := make(map[string]bool)
	for _, v := range Variables() {
		known[v.Name] = true
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(file)) {
		if known[name] {
			continue
		}
		line := name + " is not known"
		if like := nearest(name); like != "" {
			line += fmt.Sprintf(": did you mean %s?", like)
		}
		out = append(out, line)
	}
	return out
}

// nearest is the variable that a name is most likely a misspelling of, "" when it is like none.
func nearest(name string) string {
	best, least := "", len(name)/3+1
	for _, v := range Variables() {
		if d := distance(strings.ToUpper(name), v.Name); d < least {
			best, least = v.Name, d
		}
	}
	return best
}

// distance is how many letters must be added, removed, changed or swapped with the next to make b of a.
func distance(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row := rows[0], rows[1], rows[2]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		rows = [3][]int{last, row, before}
	}
	return rows[1][len(b)]
}
