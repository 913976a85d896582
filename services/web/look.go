package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// look is how one viewer wants to see the table.
type look struct {
	filter
	order string // one of orders, "" for the first
	// The place of the last row of the page before, or of the first row of the page behind; both "" for the first page.
	after, before string
}

// orders of the table, by their names in addresses; "" is what does not work first.
var orders = []string{"", "id", "since", "heard"}

// lookOf reads the parameters. What it does not understand it leaves out: people mend their address line by hand.
func lookOf(r *http.Request) look {
	var l look
	v := r.URL.Query()
	if search := []rune(strings.ToValidUTF8(strings.TrimSpace(v.Get("q")), "")); len(search) <= maxSearch {
		l.search = string(search)
	}
	if state := node.State(v.Get("state")); slices.Contains(states, state) {
		l.states = []node.State{state}
	}
	if order := v.Get("sort"); slices.Contains(orders, order) {
		l.order = order
	}
	l.after, l.before = place(v.Get("after")), place(v.Get("before"))
	return l
}

// place is the place of a row as somebody sent it.
func place(text string) string {
	if len(text) > maxAfter {
		return ""
	}
	return strings.ToValidUTF8(text, "")
}

// maxAfter bounds the place of a row, in bytes.
const maxAfter = 1000

func (l look) state() string {
	if len(l.states) == 0 {
		return ""
	}
	return string(l.states[0])
}

// link is the address of the table as another look has it, relative to it: the page may stand below a path.
func (l look) link() string {
	v := make(url.Values)
	for name, value := range map[string]string{"state": l.state(), "q": l.search, "sort": l.order, "after": l.after, "before": l.before} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if len(v) == 0 {
		return "./"
	}
	return "?" + v.Encode()
}

// withState is the look at one state alone, from its first page on.
func (l look) withState(state node.State) look {
	l.after, l.before, l.states = "", "", nil
	if state != "" {
		l.states = []node.State{state}
	}
	return l
}

func (l look) withOrder(order string) look {
	l.after, l.before, l.order = "", "", order
	return l
}

func (l look) withPlace(after, before string) look {
	l.after, l.before = after, before
	return l
}

// key is all that the table depends on.
func (l look) key() string {
	return strings.Join([]string{l.state(), l.order, l.after, l.before, l.search}, "\x00")
}
